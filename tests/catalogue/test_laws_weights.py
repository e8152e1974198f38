"""What holds for every initialization."""

import pytest
import torch
from torch import nn

from each_technique import each, seeded, settings, weight_of
from trainsmith.errors import InvalidInput

SHAPES = [(6, 4), (4, 6), (5, 3, 3), (4, 2, 3, 3)]


@each("weights")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_fills_the_weight_in_place_and_gives_it_back(technique, shape, dtype):
    weight = weight_of(shape, dtype)
    filled = technique.make(weight, generator=seeded())
    assert filled is weight
    assert weight.isfinite().all()
    assert (weight.shape, weight.dtype) == (shape, dtype)


@each("weights")
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(technique):
    for numbers in settings(technique):
        first, again, other = (technique.make(weight_of(), **numbers, generator=seeded(s)) for s in (1, 1, 2))
        assert torch.equal(first, again)
        if first.unique().numel() > 1:
            assert not torch.equal(first, other)


@each("weights")
def test_single_precision_is_double_precision_rounded(technique):
    narrow = technique.make(weight_of(dtype=torch.float32), generator=seeded())
    wide = technique.make(weight_of(dtype=torch.float64), generator=seeded())
    assert torch.equal(narrow, wide.float())


@each("weights")
def test_it_draws_from_the_given_generator_and_leaves_torchs_own_alone(technique):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = technique.make(weight_of(), generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert torch.equal(technique.make(weight_of(), generator=seeded()), first)


@each("weights")
def test_without_a_generator_torchs_own_is_used(technique):
    torch.manual_seed(5)
    first = technique.make(weight_of())
    torch.manual_seed(5)
    assert torch.equal(technique.make(weight_of()), first)


@each("weights")
def test_what_was_in_the_weight_does_not_matter(technique):
    assert torch.equal(
        technique.make(torch.full((6, 4), 1e30), generator=seeded()), technique.make(weight_of(), generator=seeded())
    )


@each("weights")
def test_a_parameter_stays_a_leaf_that_wants_its_gradient(technique):
    weight = nn.Parameter(weight_of())
    technique.make(weight, generator=seeded())
    assert weight.is_leaf
    assert weight.requires_grad
    assert weight.grad_fn is None


@each("weights")
def test_a_weight_whose_axes_lie_otherwise_in_memory_gets_the_same(technique):
    transposed = weight_of((4, 6)).T
    assert torch.equal(
        technique.make(transposed, generator=seeded()), technique.make(weight_of((6, 4)), generator=seeded())
    )


WITHOUT_FANS = {"zeros", "constant", "normal", "uniform", "truncated-normal"}
"""Those whose spread is fixed: they fill biases and gains too, as torch's of these names do."""


@each("weights")
@pytest.mark.parametrize("shape", [(), (3,)], ids=str)
def test_a_tensor_without_fans_is_refused_by_all_that_need_them(technique, shape):
    if technique.name in WITHOUT_FANS:
        assert technique.make(weight_of(shape)).isfinite().all()
        return
    with pytest.raises(InvalidInput, match="at least two axes"):
        technique.make(weight_of(shape))


@each("weights")
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0), (4, 3, 0), (0, 3, 3, 3), (3, 0, 3)], ids=str)
def test_an_empty_weight_stays_one(technique, shape):
    weight = torch.empty(shape)
    assert technique.make(weight) is weight
    assert weight.shape == shape


@each("weights")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_single_precision_rounded(technique, dtype):
    narrow = technique.make(weight_of(dtype=dtype), generator=seeded())
    assert torch.equal(narrow, technique.make(weight_of(dtype=torch.float64), generator=seeded()).to(dtype))


@each("weights")
def test_a_complex_weight_has_the_spread_of_a_real_one_in_its_absolute_values(technique):
    shape = (90, 60, 3)
    real, both = weight_of(shape), torch.full(shape, torch.nan, dtype=torch.complex64)
    technique.make(both, generator=seeded())
    assert both.abs().isfinite().all()
    assert both.abs().square().mean().item() == pytest.approx(technique.make(real).square().mean().item(), rel=0.05)
    if real.unique().numel() > 2:
        parts = torch.view_as_real(both).square().mean((0, 1, 2))
        assert parts[0].item() == pytest.approx(parts[1].item(), rel=0.1)


@each("weights")
@pytest.mark.usefixtures("shapes_unchecked")
def test_a_weight_of_whole_numbers_is_refused_where_numbers_between_are_drawn(technique):
    if technique.name in ("zeros", "constant"):
        return
    with pytest.raises(InvalidInput, match=r"needs a weight of floating-point numbers; got torch.int64"):
        technique.make(torch.zeros(4, 3, dtype=torch.int64))
