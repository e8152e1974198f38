"""Noise on inputs, weights, gradients and columns, and the confidence penalty."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from reference import augmentation as paper
from trainsmith.regularization import (
    ConfidencePenalty,
    FeatureDropout,
    GradientNoise,
    InputNoise,
    LabelSmoothing,
    SwapNoise,
    WeightNoise,
)
from uniform_draws import drawing, seeded_draws


def rows(n=4, columns=3):
    return torch.randn(n, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def normal(u, v):
    """Box & Muller 1958."""
    return math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)


def test_input_noise_adds_a_normal_number_in_units_of_each_columns_spread():
    x = rows() * torch.tensor([1.0, 100.0, 0.0]).double()
    with drawing(0.3, 0.9):
        y = InputNoise(0.5).fit(x)(x)
    torch.testing.assert_close(y - x, 0.5 * normal(0.3, 0.9) * x.std(0, correction=0).expand_as(x))
    assert torch.equal(y[:, 2], x[:, 2])


def test_input_noise_on_images_is_in_units_of_all_pixels_spread():
    x = torch.cat([torch.zeros(3, 1, 2, 2), torch.rand(3, 1, 2, 2)], 3).double()
    with drawing(0.3, 0.9):
        y = InputNoise(0.5).fit(x)(x)
    torch.testing.assert_close(y - x, torch.full_like(x, 0.5 * normal(0.3, 0.9) * x.std(correction=0).item()))


def test_input_noise_is_tikhonovs_penalty_for_a_linear_model():
    x, w = rows(200_000), torch.tensor([1.0, -2.0, 0.5]).double()
    with seeded_draws(0):
        noisy = InputNoise(0.25)(x)
    extra = (noisy @ w).square().mean() - (x @ w).square().mean()
    assert extra.item() == pytest.approx(0.25**2 * w.square().sum().item(), rel=0.05)


def test_weight_noise_adds_the_same_normal_numbers_for_the_whole_batch():
    weights = [rows(), rows(2, 2)]
    with drawing(0.3, 0.9, 0.6, 0.2):
        first, second = WeightNoise(0.5)(weights)
    torch.testing.assert_close(first - weights[0], torch.full((4, 3), 0.5 * normal(0.3, 0.9)).double())
    torch.testing.assert_close(second - weights[1], torch.full((2, 2), 0.5 * normal(0.6, 0.2)).double())


def test_weight_noise_of_a_linear_model_is_a_penalty_on_its_inputs():
    x, w = rows(1), torch.ones(50_000, 3).double()
    with seeded_draws(0):
        (noisy,) = WeightNoise(0.5)([w])
    extra = (noisy @ x[0]).var()
    assert extra.item() == pytest.approx(0.25 * x.square().sum().item(), rel=0.05)


def test_gradient_noise_adds_to_each_gradient_and_nothing_to_the_loss():
    w, b = rows().requires_grad_(), torch.zeros(3, dtype=torch.float64, requires_grad=True)
    noise = GradientNoise(0.25, 0.55).double()
    with drawing(0.3, 0.9, 0.6, 0.2):
        extra = noise([w, b])
    assert extra.item() == 0
    first, second = torch.autograd.grad((w.square().sum() / 2 + b.sum()) + extra, [w, b])
    torch.testing.assert_close(first, w.detach() + 0.5 * normal(0.3, 0.9))
    torch.testing.assert_close(second, torch.full((3,), 1 + 0.5 * normal(0.6, 0.2), dtype=torch.float64))


def test_the_variance_of_gradient_noise_falls_as_in_the_paper():
    noise, w = GradientNoise(0.25, 0.55).double(), torch.zeros(20_000, dtype=torch.float64, requires_grad=True)
    with seeded_draws(0):
        for t in range(5):
            (g,) = torch.autograd.grad(noise([w]), w)
            assert g.var().item() == pytest.approx(0.25 / (1 + t) ** 0.55, rel=0.04)
    assert noise.t == 5


def test_gradient_noise_counts_on_in_half_precision():
    noise, w = GradientNoise().bfloat16(), torch.zeros(2, 2, dtype=torch.bfloat16, requires_grad=True)
    noise.t.fill_(256)
    noise([w])
    assert noise.t.item() == 257


def test_swapped_values_come_from_the_same_column_of_the_row_that_is_drawn():
    x = rows()
    take = torch.tensor([[0.0, 0.3, 0.99], [0.5, 0.5, 0.5], [0.0, 0.0, 0.0], [0.8, 0.2, 0.6]]).double()
    hit = torch.tensor([[0.1, 0.9, 0.1], [0.9, 0.1, 0.9], [0.3, 0.29, 0.31], [0.9, 0.9, 0.9]]).double()
    with drawing(take, hit):
        y = SwapNoise(0.3).double()(x)
    expected = x.clone()
    for i, c in torch.nonzero(hit < SwapNoise(0.3).rate.double()).tolist():
        expected[i, c] = x[int(take[i, c] * 4), c]
    assert torch.equal(y, expected)
    assert (y != x).sum() >= 3


def test_hidden_values_become_the_mean_of_their_column():
    x = rows()
    hit = torch.tensor([0.1, 0.9, 0.2]).double()
    with drawing(hit):
        y = FeatureDropout(0.5).fit(x)(x)
    assert torch.equal(y[:, 1], x[:, 1])
    torch.testing.assert_close(y[:, [0, 2]], x.mean(0)[[0, 2]].expand(4, 2))


@pytest.mark.parametrize("beta", [0.0, 0.125, 2.0])
def test_the_confidence_penalty_is_the_papers(beta):
    logits, targets = 3 * rows(7, 5), torch.tensor([0, 4, 2, 2, 1, 0, 3])
    ours = ConfidencePenalty(beta)(logits, targets).item()
    assert ours == pytest.approx(paper.confidence_penalty(logits.tolist(), targets.tolist(), beta), rel=1e-12)


def test_the_confidence_penalty_at_0_is_cross_entropy_and_turns_the_divergence_of_label_smoothing_round():
    logits, targets = 3 * rows(7, 5), torch.tensor([0, 4, 2, 2, 1, 0, 3])
    torch.testing.assert_close(ConfidencePenalty(0.0)(logits, targets), functional.cross_entropy(logits, targets))
    uniform = torch.full((7, 5), 0.2, dtype=torch.float64)
    log_p = functional.log_softmax(logits, -1)
    from_p = functional.kl_div(uniform.log(), log_p, reduction="batchmean", log_target=True)
    ours = ConfidencePenalty(0.5)(logits, targets) - functional.cross_entropy(logits, targets)
    torch.testing.assert_close(ours, 0.5 * (from_p - math.log(5)))
    from_uniform = functional.kl_div(log_p, uniform, reduction="batchmean")
    smoothed = LabelSmoothing(0.5)(logits, targets)
    torch.testing.assert_close(
        smoothed, 0.5 * functional.cross_entropy(logits, targets) + 0.5 * (from_uniform + math.log(5))
    )


def test_a_network_in_evaluation_sees_no_noise():
    x = rows()
    for module in (InputNoise(1.0), SwapNoise(0.9), FeatureDropout(0.9)):
        assert module.eval()(x) is x
    (w,) = WeightNoise(1.0).eval()([x])
    assert w is x


def test_noisy_weights_serve_in_place_of_a_networks_own():
    network, x = nn.Linear(3, 2, bias=False).double(), rows()
    with drawing(0.3, 0.9):
        (w,) = WeightNoise(0.5)([network.weight])
    outputs = torch.func.functional_call(network, {"weight": w}, (x,))
    torch.testing.assert_close(outputs, network(x) + 0.5 * normal(0.3, 0.9) * x.sum(1, keepdim=True))


def test_defaults():
    found = [InputNoise().std, WeightNoise().std, GradientNoise().eta, GradientNoise().gamma]
    found += [ConfidencePenalty().beta, SwapNoise().rate, FeatureDropout().rate]
    assert [round(n.item(), 6) for n in found] == [0.1, 0.02, 0.01, 0.55, 0.1, 0.1, 0.1]
