"""Sharing, multitask and semi-supervised learning, ensembles: parts that are used alone."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from trainsmith.errors import InvalidInput
from trainsmith.regularization import (
    ConfidencePenalty,
    DropBlock,
    Ensemble,
    GradientNoise,
    InputNoise,
    MonteCarlo,
    MonteCarloDropout,
    SharedTrunk,
    StochasticPool2d,
    Teacher,
    TiedAutoencoder,
    UncertaintyWeights,
    adversarial_direction,
    average_probabilities,
    bootstrap,
    consistency,
    entropy_minimization,
    fgsm,
    fixmatch,
    monte_carlo_dropout,
    pgd,
    pseudo_label,
    ramp_up,
    rotated,
    snapshot_rate,
    soft_tying,
    virtual_adversarial,
)
from uniform_draws import seeded_draws


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def probabilities(logits):
    e = np.exp(np.asarray(logits, np.float64))
    return e / e.sum(-1, keepdims=True)


def test_soft_tying_is_the_squared_distance_of_each_pair():
    a, b, c = draws(2, 3), draws(2, 3, seed=1), draws(4, seed=2)
    expected = 0.5 * (np.square(a.numpy() - b.numpy()).sum() + np.square(c.numpy()).sum())
    assert soft_tying([(a, b), (c, torch.zeros_like(c))], 0.5).item() == pytest.approx(expected)
    assert soft_tying([(a, a)], 3.0) == 0


def test_a_tied_weight_has_the_sum_of_the_gradients_of_its_uses():
    tied, x = TiedAutoencoder(4, 3).double(), draws(5, 4)
    loss = functional.mse_loss(tied(x), x)
    gradient = torch.autograd.grad(loss, tied.weight)[0]
    encoder, decoder = tied.weight.detach().clone().requires_grad_(), tied.weight.detach().clone().requires_grad_()
    free = (x @ encoder.T + tied.encoder_bias).sigmoid() @ decoder + tied.decoder_bias
    torch.testing.assert_close(free, tied(x))
    torch.testing.assert_close(gradient, sum(torch.autograd.grad(functional.mse_loss(free, x), [encoder, decoder])))
    assert {name for name, _ in tied.named_parameters()} == {"weight", "encoder_bias", "decoder_bias"}


def test_a_shared_trunk_gives_its_features_to_every_head_and_sums_their_gradients():
    trunk, heads = nn.Linear(3, 2).double(), {"a": nn.Linear(2, 1).double(), "b": nn.Linear(2, 4).double()}
    network, x = SharedTrunk(trunk, heads), draws(5, 3)
    outputs = network(x)
    assert set(outputs) == {"a", "b"}
    for task, head in heads.items():
        assert torch.equal(outputs[task], head(trunk(x)))
    parts = [torch.autograd.grad(o.sum(), trunk.weight, retain_graph=True)[0] for o in outputs.values()]
    total = torch.autograd.grad(sum(o.sum() for o in outputs.values()), trunk.weight)[0]
    torch.testing.assert_close(total, sum(parts))


def test_uncertainty_weights_are_the_papers_and_least_where_it_says():
    weights, losses = UncertaintyWeights((True, False)).double(), torch.tensor([0.7, 2.5], dtype=torch.float64)
    with torch.no_grad():
        weights.log_variance.copy_(torch.tensor([0.4, -0.3]))
    sigma = [math.exp(0.2), math.exp(-0.15)]
    expected = 0.7 / (2 * sigma[0] ** 2) + math.log(sigma[0]) + 2.5 / sigma[1] ** 2 + math.log(sigma[1])
    assert weights(losses).item() == pytest.approx(expected)
    with torch.no_grad():
        weights.log_variance.copy_(torch.tensor([0.7, 5.0]).log())
    (gradient,) = torch.autograd.grad(weights(losses), weights.log_variance)
    assert gradient.abs().max() < 1e-7
    with pytest.raises(InvalidInput, match="expected 2 losses, one a task; got 3"):
        weights(torch.ones(3))


def test_rotated_images_come_with_their_quarters():
    x = draws(2, 1, 3, 3)
    turned, quarters = rotated(x)
    assert quarters.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    for k in range(4):
        np.testing.assert_array_equal(turned[2 * k + 1, 0], np.rot90(x[1, 0].numpy(), k))


def test_entropy_is_that_of_the_predictions():
    logits = 2 * draws(6, 4)
    p = probabilities(logits)
    assert entropy_minimization(logits).item() == pytest.approx(-(p * np.log(p)).sum(-1).mean())
    assert entropy_minimization(torch.zeros(2, 4)).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.999999])
def test_fixmatch_is_the_papers_and_the_label_carries_no_gradient(threshold):
    weak, strong = (2 * draws(8, 4)).requires_grad_(), draws(8, 4, seed=1).requires_grad_()
    q, p = probabilities(weak.detach()), probabilities(strong.detach())
    expected = sum(-math.log(p[i, q[i].argmax()]) for i in range(8) if q[i].max() >= threshold) / 8
    loss = fixmatch(weak, strong, threshold)
    assert loss.item() == pytest.approx(expected)
    assert torch.autograd.grad(loss, weak, allow_unused=True)[0] is None


def test_pseudo_labels_are_the_networks_own():
    logits = draws(8, 4)
    assert torch.equal(pseudo_label(logits, 0.5), fixmatch(logits, logits, 0.5))
    torch.testing.assert_close(pseudo_label(logits), functional.cross_entropy(logits, logits.argmax(-1)))


def test_consistency_is_the_squared_distance_of_probabilities_and_moves_one_side():
    a, b = draws(5, 3).requires_grad_(), draws(5, 3, seed=1).requires_grad_()
    expected = np.square(probabilities(a.detach()) - probabilities(b.detach())).mean()
    loss = consistency(a, b)
    assert loss.item() == pytest.approx(expected)
    assert torch.autograd.grad(loss, b, allow_unused=True)[0] is None


def test_the_ramp_is_laine_and_ailas():
    assert ramp_up(0, 80) == pytest.approx(math.exp(-5))
    assert ramp_up(40, 80) == pytest.approx(math.exp(-5 / 4))
    assert ramp_up(80, 80) == ramp_up(200, 80) == 1


def test_a_mean_teacher_is_the_plain_mean_at_first_and_then_the_exponential_one():
    student = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        student.weight.fill_(3.0)
    teacher, seen, mean = Teacher(student, decay=0.7), [3.0], 3.0
    for t in range(1, 8):
        with torch.no_grad():
            student.weight.fill_(float(t**2))
        seen.append(float(t**2))
        teacher.update(student)
        keep = min(1 - 1 / (t + 1), 0.7)
        mean = keep * mean + (1 - keep) * t**2
        assert teacher.teacher.weight.item() == pytest.approx(mean)
        if t <= 2:
            assert mean == pytest.approx(sum(seen) / len(seen))
    assert not teacher(torch.ones(1, 1).double()).requires_grad
    assert student.weight.requires_grad
    with pytest.raises(InvalidInput, match=r"decay must be a number in \[0, 1\); got 1.0"):
        Teacher(student, 1.0)


def test_a_mean_teacher_copies_running_statistics():
    student = nn.BatchNorm1d(2)
    teacher = Teacher(student)
    student(torch.randn(8, 2) + 5)
    teacher.update(student)
    assert torch.equal(teacher.teacher.running_mean, student.running_mean)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_a_mean_teacher_of_half_precision_moves_by_small_shares_and_goes_on_from_its_state(dtype):
    """A share of 0.001 of a step is less than the rounding of the mean; the first updates move it by more."""
    student, expected = nn.Linear(1, 1, bias=False).to(dtype), 0.0
    nn.init.zeros_(student.weight)
    teacher = Teacher(student, decay=0.999)
    for t in range(1, 1500):
        if t == 1200:
            state, teacher = teacher.state_dict(), Teacher(student, decay=0.999)
            teacher.load_state_dict(state)
        if t == 1000:
            nn.init.ones_(student.weight)
        teacher.update(student)
        keep = min(1 - 1 / (t + 1), 0.999)
        expected = keep * expected + (1 - keep) * student.weight.item()
    assert 0.35 < expected < 0.45
    assert teacher.teacher.weight.dtype == dtype
    assert teacher.teacher.weight.item() == pytest.approx(expected, rel=0.005)
    assert set(teacher.state_dict()) - {"mean0"} == {"teacher.weight", "_extra_state"}


def test_the_adversarial_direction_tends_to_the_leading_eigenvector_of_the_hessian():
    w, x = draws(3, 5), draws(2, 5, seed=1)

    def network(x):
        return x @ w.T

    with seeded_draws(0):
        d = adversarial_direction(network, x, xi=1e-3, rounds=60)
    for k in range(2):
        p = torch.from_numpy(probabilities(network(x[k])))
        hessian = w.T @ (torch.diag(p) - torch.outer(p, p)) @ w
        leading = torch.linalg.eigh(hessian).eigenvectors[:, -1]
        assert abs((d[k] @ leading).item()) == pytest.approx(1, abs=1e-4)


def test_the_virtual_adversarial_loss_is_the_divergence_there_and_beats_random_directions():
    w, x, epsilon = draws(3, 5).requires_grad_(), draws(4, 5, seed=1), 0.5

    def network(x):
        return x @ w.T

    with seeded_draws(0):
        d = adversarial_direction(network, x, rounds=5)
    with seeded_draws(0):
        loss = virtual_adversarial(network, x, epsilon, rounds=5)

    def divergence(direction):
        p, q = probabilities(network(x).detach()), probabilities(network(x + epsilon * direction).detach())
        return (p * np.log(p / q)).sum(-1).mean()

    assert loss.item() == pytest.approx(divergence(d))
    others = [divergence(functional.normalize(draws(4, 5, seed=s))) for s in range(20)]
    assert loss.item() > np.mean(others) * 1.5
    (gradient,) = torch.autograd.grad(loss, w)
    assert gradient.abs().max() > 0


def test_a_bootstrap_draws_with_replacement():
    chosen = bootstrap(2000, 5, seed=1)
    assert chosen.shape == (5, 2000)
    assert (chosen.min(), chosen.max()) == (0, 1999)
    distinct = [len(np.unique(row)) / 2000 for row in chosen]
    assert np.mean(distinct) == pytest.approx(1 - 1 / math.e, abs=0.01)
    assert not (chosen[0] == chosen[1]).all()
    assert (bootstrap(2000, 5, seed=1) == chosen).all()


def test_an_ensemble_averages_probabilities():
    members = [nn.Linear(3, 4).double() for _ in range(3)]
    x = draws(5, 3)
    expected = np.mean([probabilities(m(x).detach()) for m in members], axis=0)
    np.testing.assert_allclose(average_probabilities(torch.stack([m(x) for m in members])).detach(), expected)
    np.testing.assert_allclose(Ensemble(members)(x).softmax(-1).detach(), expected)
    with pytest.raises(InvalidInput, match="an ensemble needs at least one network; got none"):
        Ensemble([])


def test_the_snapshot_rate_restarts_every_cycle():
    rates = [snapshot_rate(t, 12, 3) for t in range(1, 13)]
    cycle = [(math.cos(math.pi * i / 4) + 1) / 2 for i in range(4)]
    assert rates == pytest.approx(cycle * 3)


def test_a_class_that_is_ruled_out_adds_nothing_to_an_entropy():
    logits = draws(6, 4)
    with_one_more = torch.cat([logits, torch.full((6, 1), -torch.inf)], 1).requires_grad_()
    loss = entropy_minimization(with_one_more)
    torch.testing.assert_close(loss, entropy_minimization(logits))
    (gradient,) = torch.autograd.grad(loss, with_one_more)
    assert gradient.isfinite().all()
    target = torch.tensor([0, 1, 2, 3, 0, 1])
    penalty = ConfidencePenalty(0.5)
    torch.testing.assert_close(penalty(with_one_more, target), penalty(logits, target))


def test_losses_to_be_weighted_may_come_as_a_list():
    weights = UncertaintyWeights((True, False))
    losses = torch.tensor([0.7, 2.5])
    assert torch.equal(weights([losses[0], losses[1]]), weights(losses))


LINE, ROWS, CLASSES = nn.Linear(2, 2), torch.ones(3, 2), torch.zeros(3).long()


@pytest.mark.usefixtures("shapes_unchecked")
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rotated(torch.ones(2, 1, 3, 4)), r"square images .* can be turned by quarters; got \(2, 1, 3, 4\)"),
        (lambda: snapshot_rate(1, 10, 0), r"cycles must be a whole number of at least 1; got 0"),
        (lambda: DropBlock(0.1, size=0), r"size must be a whole number of at least 1; got 0"),
        (lambda: DropBlock(0.1, size=2.5), r"size must be a whole number of at least 1; got 2.5"),
        (lambda: StochasticPool2d(0), r"kernel and stride must be whole numbers of at least 1; got 0 and None"),
        (lambda: StochasticPool2d(4)(torch.ones(2, 1, 3, 5)), r"images must be at least 4 pixels high and wide; got"),
        (
            lambda: fgsm(LINE, ROWS, CLASSES, 0.1, norm="1"),
            r'must be "inf" or "2"',
        ),
        (lambda: pgd(LINE, ROWS.byte(), CLASSES, 0.1), r"needs floating-point"),
        (lambda: pgd(LINE, ROWS, CLASSES, -0.1), r"eps must be .* 0; got -0\.1"),
        (lambda: pgd(LINE, ROWS, CLASSES, 0.1, steps=-1), r"steps must .* got -1"),
        (lambda: Ensemble([nn.Linear(2, 2)], kind="means")(torch.ones(3, 2)), r"kind must be .*; got 'means'"),
        (lambda: MonteCarlo(MonteCarloDropout(0.5)).eval()(torch.ones(3, 2)), r"the masks are not drawn yet: give"),
        (lambda: monte_carlo_dropout(nn.Dropout(), torch.ones(3, 2), 0), r"samples must be a whole .* got 0"),
        (
            lambda: InputNoise().fit(torch.ones(3, 2).byte()),
            r"input-noise .* needs floating-point numbers; got torch",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(call, said):
    with pytest.raises(InvalidInput, match=said):
        call()


def test_a_ramp_of_no_length_is_up_at_once_and_noise_on_no_gradients_is_0():
    assert ramp_up(0, 0) == ramp_up(3, 0) == 1
    assert GradientNoise()([]) == 0
