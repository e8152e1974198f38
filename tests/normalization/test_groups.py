"""Group, instance and RMS normalization against their papers, torch's layers, and what must hold."""

import numpy as np
import pytest
import torch
from torch import nn

from reference import normalization as paper
from trainsmith.errors import InvalidInput
from trainsmith.normalization import GroupNorm, InstanceNorm, LayerNorm, RMSNorm

pytestmark = pytest.mark.usefixtures("both_ways")

SHAPES = [(3, 6), (3, 6, 5), (2, 6, 2, 3)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
EPS = pytest.mark.parametrize("eps", [2.0**-17, 0.5])


def normal_input(shape, seed=0):
    return 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(layer):
    draws = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn(p.shape, generator=draws))
    return layer.double()


def numbers_of(layer):
    return [p.detach().numpy() for p in layer.parameters()]


def with_gradients(layer, shape):
    x = normal_input(shape).requires_grad_()
    y = layer(x)
    return y, torch.autograd.grad((y * normal_input(shape, 4)).sum(), [x, *layer.parameters()])


@each_shape
@EPS
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_group_normalization_is_the_papers(shape, eps, groups):
    layer, x = drawn(GroupNorm(6, groups, eps)), normal_input(shape)
    expected = paper.group(x.numpy(), *numbers_of(layer), groups, eps)
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-9, atol=1e-12)


@each_shape
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_group_normalization_is_torchs_with_its_gradients(shape, groups):
    ours, theirs = drawn(GroupNorm(6, groups, 2.0**-10)), drawn(nn.GroupNorm(groups, 6, 2.0**-10))
    torch.testing.assert_close(with_gradients(ours, shape), with_gradients(theirs, shape))
    torch.testing.assert_close(ours.plain().double()(normal_input(shape)), ours(normal_input(shape)))


@each_shape
def test_one_group_is_layer_normalization_and_a_group_for_each_channel_instance_normalization(shape):
    x = normal_input(shape)
    torch.testing.assert_close(GroupNorm(6, 1).double()(x), LayerNorm(6).double()(x))
    if len(shape) > 2:
        torch.testing.assert_close(GroupNorm(6, 6).double()(x), InstanceNorm(6).double()(x))


@pytest.mark.parametrize(
    ("channels", "groups"), [(512, 32), (1024, 32), (64, 4), (100, 5), (784, 28), (16, 1), (10, 1), (1, 1), (97, 1)]
)
def test_the_default_groups_have_at_least_16_channels_and_are_at_most_32(channels, groups):
    assert GroupNorm(channels).groups == groups


@pytest.mark.parametrize("groups", [4, 0, -1, 12])
def test_groups_that_do_not_divide_the_channels_are_refused_with_those_that_do(groups):
    with pytest.raises(InvalidInput) as error:
        GroupNorm(6, groups)
    assert str(error.value) == (
        "group: the number of groups must divide that of the channels; 6 channels cannot be cut "
        f"into {groups} equal groups. Choose one of 1, 2, 3, 6."
    )


@each_shape
@EPS
def test_instance_normalization_is_the_papers(shape, eps):
    if len(shape) == 2:
        pytest.skip("there are no positions")
    layer, x = drawn(InstanceNorm(6, eps)), normal_input(shape)
    expected = paper.group(x.numpy(), *numbers_of(layer), 6, eps)
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("shape", "kind"), [((3, 6, 5), nn.InstanceNorm1d), ((2, 6, 2, 3), nn.InstanceNorm2d)])
def test_instance_normalization_is_torchs_with_its_gradients(shape, kind):
    ours, theirs = drawn(InstanceNorm(6, 2.0**-10)), drawn(kind(6, 2.0**-10, affine=True))
    torch.testing.assert_close(with_gradients(ours, shape), with_gradients(theirs, shape))
    plain = ours.plain(len(shape))
    assert type(plain) is kind
    torch.testing.assert_close(plain.double()(normal_input(shape)), ours(normal_input(shape)))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 1)])
def test_instance_normalization_without_positions_is_refused(shape):
    with pytest.raises(InvalidInput, match="instance normalization needs at least 2 positions a channel"):
        InstanceNorm(3)(torch.ones(shape))


@each_shape
@EPS
def test_rms_normalization_is_the_papers(shape, eps):
    layer, x = drawn(RMSNorm(6, eps)), normal_input(shape)
    np.testing.assert_allclose(layer(x).detach(), paper.rms(x.numpy(), *numbers_of(layer), eps), rtol=1e-9)


def test_rms_normalization_is_torchs_with_its_gradients():
    ours, theirs = drawn(RMSNorm(6, 2.0**-10)), drawn(nn.RMSNorm(6, 2.0**-10))
    torch.testing.assert_close(with_gradients(ours, (3, 6)), with_gradients(theirs, (3, 6)))


@each_shape
def test_a_plain_rms_normalization_does_the_same(shape):
    layer = drawn(RMSNorm(6, 2.0**-6))
    torch.testing.assert_close(layer.plain(len(shape)).double()(normal_input(shape)), layer(normal_input(shape)))


@each_shape
def test_rms_normalization_of_centred_inputs_is_layer_normalization(shape):
    x = normal_input(shape)
    x = x - x.mean(tuple(range(1, x.ndim)), keepdim=True)
    torch.testing.assert_close(RMSNorm(6, 1e-5).double()(x), LayerNorm(6, 1e-5).double()(x))


def test_rms_normalization_does_not_see_the_scale_but_the_shift():
    layer, x = RMSNorm(6, 1e-12).double(), normal_input((3, 6))
    torch.testing.assert_close(layer(5 * x), layer(x))
    assert not torch.allclose(layer(x + 5), layer(x))


def test_the_defaults():
    assert repr(GroupNorm(64, 4).plain()) == repr(nn.GroupNorm(4, 64))
    assert repr(InstanceNorm(5).plain()) == repr(nn.InstanceNorm2d(5, affine=True))
    assert RMSNorm(5).plain().eps == 1e-6
