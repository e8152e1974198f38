"""Dropped channels, blocks, weights and branches; drawn activations; many masks: papers, expectations, limits."""

import numpy as np
import pytest
import torch
from torch import nn

from reference import dropped as paper
from trainsmith.regularization import (
    AlphaDropout,
    DropBlock,
    DropBranch,
    DropConnect,
    DropConnectLinear,
    GaussianDropConnect,
    MonteCarlo,
    MonteCarloDropout,
    SpatialDropout,
    StochasticDepth,
    StochasticPool2d,
    linear_decay,
    monte_carlo_dropout,
)

IMAGES = torch.randn(3, 4, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def same_draws(layer, *inputs):
    torch.manual_seed(5)
    return layer(*inputs)


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
def test_spatial_dropout(rate):
    y = same_draws(SpatialDropout(rate), IMAGES)
    torch.manual_seed(5)
    uniform = torch.rand_like(IMAGES[:, :, 0, 0].contiguous())
    np.testing.assert_allclose(y, paper.spatial_dropout(IMAGES.numpy(), uniform.numpy(), rate), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_alpha_dropout(rate):
    y = same_draws(AlphaDropout(rate), IMAGES)
    torch.manual_seed(5)
    uniform = torch.rand_like(IMAGES)
    np.testing.assert_allclose(y, paper.alpha_dropout(IMAGES.numpy(), uniform.numpy(), np.float32(rate)), atol=1e-6)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_alpha_dropout_keeps_mean_0_and_variance_1(rate):
    torch.manual_seed(0)
    y = AlphaDropout(rate)(torch.randn(400_000))
    assert y.mean().item() == pytest.approx(0, abs=0.01)
    assert y.var().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("rate", "size"), [(0.1, 3), (0.3, 5), (0.2, 1)])
def test_drop_block(rate, size):
    y = same_draws(DropBlock(rate, size), IMAGES)
    torch.manual_seed(5)
    uniform = torch.rand_like(IMAGES[..., : 9 - size + 1, : 8 - size + 1])
    np.testing.assert_allclose(y, paper.drop_block(IMAGES.numpy(), uniform.numpy(), np.float32(rate), size), rtol=1e-6)


@pytest.mark.parametrize("kind", [DropBlock, lambda rate, size: DropBlock(rate, size).plain()])
def test_each_slice_of_a_volume_has_blocks_of_its_own(kind):
    volumes = IMAGES.unflatten(1, (2, 2))
    flat, deep = same_draws(kind(0.2, 3), IMAGES), same_draws(kind(0.2, 3), volumes)
    assert deep.shape == (3, 2, 2, 9, 8)
    assert torch.equal(deep.flatten(1, 2), flat)
    assert (flat == 0).any()


def test_blocks_never_exceed_the_map_and_their_share_is_about_the_rate():
    assert DropBlock(0.1, 7)(torch.ones(2, 1, 4, 4)).shape == (2, 1, 4, 4)
    torch.manual_seed(0)
    y = DropBlock(0.05, 5)(torch.ones(2000, 1, 30, 30))
    assert (y == 0).double().mean().item() == pytest.approx(0.05, abs=0.005)
    torch.testing.assert_close(y.flatten(1).mean(1), torch.ones(2000))


def test_one_example_s_blocks_do_not_touch_another_s_scale():
    x = torch.ones(2, 1, 8, 8)
    torch.manual_seed(1)
    both = DropBlock(0.3, 3)(x)
    x[1] = 7.0
    torch.manual_seed(1)
    assert torch.equal(DropBlock(0.3, 3)(x)[0], both[0])


def test_drop_connect_keeps_the_mean_weight_and_drops_its_rate():
    torch.manual_seed(0)
    (w,) = DropConnect(0.25)([torch.ones(400, 400)])
    assert (w == 0).double().mean().item() == pytest.approx(0.25, abs=0.01)
    assert w.mean().item() == pytest.approx(1, abs=0.01)
    assert DropConnect(0.25).eval()([w])[0] is w


def test_drop_connect_linear_s_moments_are_those_of_its_masks():
    torch.manual_seed(0)
    layer = DropConnectLinear(6, 4, 0.4).double()
    x = torch.randn(1, 6, dtype=torch.float64)
    draws = layer(x.expand(200_000, 6))
    mean, std = layer.moments(x)
    torch.testing.assert_close(draws.mean(0), mean[0], atol=0.01, rtol=0)
    torch.testing.assert_close(draws.std(0), std[0], atol=0.01, rtol=0)
    torch.testing.assert_close(layer.eval()(x), mean)


def test_drop_connect_masks_differ_between_examples():
    torch.manual_seed(0)
    y = DropConnectLinear(30, 5, 0.5)(torch.ones(2, 30))
    assert not torch.equal(y[0], y[1])


def test_gaussian_inference_tends_to_its_closed_form_and_is_near_the_masks_mean():
    torch.manual_seed(1)
    layer = DropConnectLinear(200, 5, 0.5).double()
    x = torch.randn(3, 200, dtype=torch.float64)
    limit = layer.gaussian_relu(x)
    torch.testing.assert_close(layer.gaussian(x, 40_000), limit, atol=0.02, rtol=0)
    drawn = torch.stack([layer(x).relu() for _ in range(4000)]).mean(0)
    torch.testing.assert_close(drawn, limit, atol=0.03, rtol=0)
    sure = DropConnectLinear(4, 2, 0.0)
    torch.testing.assert_close(sure.gaussian_relu(torch.ones(1, 4)), sure.linear(torch.ones(1, 4)).relu())


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_gaussian_inference_of_a_layer_with_its_activation_is_the_closed_form(rate):
    torch.manual_seed(1)
    layer, x = nn.Linear(50, 7).double(), torch.randn(4, 50, dtype=torch.float64)
    relu, identity = (GaussianDropConnect(layer, f, rate).double().eval() for f in (nn.ReLU(), nn.Identity()))
    mean, std = paper.dropped_moments(x.numpy(), layer.weight.detach().numpy(), layer.bias.detach().numpy(), rate)
    np.testing.assert_allclose(identity.moments(x)[0].detach(), mean, rtol=1e-6)
    np.testing.assert_allclose(identity.moments(x)[1].detach(), std, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(identity(x).detach(), mean, atol=1e-5)
    np.testing.assert_allclose(relu(x).detach(), paper.mean_of_relu(mean, std), atol=0.01 * std.max() + 1e-9)
    drawn = torch.stack([identity.train()(x) for _ in range(3000)]).detach()
    np.testing.assert_allclose(drawn.std(0), std, rtol=0.1, atol=1e-9)


def test_masks_of_monte_carlo_dropout_are_averaged_as_probabilities():
    torch.manual_seed(2)
    drop, last = MonteCarloDropout(0.4), nn.Linear(5, 3)
    x = torch.rand(4, 5)
    drop.initialize(x)
    assert torch.equal(drop.eval()(x), x)
    network = MonteCarlo(nn.Sequential(drop, last)).eval()
    masks = (drop.uniform[:, 0] >= 0.4) / 0.6
    assert len(masks.unique(dim=0)) > 5
    expected = torch.stack([last(x * mask).softmax(-1) for mask in masks]).mean(0)
    torch.testing.assert_close(network(x).softmax(-1), expected)
    assert not torch.equal(network.train()(x), network(x)), "in training each pass has masks of its own"
    drop.rate.fill_(0.0)
    torch.testing.assert_close(network.eval()(x).softmax(-1), last(x).softmax(-1))


def test_stochastic_depth_s_rate_rises_in_a_line_over_the_branches():
    torch.manual_seed(0)
    y = DropBranch(0.4, share=0.5)(torch.ones(40_000, 2))
    assert (y == 0).double().mean().item() == pytest.approx(0.2, abs=0.01)
    assert y.max().item() == pytest.approx(1.25)


def test_stochastic_pooling_draws_and_weights_as_the_paper_says():
    x = torch.randn(2, 3, 7, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64).relu()
    x[0, 0, :2, :2] = 0
    layer = StochasticPool2d(2)
    torch.manual_seed(5)
    y = layer(x)
    torch.manual_seed(5)
    uniform = torch.rand(6, 9, 1, dtype=torch.float64).view(2, 3, 3, 3)
    weighted = layer.eval()(x)
    for i in range(2):
        for c in range(3):
            np.testing.assert_allclose(y[i, c], paper.pooled(x[i, c].numpy(), 2, uniform[i, c].numpy()))
            np.testing.assert_allclose(weighted[i, c], paper.pooled(x[i, c].numpy(), 2))


def test_the_mean_of_the_draws_is_the_weighted_mean():
    x = torch.rand(1, 1, 3, 3, generator=torch.Generator().manual_seed(0)).expand(60_000, 1, 3, 3)
    torch.manual_seed(0)
    layer = StochasticPool2d(3)
    assert layer(x).mean().item() == pytest.approx(layer.eval()(x[:1]).item(), abs=0.005)


def test_stochastic_depth_drops_branches_of_examples_and_keeps_the_mean():
    torch.manual_seed(0)
    block = StochasticDepth(nn.Identity(), 0.25)
    y = block(torch.ones(40_000, 3))
    assert sorted(y.unique().tolist()) == pytest.approx([1, 1 + 1 / 0.75])
    assert (y == y[:, :1]).all()
    assert y.mean().item() == pytest.approx(2, abs=0.02)
    assert block.eval()(torch.ones(1, 3)).tolist() == [[2.0] * 3]
    assert [linear_decay(k, 4) for k in (1, 4)] == [0.125, 0.5]


def test_monte_carlo_dropout_draws_masks_and_leaves_the_network_as_it_was():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 50), nn.BatchNorm1d(50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 3)).train()
    before = {n: b.clone() for n, b in network.named_buffers()}
    mean, information = monte_carlo_dropout(network, torch.randn(5, 4), 200)
    torch.testing.assert_close(mean.sum(1), torch.ones(5))
    assert (information > 1e-3).all()
    assert all(m.training for m in network.modules())
    assert all(torch.equal(b, before[n]) for n, b in network.named_buffers())
    network[3].p = 0.0
    information = monte_carlo_dropout(network, torch.randn(200, 4), 5)[1]
    assert information.min() >= 0, "rounding of equal entropies is no information"
    assert information.max() < 1e-6


@pytest.mark.parametrize("make", [SpatialDropout, AlphaDropout, DropBlock])
def test_in_evaluation_it_is_the_identity(make):
    assert make(0.4).eval()(IMAGES) is IMAGES
