"""What holds for every optimizer: alone, stored, and as the rule of a population."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from each_technique import each, settings

MEMBERS, SIZE, STEPS = 5, 1003, 4


def gradients(steps=STEPS, members=MEMBERS):
    """Gradients (steps, members, SIZE) of all sizes, some of them 0."""
    draws = torch.Generator().manual_seed(2)
    g = torch.randn(steps, members, SIZE, generator=draws)
    g = g * 10 ** (8 * torch.rand(steps, members, SIZE, generator=draws) - 4)
    g[..., ::7] = 0
    return g


def start(members=MEMBERS):
    return torch.randn(members, SIZE, generator=torch.Generator().manual_seed(3))


def columns_of(technique):
    """Each hyper-parameter as a float64 column with one value a member, and the same values member by member."""
    each_member = settings(technique, MEMBERS)
    columns = {
        h.name: torch.tensor([n[h.name] for n in each_member], dtype=torch.float64)[:, None]
        for h in technique.hyperparameters
    }
    return columns, each_member


def together(technique, theta, steps, columns):
    """Members (K, P) after some steps of the rule, and their moments."""
    rule, theta = technique.make, theta.clone()
    moments = [torch.zeros_like(theta) for _ in rule.moments]
    for t, g in enumerate(steps, 1):
        coefficients = rule.coefficients(t, **columns)
        rule.update(theta, g.clone(), *moments, **{k: c.to(theta) for k, c in coefficients.items()})
    return theta, moments


def alone(technique, theta, steps, numbers):
    """One member (P,) after some steps of the ordinary optimizer."""
    parameter = nn.Parameter(theta.clone())
    optimizer = technique.make([parameter], **numbers)
    for g in steps:
        parameter.grad = g.clone()
        optimizer.step()
    return parameter.detach()


@each("optimizer")
def test_a_population_moves_bit_for_bit_as_its_members_alone(technique):
    columns, each_member = columns_of(technique)
    theta, _ = together(technique, start(), gradients(), columns)
    for k, numbers in enumerate(each_member):
        assert torch.equal(theta[k], alone(technique, start()[k], gradients()[:, k], numbers))


@each("optimizer")
def test_members_that_change_places_keep_their_results(technique):
    columns, _ = columns_of(technique)
    order = torch.tensor([3, 0, 4, 2, 1])
    theta, moments = together(technique, start(), gradients(), columns)
    shuffled = {name: c[order] for name, c in columns.items()}
    theta_2, moments_2 = together(technique, start()[order], gradients()[:, order], shuffled)
    assert torch.equal(theta_2, theta[order])
    for one, other in zip(moments, moments_2, strict=True):
        assert torch.equal(other, one[order])


@each("optimizer")
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_one_members_bad_gradient_leaves_the_others_bit_identical(technique, bad):
    columns, _ = columns_of(technique)
    healthy, _ = together(technique, start(), gradients(), columns)
    broken = gradients()
    broken[1, 2] = bad
    beside, _ = together(technique, start(), broken, columns)
    others = [k for k in range(MEMBERS) if k != 2]
    assert torch.equal(beside[others], healthy[others])
    if bad != bad:
        assert beside[2].isnan().all(), "a nan must stay visible, not freeze the member"


@each("optimizer")
def test_a_scalar_learning_rate_is_as_good_as_a_column(technique):
    _, each_member = columns_of(technique)
    columns = {n: torch.full((MEMBERS, 1), v, dtype=torch.float64) for n, v in each_member[1].items()}
    theta, _ = together(technique, start(), gradients(), columns)
    for k in range(MEMBERS):
        assert torch.equal(theta[k], alone(technique, start()[k], gradients()[:, k], each_member[1]))


@each("optimizer")
@pytest.mark.parametrize("how", ["state_dict", "torch.save", "pickle", "deepcopy"])
def test_a_training_that_was_stored_in_the_middle_goes_on_bit_for_bit(technique, how):
    numbers = settings(technique)[1]
    whole = alone(technique, start()[0], gradients()[:, 0], numbers)
    theta = nn.Parameter(start()[0].clone())
    optimizer = technique.make([theta], **numbers)
    for t, g in enumerate(gradients()[:, 0]):
        if t == 2:
            theta, optimizer = stored_and_loaded(technique, theta, optimizer, how)
        theta.grad = g.clone()
        optimizer.step()
    assert torch.equal(theta.detach(), whole)


def stored_and_loaded(technique, theta, optimizer, how):
    if how == "pickle":
        optimizer = pickle.loads(pickle.dumps(optimizer))
        return optimizer.param_groups[0]["params"][0], optimizer
    if how == "deepcopy":
        optimizer = copy.deepcopy(optimizer)
        return optimizer.param_groups[0]["params"][0], optimizer
    state = copy.deepcopy(optimizer.state_dict())
    if how == "torch.save":
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        state = torch.load(file)
    again = nn.Parameter(theta.detach().clone())
    other = technique.make([again])  # with default numbers: the stored ones must come back
    other.load_state_dict(state)
    return again, other


@each("optimizer")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_is_left_as_it_is_and_types_and_shapes_are_kept(technique, dtype):
    theta = nn.Parameter(torch.ones(3, 2, dtype=dtype))
    gradient = torch.linspace(-1, 1, 6, dtype=dtype).reshape(3, 2)
    theta.grad = gradient.clone()
    optimizer = technique.make([theta])
    optimizer.step()
    assert torch.equal(theta.grad, gradient)
    assert (theta.dtype, theta.shape) == (dtype, (3, 2))
    for name in technique.make.moments:
        assert (optimizer.state[theta][name].dtype, optimizer.state[theta][name].shape) == (dtype, (3, 2))


@each("optimizer")
def test_the_first_step_goes_downhill(technique):
    before, g = start()[0], gradients()[0, 0]
    after = alone(technique, before, [g], {"lr": 1e-3})
    assert ((after - before).double() * g.double()).sum() < 0


@each("optimizer")
def test_double_precision_agrees_with_single(technique):
    numbers = settings(technique)[1]
    narrow = alone(technique, start()[0], gradients()[:, 0], numbers)
    wide = alone(technique, start()[0].double(), gradients()[:, 0].double(), numbers)
    torch.testing.assert_close(narrow, wide.float(), rtol=1e-4, atol=1e-5)
