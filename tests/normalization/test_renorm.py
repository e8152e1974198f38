"""Batch renormalization and ghost batch normalization."""

import numpy as np
import pytest
import torch
from torch import nn

from reference import normalization as paper
from trainsmith.errors import InvalidInput
from trainsmith.normalization import BatchNorm, BatchRenorm, GhostBatchNorm

pytestmark = pytest.mark.usefixtures("both_ways")

SHAPES = [(6, 3), (5, 3, 4), (4, 3, 2, 3)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def normal_input(shape, seed=0):
    return 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(layer):
    draws = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn(p.shape, generator=draws))
    return layer.double()


def numbers_of(layer):
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


@each_shape
@pytest.mark.parametrize("warmup", [0.0, 4.0, 100.0])
def test_batch_renormalization_is_the_papers_step_by_step(shape, warmup):
    layer = drawn(BatchRenorm(3, momentum=0.25, r_max=1.5, d_max=0.5, warmup=warmup, eps=2.0**-10))
    batches = [normal_input(shape, seed) for seed in range(8)]
    grown = [min(1.0, t / warmup) if warmup else 1.0 for t in range(8)]
    limits = [(1 + 0.5 * g, 0.5 * g) for g in grown]
    ours = [layer(x).detach() for x in batches]
    theirs, mean, std = paper.renormalized([x.numpy() for x in batches], *numbers_of(layer), 0.25, limits, 2.0**-10)
    for y, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-9)
    np.testing.assert_allclose(layer.running_std, std, rtol=1e-9)


@each_shape
def test_without_room_for_corrections_it_is_batch_normalization_with_its_gradient(shape):
    ours, theirs = drawn(BatchRenorm(3, r_max=1.0, d_max=0.0, warmup=0.0)), drawn(BatchNorm(3))
    for seed in range(3):
        x = normal_input(shape, seed).requires_grad_()
        outputs = ours(x), theirs(x)
        torch.testing.assert_close(*outputs)
        gradients = [torch.autograd.grad((y * normal_input(shape, 7)).sum(), x) for y in outputs]
        torch.testing.assert_close(*gradients)


@each_shape
def test_with_wide_limits_training_does_what_evaluation_does(shape):
    layer = drawn(BatchRenorm(3, r_max=1e3, d_max=1e3, warmup=0.0))
    for seed in range(5):
        layer(normal_input(shape, seed))
    x = normal_input(shape, 9)
    torch.testing.assert_close(layer.eval()(x), layer.train()(x))


def test_the_gradient_takes_the_corrections_as_constants():
    layer = drawn(BatchRenorm(2, r_max=2.0, d_max=1.0, warmup=0.0))
    layer(normal_input((6, 2), 1))
    x = normal_input((6, 2)).requires_grad_()
    mean, std = x.detach().mean(0), (x.detach().var(0, correction=0) + layer.eps).sqrt()
    r = (std / layer.running_std).clamp(0.5, 2)
    d = ((mean - layer.running_mean) / layer.running_std).clamp(-1, 1)

    def fixed(x):
        normal = (x - x.mean(0)) / (x.var(0, correction=0) + layer.eps).sqrt()
        return layer.weight * (normal * r + d) + layer.bias

    way_back = normal_input((6, 2), 4)
    expected = torch.autograd.grad((fixed(x) * way_back).sum(), [x, layer.weight, layer.bias])
    torch.testing.assert_close(torch.autograd.grad((layer(x) * way_back).sum(), [x, *layer.parameters()]), expected)


@each_shape
def test_evaluation_is_torchs_batch_normalization_with_the_running_numbers(shape):
    layer = drawn(BatchRenorm(3, momentum=0.5, eps=2.0**-6))
    for seed in range(4):
        layer(normal_input(shape, seed))
    x = normal_input(shape, 9)
    before = layer.running_mean.clone()
    plain = layer.eval().plain(len(shape))
    assert isinstance(plain, nn.modules.batchnorm._BatchNorm)
    assert not plain.training
    torch.testing.assert_close(plain.double()(x), layer(x), rtol=1e-5, atol=1e-6)
    assert torch.equal(layer.running_mean, before)


def test_a_batch_without_a_variance_is_refused():
    with pytest.raises(InvalidInput, match=r"at least 2 values per feature; got \(1, 3\)"):
        BatchRenorm(3)(torch.ones(1, 3))
    assert BatchRenorm(3).eval()(torch.ones(1, 3)).isfinite().all()


@pytest.mark.parametrize("positions", [(), (4,), (2, 3)], ids=str)
def test_each_ghost_batch_is_normalized_by_itself_and_moves_the_running_statistics(positions):
    layer = drawn(GhostBatchNorm(3, size=4, momentum=0.25, eps=2.0**-10))
    x = normal_input((12, 3, *positions))
    y = layer(x).detach()
    parts = [part.numpy() for part in x.split(4)]
    expected = np.concatenate([paper.batch(part, *numbers_of(layer), 2.0**-10) for part in parts])
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
    mean, variance = paper.running(parts, 3, 0.25)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-9)
    np.testing.assert_allclose(layer.running_var, variance, rtol=1e-9)


@pytest.mark.parametrize(("count", "sizes"), [(13, [5, 4, 4]), (14, [4, 4, 3, 3]), (5, [5]), (6, [3, 3]), (2, [2])])
def test_a_batch_that_is_no_multiple_is_cut_into_parts_that_are_nearly_equal(count, sizes):
    layer, x = GhostBatchNorm(3, size=4).double(), normal_input((count, 3))
    expected = torch.cat([BatchNorm(3).double()(part) for part in x.split(sizes)])
    torch.testing.assert_close(layer(x), expected)


def test_a_ghost_batch_of_the_whole_batch_is_batch_normalization_and_so_is_evaluation():
    ours, theirs, x = drawn(GhostBatchNorm(3, size=12)), drawn(BatchNorm(3)), normal_input((12, 3))
    torch.testing.assert_close(ours(x), theirs(x))
    small = drawn(GhostBatchNorm(3, size=2))
    small.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(small.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("size", [1, 0])
def test_a_ghost_batch_of_one_example_is_refused(size):
    with pytest.raises(InvalidInput, match=f"ghost-batch: size must be a whole number of at least 2; got {size}"):
        GhostBatchNorm(3, size=size)
    assert GhostBatchNorm(3).size == 32


def test_batch_renorm_counts_its_warm_up_on_in_half_precision():
    layer = BatchRenorm(3, warmup=1000.0).bfloat16()
    layer.steps.fill_(256)
    layer(torch.randn(8, 3).bfloat16())
    assert layer.steps.item() == 257
