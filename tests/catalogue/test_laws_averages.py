"""What holds for every average of weights: as the papers say, alone, together, with batch normalization, stored."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import trainsmith
from each_technique import each
from each_technique import settings as of_its_range
from make_runs import blobs
from reference import averaging as paper
from trainsmith.catalogue import Recipe, Run, Trial, find
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import Adam
from trainsmith.population import Alone, Chunk, Training, make_member, train
from trainsmith.population.training.course import statistics_on
from trainsmith.regularization import SWA, PolyakAveraging, WeightEMA

STEPS = 12
TRAINING = Training(steps=STEPS, batch_size=16, checks=3)
each_average = each("average")


def settings(technique):
    """Three settings that differ within few steps."""
    decays = zip(of_its_range(technique), (0.3, 0.6, 0.9), strict=True)
    return [{**own, "decay": decay} if "decay" in own else own for own, decay in decays]


def gradients():
    return torch.randn(STEPS, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def trained(average, stop=STEPS, optimizer=torch.optim.SGD):
    """A parameter after some steps with the average attached, and its path."""
    theta = nn.Parameter(torch.ones(3, 2, dtype=torch.float64))
    rule = optimizer([theta], lr=0.3)
    average.attach(rule, STEPS)
    path = []
    for g in gradients()[:stop]:
        theta.grad = g.clone()
        rule.step()
        path.append(theta.detach().numpy().copy())
    return theta, rule, path


@each_average
@pytest.mark.parametrize("stop", [1, 5, STEPS])
def test_it_is_the_papers_average_and_the_training_does_not_notice(technique, stop):
    for numbers in settings(technique):
        average = technique.make(**numbers)
        theta, _, path = trained(average, stop)
        assert np.array_equal(theta.detach().numpy(), path[-1])
        with average.evaluating():
            expected = paper.with_numbers(technique.name, path, STEPS, numbers)
            np.testing.assert_allclose(theta.detach().numpy(), expected, rtol=1e-12)
            average.eval()  # a second time changes nothing
        assert np.array_equal(theta.detach().numpy(), path[-1])


@each_average
def test_columns_give_each_member_the_share_of_its_own_numbers(technique):
    several = settings(technique)
    columns = {n: torch.tensor([s[n] for s in several], dtype=torch.float64) for n in several[0]}
    for t in range(1, STEPS + 1):
        together = technique.make.share(t, STEPS, **columns)
        alone = [technique.make.share(t, STEPS, **numbers) for numbers in several]
        np.testing.assert_allclose(torch.as_tensor(together).expand(3), alone, rtol=1e-12)
        assert all(0 < share <= 1 for share in alone)
    assert technique.make.share(1, STEPS, **several[0]) == 1


@each_average
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_members_are_scored_and_stored_together_as_alone(technique, norm):
    data = blobs()
    recipe = Recipe(normalization=norm, regularization=(technique.name,))
    numbers = [{f"{technique.name}.{n}": v for n, v in own.items()} for own in settings(technique)]

    def members():
        made = [make_member(Run(Trial(recipe, own), 3), "mlp", data) for own in numbers]
        for m in made:
            m.objective.double()
        return made

    x = data.x.double()
    together = train(Chunk(members(), x, data.y), x, data.y, TRAINING, keep_states=True)
    alone = [train(Alone(m), x, data.y, TRAINING, keep_states=True)[0] for m in members()]
    for here, there in zip(alone, together, strict=True):
        np.testing.assert_allclose(np.array(there.curve), np.array(here.curve), rtol=1e-9)
        for name, tensor in here.state.items():
            np.testing.assert_allclose(there.state[name], tensor, rtol=1e-7, atol=1e-12)
    assert len({r.loss for r in together}) == 3, "each member has its own number"


@each_average
def test_running_statistics_are_those_at_the_average(technique):
    data = blobs()
    recipe = Recipe(normalization="batch", regularization=(technique.name,))
    member = make_member(Run(Trial(recipe), 3), "mlp", data)
    chunk = Chunk([member], data.x, data.y)
    (result,) = train(chunk, data.x, data.y, TRAINING, keep_states=True)
    network = make_member(Run(Trial(recipe), 3), "mlp", data).objective.network
    network.load_state_dict({n: torch.from_numpy(t) for n, t in result.state.items()})
    first = next(m for m in network if hasattr(m, "running_mean"))
    before = network[: list(network).index(first)]
    chosen = statistics_on(member)
    assert set(chosen.flat) <= set(member.train)
    torch.testing.assert_close(first.running_mean, before(data.x[chosen.ravel()]).mean(0).detach())
    assert not torch.allclose(first.running_mean, chunk.buffers[chunk.program.buffer_names.index(
        "network.2.running_mean")][0], atol=1e-3)  # fmt: skip


@each_average
def test_members_of_a_population_give_what_is_averaged_and_a_bad_one_harms_no_other(technique):
    x, y = blobs().x, blobs().y
    regularizers = [[technique.make(**numbers)] for numbers in settings(technique)]

    def network():
        return nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))

    outputs = []
    for bad in (0.01, 1e30):
        population = trainsmith.Population(network, lr=[0.01, bad, 0.02], seeds=1, regularizers=regularizers)
        population.fit(x, y, steps=STEPS, batch_size=16)
        outputs.append(population.outputs(x))
        for k in (0, 2):
            expected = population.member(k).eval()(x)
            torch.testing.assert_close(outputs[-1][k], expected.detach(), rtol=1e-4, atol=1e-5)
    assert torch.equal(outputs[0][[0, 2]], outputs[1][[0, 2]])


@each_average
def test_members_that_end_take_their_own_averages_along(technique):
    data, recipe = blobs(), Recipe(optimizer="sgd", regularization=(technique.name,))

    def members():
        return [make_member(Run(Trial(recipe, {"sgd.lr": lr}), 3), "mlp", data) for lr in (1e30, 0.1, 1e30, 1e30, 0.2)]

    together = Chunk(members(), data.x, data.y)
    results = train(together, data.x, data.y, TRAINING, keep_states=True)
    assert len(together.parameters[0]) == 2, "the rows of those that diverged are taken out"
    for k in (1, 4):
        (alone,) = train(Alone(members()[k]), data.x, data.y, TRAINING, keep_states=True)
        np.testing.assert_allclose(np.array(results[k].curve), np.array(alone.curve), rtol=1e-4)
        for name, tensor in alone.state.items():
            np.testing.assert_allclose(results[k].state[name], tensor, rtol=1e-4, atol=1e-6)


@each_average
def test_a_training_that_was_stored_in_the_middle_goes_on_bit_for_bit(technique):
    average = technique.make()
    whole, _, _ = trained(average)
    average.eval()
    half = technique.make()
    theta, rule, _ = trained(half, 5)
    again = technique.make()
    again.attach(rule, STEPS)
    again.load_state_dict(copy.deepcopy(half.state_dict()))
    for g in gradients()[5:]:
        theta.grad = g.clone()
        rule.step()
    again.eval()
    assert torch.equal(theta, whole)


@each_average
def test_a_state_of_other_parameters_is_refused(technique):
    average = technique.make()
    trained(average)
    state = average.state_dict()
    other = technique.make()
    with pytest.raises(InvalidInput, match="averages have other shapes than the parameters: attach the optimizer"):
        other.load_state_dict(state)
    other.attach(torch.optim.SGD([nn.Parameter(torch.ones(2, 2))], lr=0.1), STEPS)
    with pytest.raises(InvalidInput, match="averages have other shapes than the parameters"):
        other.load_state_dict(state)
    unused = technique.make()
    unused.load_state_dict(technique.make().state_dict())
    assert unused.taken == 0


def test_without_memory_the_average_is_the_weights_and_from_the_first_step_it_is_their_mean():
    average = WeightEMA(decay=0.0)
    theta, _, path = trained(average)
    average.eval()
    np.testing.assert_allclose(theta.detach().numpy(), path[-1])
    average = PolyakAveraging(start=0.0)
    theta, _, path = trained(average)
    average.eval()
    np.testing.assert_allclose(theta.detach().numpy(), np.mean(path, axis=0))


def test_swa_keeps_the_learning_rate_up_from_its_start_on():
    factors = [SWA.pace(t, 8, 0.125 * t, level=0.4, start=0.5) for t in range(1, 9)]
    assert factors == [0.125, 0.25, 0.375, 0.5, 0.4, 0.4, 0.4, 0.4]
    data = blobs()
    member = make_member(Run(Trial(Recipe(regularization=("swa",)), {"swa.level": 0.25}), 0), "mlp", data)
    rates = TRAINING.rates([member])
    assert [rates(t) for t in (9, 10, 12)] == [[TRAINING.rate(9)], [0.25], [0.25]]


@pytest.mark.parametrize("name", ["polyak-averaging", "swa"])
def test_a_length_that_is_not_known_is_asked_for(name):
    technique = find(name)
    with pytest.raises(InvalidInput, match="has to know the length of the training; say steps="):
        technique.make().attach(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0))
    population = trainsmith.Population(lambda: nn.Linear(2, 2), 2, regularizers=[technique.make()])
    with pytest.raises(InvalidInput, match="train by `fit`, not step by step"):
        population.step(torch.ones(4, 2), torch.zeros(4, dtype=torch.long))


def test_two_averages_and_an_average_of_one_that_averages_are_refused_or_left_out():
    data = blobs()
    with pytest.raises(InvalidInput, match="weight-ema and swa cannot act together: a recipe has at most one average"):
        make_member(Run(Trial(Recipe(regularization=("weight-ema", "swa"))), 0), "mlp", data)
    free = make_member(Run(Trial(Recipe(optimizer="schedule-free-sgd", regularization=("swa",))), 0), "mlp", data)
    assert free.skipped["swa"] == "ScheduleFreeSGD averages the weights itself"
    with pytest.raises(InvalidInput, match="two averages of the weights cannot act together"):
        trainsmith.Population(lambda: nn.Linear(2, 2), 2, regularizers=[SWA(), WeightEMA()])


@each_average
def test_a_second_fit_goes_on_together_as_alone_and_by_all_steps(technique):
    """The length of the training, of which some averages need a share, is then that of both."""
    x, y = blobs().x, blobs().y
    own = settings(technique)[1]

    def network():
        return nn.Sequential(nn.Linear(x.shape[1], 4), nn.ReLU(), nn.Linear(4, 3)).double()

    together = trainsmith.Population(network, lr=[0.01, 0.02], seeds=1, regularizers=[technique.make(**own)], threads=1)
    for _ in range(2):
        together.fit(x.double(), y, steps=STEPS, batch_size=None)
    alone = network()
    alone.load_state_dict(trainsmith.Population(network, 2, seeds=1).member(1).state_dict())
    optimizer, average = Adam(alone.parameters(), lr=0.02), technique.make(**own)
    average.attach(optimizer, STEPS)
    for t in range(1, 2 * STEPS + 1):
        average.steps = STEPS if t <= STEPS else 2 * STEPS
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1.0 if average.pace is None else average.pace(t, average.steps, 1.0, **own))
        optimizer.zero_grad()
        nn.functional.cross_entropy(alone(x.double()), y).backward()
        optimizer.step()
    with average.evaluating():
        torch.testing.assert_close(together.outputs(x.double())[1], alone(x.double()).detach(), rtol=1e-6, atol=1e-8)


@each_average
def test_one_average_is_of_one_optimizer_and_of_all_that_it_moves(technique):
    first, second, late = (nn.Parameter(torch.ones(2)) for _ in range(3))
    rule, other = torch.optim.SGD([first], lr=1.0), torch.optim.SGD([second], lr=1.0)
    average = technique.make(**settings(technique)[0])
    average.attach(rule, STEPS)
    with pytest.raises(InvalidInput, match="averages what another optimizer moves; make one for each"):
        average.attach(other, STEPS)
    average.attach(rule, STEPS)  # again: each step counts once all the same
    for step in range(STEPS):
        if step == 2:
            rule.add_param_group({"params": [late]})
        for p in (first, late):
            p.grad = torch.ones(2)
        rule.step()
    assert average.taken == STEPS
    trained = late.detach().clone()
    with average.evaluating():
        assert trained[0] < late[0] < 1, "it averages what came later too"
        with pytest.raises(InvalidInput, match=r"call train\(\) before step"):
            rule.step()
    assert torch.equal(late, trained)
