"""Learning from unlabelled examples: the papers' formulas, identities and limits, state per member."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from each_technique import settings
from make_runs import blobs
from reference import semi_supervised as reference
from trainsmith import Population
from trainsmith.catalogue import Recipe, Run, Trial, find, techniques
from trainsmith.data import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.population import Alone, Chunk, Training, make_member, train
from trainsmith.regularization import VAT, EntropyMinimization, FixMatch, MeanTeacher, PiModel, PseudoLabel
from trainsmith.regularization.semi_supervised import adversarial_direction
from trainsmith.regularization.unlabelled import Unlabelled

SIX = [t for t in techniques("regularization") if t.role == "pass" and issubclass(t.make, Unlabelled)]
each = pytest.mark.parametrize("technique", SIX, ids=lambda t: t.name)


class Watched(nn.Module):
    """A network that remembers what it was given."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.seen = inner, []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return self.inner(x)


def given(seed=3, labelled=4, others=6):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        network[2].weight.mul_(6)
    return network, torch.randn(labelled + others, 3).double(), torch.arange(labelled) % 3


def term_of(technique, steps=1, **kwargs):
    """(the term's weighted value in the last of so many steps, the network, what it saw in that step)."""
    network, x, y = given(**kwargs)
    for _ in range(steps):
        watched = Watched(network)
        torch.manual_seed(1)
        value = technique(watched, functional.cross_entropy, x, y)
    labelled = functional.cross_entropy(network(x[: len(y)]), y)
    return (value - labelled).item(), lambda z: network(z).detach().numpy(), watched.seen


def test_they_are_six():
    names = ["entropy-minimization", "fixmatch", "mean-teacher", "pi-model", "pseudo-label", "vat"]
    assert sorted(t.name for t in SIX) == names


@pytest.mark.parametrize("step", [1, 2, 3, 5, 9])
def test_pseudo_labels_are_lees_and_begin_late(step):
    technique = PseudoLabel(weight=0.7, threshold=0.6, start=2, ramp=5).double()
    value, logits, seen = term_of(technique, step)
    expected = 0.7 * reference.late(step, 2, 5) * reference.pseudo_label(logits(seen[1]), 0.6)
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_entropy_minimization_is_of_the_unlabelled_examples_alone():
    value, logits, seen = term_of(EntropyMinimization(0.3).double())
    assert len(seen[1]) == 6
    assert value == pytest.approx(0.3 * reference.entropy(logits(seen[1])), rel=1e-6)


@pytest.mark.parametrize("step", [1, 3, 4, 7])
def test_the_pi_model_compares_two_views_and_its_weight_grows(step):
    value, logits, (labelled, target, view) = term_of(PiModel(5.0, noise=0.4, ramp=4).double(), step)
    assert not torch.equal(target, view)
    assert not any(torch.equal(seen, given()[1][4:]) for seen in (target, view))
    assert len(labelled) == 4
    expected = 5 * reference.growing(step, 4) * reference.squared_difference(logits(view), logits(target))
    assert value == pytest.approx(expected, rel=1e-6)


def test_vat_is_the_divergence_of_a_move_of_eps_in_units_of_the_spread():
    spread = torch.tensor([1.0, 10.0, 0.0])
    technique = VAT(eps=0.25, weight=2.0).double().fit(torch.stack([-spread, spread]).double())
    value, logits, seen = term_of(technique)
    assert len(seen) == 4, "labelled, unlabelled, a step of the search, moved"
    before, moved = seen[1], seen[-1]
    steps = (moved - before)[:, :2] / spread[:2]
    np.testing.assert_allclose(steps.norm(dim=1), 0.25 * 3**0.5, rtol=1e-6)
    assert torch.equal(moved[:, 2], before[:, 2])
    assert value == pytest.approx(2 * reference.divergence(logits(before), logits(moved)), rel=1e-6)


def test_vats_direction_is_the_leading_eigenvector_of_the_divergences_hessian():
    """By 60 rounds of the power iteration; against central differences of the divergence in double precision."""
    network, x, _ = given()
    scale = torch.tensor([1.0, 3.0, 0.5]).double()
    torch.manual_seed(0)
    found = adversarial_direction(network, x, xi=1e-4, rounds=60, reach=scale)

    def logits(z):
        with torch.no_grad():
            return network(torch.from_numpy(z)).numpy()

    for row, u in zip(x.numpy(), found.numpy(), strict=True):
        values, vectors = np.linalg.eigh(reference.hessian_of_divergence(logits, row, scale.numpy()))
        assert values[-1] > 2 * values[-2]
        assert abs(vectors[:, -1] @ u) > 0.999


def test_one_round_is_better_than_none():
    network, x, _ = given()
    torch.manual_seed(0)
    random = torch.randn(200, *x.shape).double()
    random = random / random.norm(dim=-1, keepdim=True)
    u = adversarial_direction(network, x)

    def apart(move):
        return reference.divergence(network(x).detach().numpy(), network(x + 0.3 * move).detach().numpy())

    assert apart(u) > np.quantile([apart(r) for r in random], 0.9)


def test_where_predictions_are_sure_the_direction_has_length_one_still():
    network, x, _ = given()
    network, x = network.float(), x.float()
    with torch.no_grad():
        network[2].weight.mul_(30)
    lengths = adversarial_direction(network, x, xi=1e-3).norm(dim=1)
    assert ((lengths - 1).abs() < 1e-4).logical_or(lengths == 0).all()
    assert (lengths > 0).sum() >= 5


@pytest.mark.parametrize("kind", ["table", "image"])
def test_fixmatch_takes_labels_from_weak_and_teaches_strong_views(kind):
    torch.manual_seed(5)
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).double()
    x = torch.rand(9, 1, 6, 6).double() if kind == "image" else torch.rand(9, 36).double()
    watched, y = Watched(network), torch.arange(3)
    technique = FixMatch(strength=0.6, threshold=0.4, weight=0.9).double().fit(x[:3])
    value = technique(watched, functional.cross_entropy, x, y)
    labelled, weak, strong = watched.seen
    assert torch.equal(labelled, x[:3])
    assert not torch.allclose(weak, strong)
    assert torch.equal(weak, x[3:]) == (kind == "table")
    expected = reference.fixmatch(network(weak).detach().numpy(), network(strong).detach().numpy(), 0.4)
    assert expected > 0
    assert (value - functional.cross_entropy(network(x[:3]), y)).item() == pytest.approx(0.9 * expected, rel=1e-6)
    if kind == "table":
        assert (strong - weak).std() == pytest.approx(0.6 * float(x[:3].std(0, correction=0).mean()), rel=0.3)


def test_noise_is_in_units_of_the_training_inputs():
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 2, generator=draws) * torch.tensor([1.0, 100.0]) + 5
    technique = PiModel(noise=0.2).fit(x)
    torch.testing.assert_close((technique.view(x) - x).std(0), torch.tensor([0.2, 20.0]), rtol=0.05, atol=0)
    images = torch.rand(50, 1, 8, 8, generator=draws)
    technique = PiModel(noise=0.2, shift=0.0).fit(images)
    assert (technique.view(images) - images).std() == pytest.approx(0.2 * float(images.std()), rel=0.05)


def few(**changes):
    data = blobs(examples=240)
    return dataclasses.replace(data, labels=30, **changes)


def member_of(name, seed=5, data=None, network="mlp", **numbers):
    recipe = Recipe(normalization="batch", optimizer="sgd", regularization=(name, "dropout") if name else ("dropout",))
    return make_member(Run(Trial(recipe, {f"{name}.{n}": v for n, v in numbers.items()}), seed), network, data or few())


def narrow(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, outputs))


def trained(trainer, data, steps=4):
    return train(trainer, data.inputs, data.y, Training(steps=steps, batch_size=8, checks=2), keep_states=True)


@each
def test_with_weight_0_it_is_the_supervised_training_bit_for_bit(technique):
    """Dropout's masks, batch normalization's statistics and all; the teacher apart, which is scored in its place."""
    data = few()
    own, plain = Alone(member_of(technique.name, weight=0.0)), Alone(member_of(""))
    for trainer in (own, plain):
        trained(trainer, data)
    a, b = (t.module.network.state_dict() for t in (own, plain))
    assert all(torch.equal(a[name], t) for name, t in b.items())


@pytest.mark.parametrize("name", ["fixmatch", "pseudo-label"])
def test_with_a_threshold_beyond_1_it_is_the_supervised_training_bit_for_bit(name):
    data = few()
    states = [trained(Alone(m), data)[0].state for m in (member_of(name, threshold=1.5), member_of(""))]
    assert all(np.array_equal(states[0][n], t) for n, t in states[1].items())


@pytest.mark.parametrize("technique", [t for t in SIX if t.name in ("fixmatch", "mean-teacher")], ids=lambda t: t.name)
def test_with_unlabelled_images_members_get_together_what_they_get_alone(technique):
    """Losses, scores and the states to export, each member with numbers of its own."""
    data = few(unlabelled=torch.randn(30, 12))
    x, further = (t.unflatten(1, (1, 3, 4)) for t in (data.x, data.unlabelled))
    data = dataclasses.replace(data, kind="image", x=x, unlabelled=further)
    several = [{**s, **({"ramp": 2.0 * i} if "ramp" in s else {})} for i, s in enumerate(settings(technique, 2))]

    def members():
        recipe = Recipe(normalization="batch", optimizer="sgd", regularization=(technique.name,))
        numbers = [{f"{technique.name}.{n}": v for n, v in s.items()} for s in several]
        return [make_member(Run(Trial(recipe, own), 5 + i), narrow, data) for i, own in enumerate(numbers)]

    together = trained(Chunk(members(), data.inputs, data.y), data, 3)
    alone = [trained(Alone(m), data, 3)[0] for m in members()]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.first_losses, b.first_losses, rtol=2e-4)
        np.testing.assert_allclose(a.loss, b.loss, rtol=2e-4)
        assert a.state.keys() == b.state.keys()
        for name in a.state:
            np.testing.assert_allclose(a.state[name], b.state[name], rtol=2e-3, atol=2e-4, err_msg=name)


def test_the_teacher_is_the_papers_mean_and_is_what_is_scored():
    data, decay = few(), 0.6
    member = member_of("mean-teacher", decay=decay)
    trainer = Alone(member)
    students = [{n: p.detach().clone() for n, p in trainer.module.network.named_parameters()}]
    order = member.order(8, 5)
    for step, chosen in enumerate(order, 1):
        trainer.step(step, 1.0, data.inputs[chosen][None], data.y[chosen[:8]][None])
        students.append({n: p.detach().clone() for n, p in trainer.module.network.named_parameters()})
    state = trainer.state(0)
    for name in students[0]:
        expected = reference.teacher([s[name].double().numpy() for s in students], decay)
        np.testing.assert_allclose(state[name], expected, rtol=1e-4, atol=1e-6)
    plain = copy.deepcopy(trainer.module.network)
    plain.load_state_dict(state)
    torch.testing.assert_close(trainer.outputs(data.x[None, :20])[0], plain.eval()(data.x[:20]))
    student = trainer.module.network.state_dict()
    assert any(not torch.allclose(student[n], state[n]) for n in state if "running_mean" in n), "statistics of its own"


def test_a_teacher_that_keeps_nothing_is_the_student():
    trainer = Alone(member_of("mean-teacher", decay=0.0))
    trained(trainer, few())
    state, student = trainer.state(0), dict(trainer.module.network.named_parameters())
    assert all(torch.equal(state[n], p) for n, p in student.items())


def test_a_teacher_and_an_average_of_the_weights_are_not_both_scored():
    recipe = Recipe(regularization=("mean-teacher", "weight-ema"))
    with pytest.raises(InvalidInput, match="each would be what is scored"):
        make_member(Run(Trial(recipe), 0), "mlp", few())


def test_the_unlabelled_are_all_of_the_training_part_and_what_was_given_and_never_validation():
    data = few(unlabelled=torch.randn(7, 12))
    member = member_of("vat", data=data)
    assert len(member.train) == 30
    assert set(member.train) < set(member.unlabelled)
    assert not set(member.unlabelled) & set(member.validation)
    assert len(set(member.unlabelled)) == len(data.x) - len(member.validation) + 7
    assert sorted(member.unlabelled)[-7:] == list(range(len(data.x), len(data.x) + 7))
    order = member.order(8, 50)
    assert order.shape == (50, 16)
    assert set(order[:, :8].flat) == set(member.train)
    assert set(order[:, 8:].flat) == set(member.unlabelled)
    assert np.array_equal(order[:, :8], member_of("", data=data).order(8, 50)), "all see the same labelled batches"


def test_a_population_learns_from_examples_without_targets():
    draws = torch.Generator().manual_seed(0)
    x, further = torch.randn(20, 3, generator=draws), torch.randn(60, 3, generator=draws)
    y = torch.arange(20) % 3

    def fitted(*weights, **kwargs):
        own = [[EntropyMinimization(w)] if w is not None else [] for w in weights]
        population = Population(
            lambda: nn.Linear(3, 3), len(weights), optimizer="sgd", lr=0.5, seeds=1, regularizers=own
        )
        fit = population.fit(x, y, 6, 5, **kwargs)
        assert fit.deviation <= fit.tolerance
        return [population.member(k).weight.detach() for k in range(len(weights))], population

    (none, weak, strong), population = fitted(None, 0.0, 2.0, unlabelled=further)
    assert torch.allclose(none, weak)
    assert not torch.allclose(weak, strong, atol=1e-3)
    assert not torch.allclose(strong, fitted(2.0)[0][0], atol=1e-3)
    losses = population.step(x[:7], y[:4])
    assert losses.shape == (3,)
    with pytest.raises(InvalidInput, match="x and y must both be"):
        Population(lambda: nn.Linear(3, 3), 2).step(x[:7], y[:4])


def test_a_teacher_belongs_to_its_member():
    x, y = torch.randn(20, 3), torch.arange(20) % 3
    population = Population(lambda: nn.Linear(3, 3), 2, optimizer="sgd", lr=0.5, regularizers=[MeanTeacher(decay=0.9)])
    population.fit(x, y, 4, 5)
    a, b = (population.member(k)(x) for k in range(2))
    assert not torch.allclose(a, b)
    torch.testing.assert_close(population.outputs(x), torch.stack([a, b]).detach())


@pytest.mark.parametrize("make", [t.make for t in SIX], ids=lambda m: m.__name__)
def test_a_number_of_unlabelled_examples_must_be_whole(make):
    with pytest.raises(InvalidInput, match="unlabelled must be a whole number of at least 1; got 0"):
        make(unlabelled=0)


def test_other_tasks_leave_them_out():
    from trainsmith.comparison.plan import candidates

    data = from_arrays(np.random.default_rng(0).normal(size=(60, 3)), np.linspace(0, 1, 60))
    _, notes = candidates(Recipe(), data, None, [find("vat"), find("sam")])
    assert "vat was left out: it is defined for classification only." in notes


def test_the_mean_teachers_term_is_the_distance_from_what_the_teacher_predicts():
    network = nn.Linear(3, 3)
    technique = MeanTeacher(noise=0.0).begun(network)
    was, x = copy.deepcopy(network), torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.weight += torch.eye(3)
    predicted, taught = network(x).softmax(-1), was(x).softmax(-1)
    assert technique.term(network, x).item() == pytest.approx((predicted - taught).square().mean().item(), rel=1e-5)
    assert technique.term(was, x).item() == 0


def test_a_mean_teacher_goes_on_from_the_state_of_another_that_had_begun():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    x, y = torch.rand(6, 3), torch.tensor([0, 1])
    first = MeanTeacher().begun(network)
    for _ in range(3):
        first(network, functional.cross_entropy, x, y)
        with torch.no_grad():
            network[0].weight.add_(0.1)
    second = MeanTeacher()
    second.load_state_dict(first.state_dict())
    for ours, theirs in zip(second.teacher(network).items(), first.teacher(network).items(), strict=True):
        assert ours[0] == theirs[0]
        assert torch.equal(ours[1], theirs[1])
    losses = []
    for technique in (first, second):
        torch.manual_seed(1)
        losses.append(technique(copy.deepcopy(network), functional.cross_entropy, x, y))
    assert torch.equal(*losses)
    begun = second.begun(network)
    assert torch.equal(begun.teacher(network)["0.weight"], network[0].weight)


def test_a_teacher_of_half_precision_moves_by_small_shares_as_one_of_single():
    """A share of 0.001 of a step is less than the rounding of the mean."""
    found = []
    for kind in (torch.bfloat16, torch.float32):
        network = nn.Linear(2, 2).to(kind)
        nn.init.zeros_(network.weight)
        technique = MeanTeacher(decay=0.999).begun(network)
        technique.step.fill_(1000)  # the mean of all weights so far would be the shorter memory before
        nn.init.ones_(network.weight)
        x, y = torch.ones(4, 2, dtype=kind), torch.tensor([0, 1])
        for step in range(300):
            if step == 150:
                stored, technique = technique.state_dict(), MeanTeacher(decay=0.999)
                technique.load_state_dict(stored)
            with torch.no_grad():
                technique(network, functional.cross_entropy, x, y)
        teacher = technique.teacher(network)
        assert {t.dtype for t in teacher.values()} == {kind}
        found.append(teacher["weight"].float())
    assert 0.2 < found[1][0, 0] < 0.3
    torch.testing.assert_close(found[0], found[1], rtol=0.01, atol=0)
