"""Which examples augmentations take: images in uint8, in half precision, one alone, none."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from each_technique import each
from trainsmith.errors import InvalidInput
from trainsmith.regularization import (
    SAM,
    ActivityKL,
    ActivityL1,
    AlphaDropout,
    AuxiliaryReconstruction,
    CutMix,
    Cutout,
    DropBlock,
    DropBranch,
    DropConnectLinear,
    Dropout,
    FeatureDropout,
    Flip,
    GaussianDropConnect,
    GradientNoise,
    GradientPenalty,
    InputNoise,
    KWinners,
    ManifoldMixup,
    MeanTeacher,
    Mixup,
    RandAugment,
    Rotation,
    Shift,
    SpatialDropout,
    SwapNoise,
    UncertainReconstruction,
    WeightNoise,
    Zoom,
)
from trainsmith.regularization.draws import normal_like, one_each, partners
from uniform_draws import seeded_draws

MOVING = [Flip(1.0), Shift(0.25), Cutout(0.5)]
CALCULATING = [Rotation(30.0), Zoom(1.5), RandAugment(1.0), InputNoise()]
HALVES = [torch.float16, torch.bfloat16]


def pictures(n=4):
    return torch.randint(256, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def changed(module, *given):
    with seeded_draws(0):
        return module(*given)


@pytest.mark.parametrize("module", MOVING, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, *HALVES], ids=str)
def test_what_only_moves_pixels_does_the_same_to_images_of_any_type(module, dtype):
    out = changed(module, pictures().to(dtype))
    assert out.dtype == dtype
    assert torch.equal(out, changed(module, pictures().float()).to(dtype))
    assert not torch.equal(out, pictures().to(dtype))


@pytest.mark.parametrize("dtype", [torch.uint8, *HALVES], ids=str)
def test_cutmix_and_swap_noise_take_examples_of_any_type(dtype):
    x, y = pictures(), torch.arange(4)
    mixed, other, share = changed(CutMix(rate=1.0), x.to(dtype), y)
    expected = changed(CutMix(rate=1.0), x.float(), y)
    assert torch.equal(mixed, expected[0].to(dtype))
    assert torch.equal(other, expected[1])
    assert share == expected[2] < 1
    rows = x[:, 0, 0].to(dtype)
    assert torch.equal(changed(SwapNoise(0.5), rows), changed(SwapNoise(0.5), rows.float()).to(dtype))


@pytest.mark.parametrize("module", [*CALCULATING, FeatureDropout(), Mixup()], ids=lambda m: type(m).__name__)
def test_what_calculates_asks_for_floating_point_numbers(module):
    x = pictures()[:, 0, 0] if isinstance(module, FeatureDropout) else pictures()
    given = (x, torch.arange(4)) if isinstance(module, Mixup) else (x,)
    with pytest.raises(InvalidInput, match=r"needs floating-point numbers; got torch.uint8. Make them such before, as"):
        module(*given)
    assert module.eval()(*given) is not None


@pytest.mark.parametrize("module", CALCULATING, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_images_in_half_precision_are_calculated_with_in_single(module, dtype):
    x = (pictures().float() / 255).to(dtype)
    out = changed(module.train(), x)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), changed(module, x.float()), rtol=0, atol=0.02)


@each("augmentation")
@pytest.mark.usefixtures("shapes_unchecked")
def test_one_image_without_a_batch_is_refused_and_an_empty_batch_is_none(technique):
    if "table" in technique.make.kinds:
        assert technique.make()(torch.zeros(0, 5)).shape == (0, 5)
        return
    with pytest.raises(InvalidInput, match=r"needs images \(n, channels, height, width\); got shape \(3, 8, 8\)"):
        technique.make()(torch.zeros(3, 8, 8))
    assert technique.make()(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("module", [CutMix(), Mixup()], ids=lambda m: type(m).__name__)
def test_an_empty_batch_is_mixed_with_none(module):
    mixed, other, share = module(torch.zeros(0, 3, 8, 8), torch.zeros(0).long())
    assert (mixed.shape, other.shape, share.shape) == ((0, 3, 8, 8), (0,), ())


def test_cutmix_of_images_without_channels_is_refused():
    with pytest.raises(InvalidInput, match=r"cutmix needs images .* got shape \(4, 8, 8\)"):
        CutMix()(torch.zeros(4, 8, 8), torch.arange(4))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_shares_orders_and_noise_of_half_precision_are_as_fine_as_those_of_single(dtype):
    x = torch.ones(4000, 3, dtype=dtype)
    assert len(one_each(x).unique()) > 3900
    torch.manual_seed(0)
    order = partners(x)
    assert abs((order[:2000] < 2000).double().mean() - 0.5) < 0.05
    mixed, _, share = changed(Mixup(), x, torch.zeros(4000))
    assert mixed.dtype == dtype
    assert share.dtype == torch.float32
    assert torch.equal(share, changed(Mixup(), x.float(), torch.zeros(4000))[2])
    noise = normal_like(torch.ones(100_000, dtype=dtype))
    assert noise.dtype == dtype
    assert noise.abs().max() > 4
    w = torch.ones(4, 3, dtype=dtype, requires_grad=True)
    assert WeightNoise()([w])[0].dtype == dtype
    GradientNoise()([w]).backward()
    assert w.grad.isfinite().all()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("make", [Dropout, AlphaDropout, SpatialDropout, lambda rate: DropBlock(rate, size=3)])
def test_units_in_half_precision_are_dropped_as_often_as_in_single(make, dtype):
    torch.manual_seed(0)
    module = make(0.0005)
    for layer in module, module.plain():
        kept = layer(torch.ones(64, 256, 16, 16, dtype=dtype)) > 0
        assert (~kept).double().mean().item() == pytest.approx(0.0005, rel=0.5)


@each("pass")
@pytest.mark.usefixtures("shapes_unchecked")
def test_an_empty_batch_costs_what_an_empty_mean_is_and_is_no_error(technique):
    shape = (4,) if "table" in getattr(technique.make, "kinds", ("table",)) else (1, 4, 4)
    x, y = torch.rand(0, *shape), torch.zeros(0).long()
    network = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 3))
    loss = technique.make()(network, functional.cross_entropy, x, y)
    assert loss.shape == ()
    assert loss.isnan() == functional.cross_entropy(network(x), y).isnan()


def function(x):
    return x @ torch.ones(4, 3)


@pytest.mark.parametrize("make", [SAM, ManifoldMixup, MeanTeacher, AuxiliaryReconstruction, UncertainReconstruction])
@pytest.mark.usefixtures("shapes_unchecked")
def test_what_looks_into_a_network_says_that_a_function_is_none(make):
    with pytest.raises(InvalidInput, match=f"{make.__name__} looks into the network .* itself; got function. Put what"):
        make()(function, functional.cross_entropy, torch.rand(5, 4), torch.zeros(5).long())


def test_sam_of_a_network_without_anything_to_train_says_so():
    with pytest.raises(InvalidInput, match="SAM needs a network with parameters to train"):
        SAM()(nn.Linear(4, 3).requires_grad_(False), functional.cross_entropy, torch.rand(5, 4), torch.zeros(5).long())


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_sam_goes_as_far_uphill_in_half_precision_as_in_single(dtype):
    """The squares of these slopes, 300 each, are beyond 65504."""
    moved = []
    for kind in (dtype, torch.float32):
        network = nn.Linear(2, 1, bias=False, dtype=kind)
        nn.init.constant_(network.weight, 1.0)
        x = torch.full((1, 2), 300.0, dtype=kind)
        moved.append(SAM(0.5).to(kind)(network, lambda out, y: out.mean(), x, x).item())
    assert moved[1] == pytest.approx(600 + 0.5 * 300 * 2**0.5, rel=1e-6)
    assert moved[0] == pytest.approx(moved[1], rel=0.01)


@pytest.mark.parametrize("layer", [KWinners(), ActivityL1(), ActivityKL(), DropBlock(), DropBranch()],
                         ids=lambda m: type(m).__name__)  # fmt: skip
@pytest.mark.usefixtures("shapes_unchecked")
def test_one_example_without_a_batch_is_refused_by_what_needs_one(layer):
    with pytest.raises(InvalidInput, match=r"needs a batch \(n, units, ...\); got shape \(5,\). Of one .* x\[None\]"):
        layer(torch.rand(5))
    assert layer(torch.rand(5)[None]).shape == (1, 5)
    layer.eval()
    assert isinstance(layer, KWinners) or layer(torch.rand(5)).shape == (5,)


def test_the_exported_drop_block_takes_an_empty_batch():
    assert DropBlock().plain()(torch.zeros(0, 2, 8, 8)).shape == (0, 2, 8, 8)


@pytest.mark.parametrize("axes", [(), (4,), (2, 3)], ids=str)
def test_drop_connect_takes_any_axes_before_the_features_and_draws_a_mask_for_each_row(axes):
    layer = DropConnectLinear(5, 3, 0.25).double()
    x = torch.rand(*axes, 5).double()
    torch.manual_seed(4)
    got = layer(x)
    torch.manual_seed(4)
    masks = (torch.rand(*axes, 3, 5, dtype=torch.float64) >= 0.25).reshape(-1, 3, 5)
    kept = (torch.rand(*axes, 3, dtype=torch.float64) >= 0.25).reshape(-1, 3)
    weight, bias = layer.linear.weight, layer.linear.bias
    rows = [(weight * m) @ r + bias * k for m, r, k in zip(masks, x.reshape(-1, 5), kept, strict=True)]
    torch.testing.assert_close(got, torch.stack(rows).reshape(*axes, 3))
    layer.eval()
    for way in (layer, layer.gaussian_relu, lambda z: layer.gaussian(z, 2)):
        assert way(x).shape == (*axes, 3)
    gaussian = GaussianDropConnect(nn.Linear(5, 3), nn.ReLU(), 0.25).double().eval()
    torch.testing.assert_close(gaussian(x).reshape(-1, 3), gaussian(x.reshape(-1, 5)))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_gradient_penalty_of_half_precision_is_squared_in_single(dtype):
    network = nn.Linear(2, 1, bias=False, dtype=dtype)
    nn.init.constant_(network.weight, 300.0)
    x = torch.ones(4, 2, dtype=dtype)
    assert GradientPenalty(0.01)(network, lambda out, y: out.mean(), x, x).item() == pytest.approx(1500, rel=0.01)
