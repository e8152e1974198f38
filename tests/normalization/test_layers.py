"""Batch and layer normalization against their papers, torch's layers, and what must hold."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from reference import normalization as paper
from trainsmith.catalogue import number_in
from trainsmith.errors import InvalidInput
from trainsmith.normalization import (
    BatchNorm,
    BatchRenorm,
    GhostBatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    NoNormalization,
    RMSNorm,
)

pytestmark = pytest.mark.usefixtures("both_ways")

SHAPES = [(6, 4), (5, 3, 7), (4, 3, 2, 5)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
TORCHS_BATCH_NORM = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}


def normal_input(shape, seed=0):
    return 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_random_affine(layer):
    draws = torch.Generator().manual_seed(9)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=draws))
        layer.bias.copy_(torch.randn(layer.bias.shape, generator=draws))
    return layer.double()


def numbers_of(layer):
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


@each_shape
@pytest.mark.parametrize("eps", [2.0**-17, 0.5])
def test_batch_normalization_in_training_is_the_papers(shape, eps):
    layer, x = with_random_affine(BatchNorm(shape[1], eps=eps)), normal_input(shape)
    np.testing.assert_allclose(layer(x).detach(), paper.batch(x.numpy(), *numbers_of(layer), eps), rtol=1e-9)


@each_shape
def test_running_statistics_are_moving_averages_of_unbiased_batch_statistics(shape):
    layer = BatchNorm(shape[1], momentum=0.25).double()
    batches = [normal_input(shape, seed) for seed in range(4)]
    for x in batches:
        layer(x)
    mean, variance = paper.running([x.numpy() for x in batches], shape[1], 0.25)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, variance, rtol=1e-12)


@each_shape
def test_batch_normalization_in_evaluation_uses_the_running_statistics_and_leaves_them(shape):
    layer, x = with_random_affine(BatchNorm(shape[1], momentum=0.5, eps=0.25)), normal_input(shape)
    layer(normal_input(shape, 1))
    mean, variance = layer.running_mean.clone().numpy(), layer.running_var.clone().numpy()
    y = layer.eval()(x).detach()
    expected = paper.batch_in_evaluation(x.numpy(), *numbers_of(layer), 0.25, mean, variance)
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(layer.running_mean, mean)
    np.testing.assert_array_equal(layer.running_var, variance)


@each_shape
def test_batch_normalization_is_torchs_with_its_gradients_and_running_statistics(shape):
    ours = with_random_affine(BatchNorm(shape[1], momentum=0.25, eps=2.0**-10))
    theirs = TORCHS_BATCH_NORM[len(shape)](shape[1], momentum=0.25, eps=2.0**-10).double()
    theirs.load_state_dict({n: t for n, t in ours.state_dict().items() if n not in ("momentum", "eps")}, strict=False)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        x = normal_input(shape, 3).requires_grad_()
        way_back = normal_input(shape, 4)
        outputs = ours(x), theirs(x)
        torch.testing.assert_close(*outputs)
        gradients = [
            torch.autograd.grad((y * way_back).sum(), [x, m.weight, m.bias])
            for y, m in zip(outputs, (ours, theirs), strict=True)
        ]
        torch.testing.assert_close(*gradients)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)


@pytest.mark.parametrize("count", [1, 3])
def test_the_gradient_passes_through_the_batch_statistics(count):
    layer = with_random_affine(BatchNorm(2))
    x = normal_input((4, 2, count)).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), x)
    torch.testing.assert_close(gradient.sum((0, 2)), torch.zeros(2).double(), atol=1e-9, rtol=0)


def test_running_statistics_carry_no_gradient():
    layer = BatchNorm(2)
    layer(torch.randn(4, 2, requires_grad=True))
    assert not layer.running_mean.requires_grad
    assert not layer.running_var.requires_grad


def test_a_batch_without_a_variance_is_refused():
    with pytest.raises(InvalidInput, match=r"at least 2 values per feature; got shape \(1, 3\)"):
        BatchNorm(3)(torch.ones(1, 3))
    assert BatchNorm(3).eval()(torch.ones(1, 3)).isfinite().all()
    assert BatchNorm(3)(torch.ones(1, 3, 2)).isfinite().all()


def test_momentum_one_keeps_the_last_batch_and_momentum_zero_the_start():
    x = normal_input((50, 2)).float()
    last, start = BatchNorm(2, momentum=1.0), BatchNorm(2, momentum=0.0)
    last(x), start(x)
    torch.testing.assert_close(last.running_mean, x.mean(0))
    torch.testing.assert_close(last.running_var, x.var(0))
    assert start.running_mean.tolist() == [0, 0]
    assert start.running_var.tolist() == [1, 1]


def test_the_defaults_are_torchs():
    assert repr(BatchNorm(5).plain()) == repr(nn.BatchNorm1d(5))
    assert repr(LayerNorm(5).plain()) == repr(nn.LayerNorm(5))


def test_stacked_batch_normalizations_move_each_members_running_statistics_in_place():
    layers = [with_random_affine(BatchNorm(3, momentum=m, eps=e)) for m, e in ((0.1, 1e-5), (0.5, 1.0), (1.0, 1e-3))]
    inputs = torch.stack([normal_input((6, 3, 2), seed) for seed in range(3)])
    parameters, buffers = stack_module_state(layers)
    where = buffers["running_mean"].data_ptr()
    together = vmap(lambda p, b, x: functional_call(layers[0], {**p, **b}, (x,)))(parameters, buffers, inputs)
    assert buffers["running_mean"].data_ptr() == where
    for k, layer in enumerate(layers):
        torch.testing.assert_close(together[k], layer(inputs[k]))
        torch.testing.assert_close(buffers["running_mean"][k], layer.running_mean)
        torch.testing.assert_close(buffers["running_var"][k], layer.running_var)


@each_shape
@pytest.mark.parametrize("eps", [2.0**-17, 0.5])
def test_layer_normalization_is_the_papers(shape, eps):
    layer, x = with_random_affine(LayerNorm(shape[1], eps=eps)), normal_input(shape)
    np.testing.assert_allclose(layer(x).detach(), paper.layer(x.numpy(), *numbers_of(layer), eps), rtol=1e-9)


@each_shape
def test_layer_normalization_is_torchs_with_its_gradients(shape):
    ours = with_random_affine(LayerNorm(shape[1], eps=2.0**-10))
    theirs = (nn.LayerNorm(shape[1], 2.0**-10) if len(shape) == 2 else nn.GroupNorm(1, shape[1], 2.0**-10)).double()
    theirs.load_state_dict({"weight": ours.weight, "bias": ours.bias})
    x = normal_input(shape).requires_grad_()
    way_back = normal_input(shape, 4)
    outputs = ours(x), theirs(x)
    torch.testing.assert_close(*outputs)
    gradients = [
        torch.autograd.grad((y * way_back).sum(), [x, m.weight, m.bias])
        for y, m in zip(outputs, (ours, theirs), strict=True)
    ]
    torch.testing.assert_close(*gradients)


def test_layer_normalization_does_not_see_scale_and_shift_of_an_example():
    layer, x = LayerNorm(8, eps=1e-12).double(), normal_input((4, 8))
    torch.testing.assert_close(layer(5 * x - 2), layer(x))


def test_layer_normalization_takes_each_example_by_itself():
    layer, x = LayerNorm(8).double(), normal_input((4, 8))
    torch.testing.assert_close(layer(x)[1:2], layer(x[1:2]), rtol=0, atol=1e-14)


@each_shape
@pytest.mark.parametrize("make", [BatchNorm, LayerNorm])
def test_the_plain_layer_does_the_same(make, shape):
    ours = with_random_affine(make(shape[1], eps=2.0**-6))
    ours(normal_input(shape, 1))
    plain = ours.plain(len(shape)).double()
    for training in (True, False):
        torch.testing.assert_close(
            plain.train(training)(normal_input(shape)), ours.train(training)(normal_input(shape))
        )


def test_a_plain_layer_of_a_layer_in_evaluation_is_in_evaluation():
    assert not BatchNorm(2).eval().plain().training


def test_no_normalization_gives_back_what_it_gets():
    x = torch.randn(3, 2)
    assert NoNormalization()(x) is x


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_rms_normalization_in_half_precision_is_torchs_also_where_squares_overflow(kind):
    x = (torch.randn(4, 8, generator=torch.Generator().manual_seed(0)) * 400).to(kind)
    ours, torchs = RMSNorm(8).to(kind), nn.RMSNorm(8, eps=1e-6).to(kind)
    assert ours(x).dtype == kind
    assert ours.plain(3)(x).dtype == kind
    torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.plain(3)(x), torchs(x))


LAYERS = [
    (lambda: BatchNorm(4), (32, 4)),
    (lambda: BatchNorm(4), (8, 4, 3, 3)),
    (lambda: BatchRenorm(4, warmup=0.0), (32, 4)),
    (lambda: GhostBatchNorm(4, size=8), (32, 4)),
    (lambda: GhostBatchNorm(4, size=8), (27, 4)),
    (lambda: LayerNorm(4), (8, 4, 3, 3)),
    (lambda: LayerNorm(4), (32, 4)),
    (lambda: GroupNorm(4, groups=2), (8, 4, 3, 3)),
    (lambda: InstanceNorm(4), (8, 4, 3, 3)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS)
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_normalized_in_single_as_under_autocast(make, shape, kind):
    """Weights in single, inputs in half with a large mean: a mean in half would move the running one off."""
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) + 20.03).to(kind)
    layer, exact = make(), make().double()
    for training in (True, False):
        y, expected = layer.train(training)(x), exact.train(training)(x.double())
        assert y.dtype == kind
        assert torch.equal(y, expected.to(kind)) or (y - expected).abs().max() <= torch.finfo(kind).eps * 4
    for name, statistic in layer.named_buffers():
        if name.startswith("running"):
            torch.testing.assert_close(statistic.double(), exact.get_buffer(name), rtol=1e-4, atol=1e-5)


def test_the_numbers_of_a_layer_are_read_from_brain_floats():
    assert LayerNorm(4, eps=1e-3).bfloat16().plain().eps == pytest.approx(1e-3, rel=0.01)
    assert [number_in(torch.tensor(v, dtype=torch.bfloat16)) for v in (0.1, 0.5, 3.0, 1e-5, 0.0)] == [
        0.1, 0.5, 3.0, 1e-5, 0.0,
    ]  # fmt: skip


LAYERS = [BatchNorm, BatchRenorm, GhostBatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm]


@pytest.mark.usefixtures("shapes_unchecked")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", LAYERS)
def test_inputs_with_other_features_or_whole_numbers_are_refused(make, training):
    """Also where torch would have broadcast the one feature of the layer."""
    for features, x in [(4, torch.ones(6, 5, 4)), (4, torch.ones(4)), (1, torch.ones(6, 5, 4)), (1, torch.ones(3))]:
        shape = str(tuple(x.shape)).replace("(", r"\(").replace(")", r"\)")
        said = rf"of {features} features needs .*inputs \(n, {features}, \.\.\.\); got torch.float32 of shape {shape}"
        with pytest.raises(InvalidInput, match=said):
            make(features).train(training)(x)
    with pytest.raises(InvalidInput, match=r"got torch\.int64"):
        make(4).train(training)(torch.ones(6, 4, 5, dtype=torch.int64))


@pytest.mark.parametrize("make", LAYERS)
def test_an_empty_batch_stays_one_in_evaluation_and_where_each_example_is_by_itself(make):
    layer, x = make(4), torch.zeros(0, 4, 3, requires_grad=True)
    alone = make in (GroupNorm, InstanceNorm, LayerNorm, RMSNorm)
    y = layer.train(alone)(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == x.shape
    if not alone:
        with pytest.raises(InvalidInput, match="needs at least 2 values per feature"):
            layer.train()(x)
