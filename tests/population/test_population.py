"""trainsmith.Population: usable by itself, and its members get what a plain PyTorch loop gives them."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import trainsmith
from trainsmith import luck
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import SCHEDULES, Adam
from trainsmith.population import Alone, calibrate
from trainsmith.population.calibrate import Packing
from trainsmith.population.program.program import WAYS, Program
from trainsmith.regularization import ConfidencePenalty, LabelSmoothing

X = torch.randn(120, 6, generator=torch.Generator().manual_seed(1))
Y = (X[:, :3].sum(1) > 0).long() + (X[:, 3] > 1).long()
IMAGES = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(2))
LABELS = torch.arange(60) % 3


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSMITH_CACHE", str(tmp_path))


def mlp(width=16):
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))


def cnn(rate=0.2):
    convolution = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*convolution, nn.Dropout(rate), nn.Flatten(), nn.Linear(36, 3))


def old_weight_norm():
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(nn.Linear(6, 3))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.lstm(x.view(len(x), 3, 2))[0][:, -1])


def plain_loop(module, seed, lr, x, y, steps, batch_size=16):
    """What anybody would write, on the batches the seed draws."""
    optimizer, losses = torch.optim.Adam(module.parameters(), lr=lr), []
    for chosen in luck.batches(seed, np.arange(len(x)), batch_size, steps):
        loss = nn.functional.cross_entropy(module(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("network", [mlp, Recurrent], ids=["batched", "by the loop"])
def test_every_member_gets_what_a_plain_loop_gives(network):
    rates = [1e-3, 3e-3, 1e-2, 3e-2]
    population = trainsmith.Population(network, lr=rates, seeds=[3, 4, 5, 6])
    expected = [plain_loop(population.member(k), 3 + k, lr, X, Y, 15) for k, lr in enumerate(rates)]
    fit = population.fit(X, Y, steps=15, batch_size=16)
    np.testing.assert_allclose(fit.losses.T, expected, rtol=2e-4)
    assert ("by the loop" in population.plan) == (network is Recurrent)
    assert fit.deviation < 1e-5


def test_a_second_fit_goes_on_where_the_first_ended():
    population = trainsmith.Population(mlp, lr=[1e-3, 1e-2])
    expected = plain_loop(population.member(1), 1, 1e-2, X, Y, 30)
    losses = [population.fit(X, Y, steps=n, batch_size=16).losses[:, 1] for n in (13, 17)]
    np.testing.assert_allclose(torch.cat(losses), expected, rtol=2e-4)


@pytest.mark.parametrize("way", WAYS)
def test_members_get_the_same_whichever_way_they_pass_through_the_program(way, monkeypatch):
    monkeypatch.setattr("trainsmith.population.hire.choose", lambda *args: Packing(way, 2))
    population = trainsmith.Population(cnn, 5, lr=[1e-3, 2e-3, 3e-3, 4e-3, 5e-3], threads=2)
    fit = population.fit(IMAGES, LABELS, steps=12, batch_size=20)
    assert way in population.plan
    assert fit.deviation < 1e-5, "replayed alone, dropout and batch normalization included"
    monkeypatch.setattr("trainsmith.population.hire.choose", lambda *args: Packing("together", 5))
    other = trainsmith.Population(cnn, 5, lr=[1e-3, 2e-3, 3e-3, 4e-3, 5e-3], threads=1)
    torch.testing.assert_close(fit.losses, other.fit(IMAGES, LABELS, 12, 20).losses, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(population.outputs(IMAGES), other.outputs(IMAGES), rtol=1e-2, atol=1e-2)


def test_a_seed_for_all_gives_all_the_same_luck_and_one_gather_for_all():
    population = trainsmith.Population(lambda: cnn(0.5), lr=[1e-3] * 3, seeds=7)
    losses = population.fit(IMAGES, LABELS, steps=6, batch_size=20).losses
    torch.testing.assert_close(losses, losses[:, :1].expand(-1, 3), rtol=1e-5, atol=1e-6)
    different = trainsmith.Population(lambda: cnn(0.5), lr=[1e-3] * 3).fit(IMAGES, LABELS, 6, 20).losses
    assert len(set(different[0].tolist())) == 3


def test_one_batch_for_all_and_one_batch_each_agree():
    a, b = (trainsmith.Population(mlp, 3, lr=1e-2) for _ in range(2))
    for _ in range(3):
        shared = a.step(X[:20], Y[:20])
        own = b.step(X[:20].expand(3, -1, -1), Y[:20].expand(3, -1), each=True)
    torch.testing.assert_close(shared, own)


def test_factory_arguments_and_optimizer_numbers_may_differ_between_members():
    population = trainsmith.Population(mlp, width=[4, 8, 8], lr=[1e-2, 1e-2, 1e-1], optimizer=Adam, beta1=0.8)
    population.fit(X, Y, steps=5, batch_size=16)
    assert [population.member(k)[0].out_features for k in range(3)] == [4, 8, 8]
    assert population.plan.count("chunk") >= 2


def test_networks_can_be_given_and_stay_as_they_were():
    networks = [mlp() for _ in range(3)]
    before = [{n: t.clone() for n, t in m.state_dict().items()} for m in networks]
    population = trainsmith.Population(networks, lr=1e-2)
    assert all(torch.equal(population.member(1).state_dict()[n], t) for n, t in before[1].items())
    population.fit(X, Y, steps=5, batch_size=16)
    for module, state in zip(networks, before, strict=True):
        assert all(torch.equal(module.state_dict()[n], t) for n, t in state.items())
    assert not torch.equal(population.member(1)[0].weight, before[1]["0.weight"])


def test_a_frozen_layer_stays_frozen_and_a_network_in_evaluation_mode_is_trained():
    def frozen():
        module = cnn(0.0)
        module[1].eval()
        return module

    population = trainsmith.Population(frozen, 2)
    population.fit(IMAGES, LABELS, steps=5, batch_size=20)
    assert torch.equal(population.member(0)[1].running_mean, torch.zeros(4))
    evaluating = trainsmith.Population(lambda: cnn(0.0).eval(), 2)
    evaluating.fit(IMAGES, LABELS, steps=5, batch_size=20)
    assert not torch.equal(evaluating.member(0)[1].running_mean, torch.zeros(4))


def test_a_diverged_member_is_taken_out_and_the_others_are_bit_identical():
    rates = [1e-3, 1e38, 1e-2, 1e-3]
    beside = trainsmith.Population(mlp, lr=rates, threads=1)
    fit = beside.fit(X, Y, steps=60, batch_size=16)
    healthy = trainsmith.Population(mlp, lr=[1e-3, 1e-3, 1e-2, 1e-3], threads=1).fit(X, Y, 60, 16)
    assert list(fit.ended) == [1]
    assert beside.active == [0, 2, 3]
    assert math.isnan(fit.losses[-1, 1])
    assert torch.equal(fit.losses[:25, [0, 2, 3]], healthy.losses[:25, [0, 2, 3]])
    torch.testing.assert_close(fit.losses[:, [0, 2, 3]], healthy.losses[:, [0, 2, 3]], rtol=1e-3, atol=1e-5)
    assert beside.outputs(X).shape == (4, 120, 3)
    assert math.isnan(beside.step(X[:10], Y[:10])[1])


def test_members_that_are_not_kept_stay_as_they_are():
    population = trainsmith.Population(mlp, 6, lr=1e-2, threads=2)
    population.fit(X, Y, steps=5, batch_size=16)
    before = population.outputs(X)
    population.keep([1, 4])
    population.fit(X, Y, steps=5, batch_size=16)
    changed = (population.outputs(X) != before).flatten(1).any(1)
    assert changed.tolist() == [False, True, False, False, True, False]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_a_chunk_that_memory_does_not_hold_is_halved_and_nothing_is_lost(error, monkeypatch):
    expected = trainsmith.Population(lambda: cnn(0.3), 7, threads=1).fit(IMAGES, LABELS, 12, 20).losses
    run, calls = Program.run, []

    def small(self, parameters, *rest):
        calls.append(len(parameters[0]))
        if len(calls) > 4 and len(parameters[0]) > 2:
            raise error("no room")
        return run(self, parameters, *rest)

    monkeypatch.setattr(Program, "run", small)
    population = trainsmith.Population(lambda: cnn(0.3), 7, threads=1)
    losses = population.fit(IMAGES, LABELS, 12, 20).losses
    assert {1, 2} <= set(calls)
    torch.testing.assert_close(losses, expected, rtol=1e-3, atol=1e-4)
    assert population.outputs(IMAGES).isfinite().all()


def test_what_is_evaluated_is_what_the_optimizer_says():
    population = trainsmith.Population(mlp, 2, optimizer="schedule-free-adamw", lr=1e-2)
    population.fit(X, Y, steps=10, batch_size=16)
    module = population.member(0)
    torch.testing.assert_close(population.outputs(X)[0], module(X))
    (part, *_), parameters = population._crew.parts, None
    parameters = part.trainers[0].parameters[0][0]
    assert not torch.allclose(parameters, module[0].weight)


def test_regression_and_a_loss_of_ones_own():
    target = X @ torch.arange(6.0)
    linear = trainsmith.Population(lambda: nn.Linear(6, 1), lr=[1e-3, 1e-1])
    assert linear.fit(X, target, steps=200, batch_size=None).final()[1] < 1.0
    huber = trainsmith.Population(
        lambda: nn.Linear(6, 1), lr=[1e-3, 1e-1], loss=lambda out, y: nn.functional.huber_loss(out[:, 0], y)
    )
    assert huber.fit(X, target, steps=200, batch_size=None).final()[1] < 1.0


def test_each_member_may_have_a_loss_of_its_own():
    own = [
        LabelSmoothing(0.1),
        LabelSmoothing(0.6),
        ConfidencePenalty(0.3),
        "cross-entropy",
        nn.functional.cross_entropy,
    ]
    fit = trainsmith.Population(mlp, loss=own, lr=0.01, seeds=0).fit(X, Y, 12, 20)
    assert fit.deviation < 1e-4
    for k, loss in enumerate(own):
        alone = trainsmith.Population(mlp, 1, loss=loss, lr=0.01, seeds=0).fit(X, Y, 12, 20)
        torch.testing.assert_close(fit.losses[:, k], alone.losses[:, 0], rtol=1e-4, atol=1e-5)
    assert len(set(fit.losses[-1, :4].tolist())) == 4
    of_32_bits = trainsmith.Population(mlp, loss=own, lr=0.01, seeds=0).fit(X, Y.int(), 12, 20)
    assert torch.equal(of_32_bits.losses, fit.losses), "classes are classes where one of the losses takes such"
    for other, says in (("cross-entropy", "targets must be classes"), (lambda out, y: out / y, "the loss")):
        with pytest.raises(InvalidInput, match=says):
            trainsmith.Population(mlp, loss=[lambda out, y: out.mean(), other]).fit(
                X, torch.cat([Y[:-1], Y[-1:] + 90]), 12, 20
            )


def test_each_member_may_have_examples_of_its_own():
    rng = np.random.default_rng(0)
    examples = [rng.integers(0, 120, 120) for _ in range(3)]
    population = trainsmith.Population(mlp, 3, seeds=0)
    losses = population.fit(X, Y, steps=4, batch_size=16, examples=examples).losses
    assert len(set(losses[0].tolist())) == 3, "same weights, different bootstrap samples"


MISTAKES = {
    "one network": (lambda: trainsmith.Population(mlp(), 3), "Pass the function, not its result"),
    "lists of different length": (lambda: trainsmith.Population(mlp, 4, lr=[1e-3, 1e-2]), "lr= 2"),
    "unknown number": (lambda: trainsmith.Population(mlp, 2, learning_rate=0.1), "neither a hyper-parameter of adam"),
    "torch's optimizer": (lambda: trainsmith.Population(mlp, 2, optimizer=torch.optim.Adam), "optimizer='adam'"),
    "negative rate": (lambda: trainsmith.Population(mlp, lr=[0.1, -1.0]), "lr"),
    "no members": (lambda: trainsmith.Population(mlp, 0), "members must be a whole number of at least 1; got 0"),
    "no rates": (lambda: trainsmith.Population(mlp, lr=[]), "a population needs at least one member; got 0"),
    "members of one": (lambda: trainsmith.Population(mlp, torch.tensor([2])), "members must be a whole number"),
    "true for members": (
        lambda: trainsmith.Population(mlp, True),
        "members must be a whole number of at least 1; got T",
    ),
    "array": (lambda: trainsmith.Population(mlp, 2).fit(X.numpy(), Y, 5), "torch.as_tensor"),
    "lengths": (lambda: trainsmith.Population(mlp, 2).fit(X, Y[:-1], 5), "x and y must both be"),
    "batch size": (lambda: trainsmith.Population(mlp, 2).fit(X, Y, 5, batch_size=1000), "120 examples"),
    "no such member": (lambda: trainsmith.Population(mlp, 2).member(2), "0 to 1"),
    "loss": (lambda: trainsmith.Population(mlp, 2, loss="hinge").fit(X, Y, 5), "'cross-entropy', 'mse'"),
    "network and data": (
        lambda: trainsmith.Population(mlp, 2).fit(X[:, :4], Y, 5, 16),
        r"cannot take x of shape \(2, 4\)",
    ),
    "losses": (lambda: trainsmith.Population(mlp, 3, loss=["mse", "mse"]), "members= 3.*loss= 2"),
    "loss and data": (
        lambda: trainsmith.Population(mlp, 2, loss=nn.functional.mse_loss).fit(X, X[:, :2], 5, 16),
        r"outputs \(2, 3\) with targets \(2, 2\)",
    ),
    "loss of each example": (
        lambda: trainsmith.Population(mlp, 2, loss=lambda o, y: o[:, 0]).fit(X, Y, 5, 16),
        "one number for a batch",
    ),
    "steps": (lambda: trainsmith.Population(mlp, 2).fit(X, Y, steps=2.0), "steps must be a whole number"),
    "no steps": (lambda: trainsmith.Population(mlp, 2).fit(X, Y, steps=0), "at least 1; got 0"),
    "size of batches": (lambda: trainsmith.Population(mlp, 2).fit(X, Y, 5, 16.0), "batch_size must be a whole number"),
    "threads": (lambda: trainsmith.Population(mlp, 2, threads=0), "threads must be a whole number of at least 1"),
    "one number, three outputs": (
        lambda: trainsmith.Population(mlp, 2).fit(X, X[:, 0], 5, 16),
        r"outputs \(2, 3\) with targets \(2,\): for the squared error each output needs a target of its own",
    ),
    "one number, two outputs": (
        lambda: trainsmith.Population(lambda: nn.Linear(6, 2), 2, loss=nn.MSELoss()).fit(X, X[:, 0], 5, 16),
        r"outputs \((2, 2|3, 2)\) with targets \([23],\)",
    ),
    "class without output": (
        lambda: trainsmith.Population(mlp, 2).fit(X, torch.where(torch.arange(120) == 100, 3, Y), 5, 16),
        "classes from 0 to 2, of which the network has an output each; got 0 to 3",
    ),
    "negative class": (lambda: trainsmith.Population(mlp, 2).step(X, Y - 1), "got -1 to "),
    "rate that is no number": (lambda: trainsmith.Population(mlp, lr=["high", 1]), "lr must be a number"),
    "schedule": (lambda: trainsmith.Population(mlp, 2).fit(X, Y, 5, 16, schedule=3), "a function of the step"),
    "unlabelled for nobody": (
        lambda: trainsmith.Population(mlp, 2).fit(X, Y, 5, 16, unlabelled=X),
        "none of the regularizers learns from unlabelled",
    ),
    "complex weights": (
        lambda: trainsmith.Population(lambda: nn.Linear(6, 3, dtype=torch.cfloat), 2),
        "the parameter weight is complex",
    ),
    "a network that cannot be copied": (
        lambda: trainsmith.Population(old_weight_norm, 2).fit(X, Y, 5, 16),
        "torch.nn.utils.parametrizations has both",
    ),
    "device that torch does not know": (lambda: trainsmith.Population(mlp, 2, device="gpu"), "got 'gpu'"),
    "device that is not there": (
        lambda: trainsmith.Population(mlp, 2, device="cuda:99"),
        "device must be one that torch has here.* got 'cuda:99'",
    ),
    "factory's result": (lambda: trainsmith.Population(lambda: 3, 2), "must return an nn.Module"),
}


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_sentence(mistake, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        mistake()


def test_the_fastest_packing_that_was_measured_is_taken_and_remembered(monkeypatch):
    asked = []

    def seconds(learners, x, y, way):
        asked.append((way, len(learners)))
        return {"together": 3e-3, "in turn": 1e-3}[way]

    monkeypatch.setattr(calibrate, "_seconds", seconds)
    for expected in (3, 3):
        population = trainsmith.Population(mlp, 64, threads=1)
        crew = population._ready(X[:16], Y[:16], steps=1000)
        assert "in turn" in crew.packing
        assert len(asked) == expected, "the second time nothing is measured"


def test_measuring_stops_where_it_would_cost_more_than_its_share(monkeypatch):
    import time

    asked = []

    def seconds(learners, x, y, way):
        asked.append(way)
        time.sleep(0.05)
        return 1e-6

    monkeypatch.setattr(calibrate, "_seconds", seconds)
    trainsmith.Population(mlp, 64, threads=1)._ready(X[:16], Y[:16], steps=1000)
    assert len(asked) == 1, "64 ms of training are not worth a second measurement of 50 ms"


def test_a_damaged_or_unwritable_memory_does_no_harm(monkeypatch, tmp_path):
    (tmp_path / f"packing-{calibrate.FORMAT}.json").write_text('{"a": [1')
    monkeypatch.setattr(calibrate, "_seconds", lambda *args: 1e-3)
    trainsmith.Population(mlp, 64, threads=1)._ready(X[:16], Y[:16], steps=1000)
    monkeypatch.setenv("TRAINSMITH_CACHE", "/proc/nowhere")
    trainsmith.Population(mlp, 64, threads=1)._ready(X[:16], Y[:16], steps=1000)


def test_members_are_not_changed_by_being_measured():
    measured, plain = (trainsmith.Population(mlp, 64, lr=1e-2, threads=1) for _ in range(2))
    measured._ready(X[:16], Y[:16], steps=1000)
    plain._ready(X[:16], Y[:16], steps=1)
    assert torch.equal(measured.outputs(X), plain.outputs(X))


def test_channels_last_is_not_used_where_torchs_kernels_are_less_exact_so():
    def ways(network):
        population = trainsmith.Population(network, 4)
        return {packing.way for packing in calibrate._likely(population._recruits.learners(IMAGES, LABELS), IMAGES, 1)}

    def bare():
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))

    assert "in turn, channels last" in ways(bare)
    assert ways(cnn) == {"in turn", "together"}


def test_a_schedule_by_name_is_the_same_as_its_factors():
    x, y = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 2
    fits = [
        trainsmith.Population(lambda: nn.Linear(4, 2), 2, lr=0.1)
        .fit(x, y, steps=12, batch_size=16, schedule=schedule)
        .losses
        for schedule in ("linear", lambda t: SCHEDULES["linear"](t, 12), None)
    ]
    assert torch.equal(fits[0], fits[1])
    assert not torch.equal(fits[0], fits[2])


class Tied(nn.Module):
    """One weight under two names, and a buffer that is not stored."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.head = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 3)
        self.two.weight = self.one.weight
        self.register_buffer("two_pi", torch.tensor(6.28), persistent=False)

    def forward(self, x):
        return self.head(self.two((self.two_pi * self.one(x)).tanh()))


@pytest.mark.parametrize("regularizers", [[], [trainsmith.regularization.MeanTeacher(decay=0.9)]], ids=["", "teacher"])
def test_a_network_with_tied_weights_comes_out_as_it_is_scored(regularizers):
    x, y = torch.randn(40, 4), torch.arange(40) % 3
    population = trainsmith.Population(Tied, 2, lr=0.05, regularizers=regularizers, threads=1)
    population.fit(x, y, steps=12, batch_size=8)
    torch.testing.assert_close(population.member(1).eval()(x), population.outputs(x)[1])
    learner = population._learner(1, x, y)
    alone, course = Alone(learner), torch.arange(8 * 6).view(6, 8) % 40
    for step, chosen in enumerate(course, 1):
        unlabelled = x[chosen] if regularizers else x[:0]
        alone.step(step, 1.0, torch.cat([x[chosen], unlabelled])[None], y[None, chosen])
    network = Tied()
    network.load_state_dict(alone.state(0))
    torch.testing.assert_close(network.eval()(x), alone.outputs(x[None])[0])


def test_examples_may_be_given_as_a_mask_and_what_is_neither_is_refused():
    mask = np.arange(120) % 3 > 0
    losses = [
        trainsmith.Population(mlp, 1).fit(X, Y, steps=4, batch_size=16, examples=[given]).losses
        for given in (mask, torch.from_numpy(mask), np.flatnonzero(mask))
    ]
    assert torch.equal(losses[0], losses[2])
    assert torch.equal(losses[1], losses[2])
    for wrong, words in ((mask[:50], "one value for each of 120"), (mask * 0.5, "indices or a mask")):
        with pytest.raises(InvalidInput, match=words):
            trainsmith.Population(mlp, 1).fit(X, Y, steps=4, batch_size=16, examples=[wrong])


def test_luck_hangs_on_a_seeds_value_not_on_its_type():
    losses = [
        trainsmith.Population(mlp, 2, seeds=seeds).fit(X, Y, steps=3, batch_size=16).losses
        for seeds in ([0, 5], torch.tensor([0, 5]), np.array([0, 5], np.int32))
    ]
    assert torch.equal(losses[0], losses[1])
    assert torch.equal(losses[0], losses[2])


@pytest.mark.parametrize(
    "seeds", [[0, -1], [0.0, 1.0], ["a", "b"], [0, 2**63], [False, True], torch.tensor([[0], [1]])]
)
def test_seeds_that_are_no_whole_numbers_from_0_are_refused(seeds):
    with pytest.raises(InvalidInput, match="seeds must be whole numbers from 0"):
        trainsmith.Population(mlp, 2, seeds=seeds)


def test_members_of_a_class_that_the_factory_makes_train_as_one_program():
    def factory():
        class Inner(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(6, 3)

            def forward(self, x):
                return self.layer(x)

        return Inner()

    population = trainsmith.Population(factory, 6, lr=[0.01, 0.02] * 3, threads=1)
    fit = population.fit(X, Y, 5, 16)
    assert len(population._crew.parts) == 1
    assert fit.deviation < fit.tolerance


class Late(nn.Module):
    """Begins to draw at its sixth call."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x + torch.randn_like(x) if self.calls > 5 else x


def test_noise_that_begins_late_would_hang_on_no_seed_and_is_refused():
    population = trainsmith.Population(lambda: nn.Sequential(Late(), nn.Linear(6, 2)), 2, lr=0.1)
    with pytest.raises(InvalidInput, match="draws noise at some steps and drew none in a first pass"):
        population.fit(torch.randn(32, 6), torch.arange(32) % 2, steps=8, batch_size=8)
