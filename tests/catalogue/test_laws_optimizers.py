"""What holds for every optimizer: alone, stored, and as the rule of a population."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from each_technique import each, settings
from optimizer_path import by_formula
from trainsmith.population.program.update import Update

MEMBERS, SIDE, STEPS = 5, 31, 4


def shape_of(technique):
    """A vector for rules that take each number for itself, a matrix for those that look at the whole."""
    return (SIDE, SIDE) if technique.make.per_tensor else (SIDE * SIDE,)


def gradients(technique, steps=STEPS, members=MEMBERS):
    """Gradients (steps, members, *shape) of all sizes, some of them 0."""
    draws = torch.Generator().manual_seed(2)
    g = torch.randn(steps, members, SIDE * SIDE, generator=draws)
    g = g * 10 ** (8 * torch.rand(g.shape, generator=draws) - 4)
    g[..., ::7] = 0
    return g.view(steps, members, *shape_of(technique))


def start(technique, members=MEMBERS):
    return torch.randn(members, *shape_of(technique), generator=torch.Generator().manual_seed(3))


def columns_of(technique):
    """Each hyper-parameter as a float64 tensor with one value a member, and the same values member by member."""
    each_member = settings(technique, MEMBERS)
    columns = {
        h.name: torch.tensor([n[h.name] for n in each_member], dtype=torch.float64) for h in technique.hyperparameters
    }
    return columns, each_member


def together(technique, theta, steps, columns):
    """Members (K, *shape) after some steps of the rule, and what it keeps of them."""
    rule, theta = technique.make, theta.clone()
    kept = [theta.new_zeros(len(theta), *shape) for shape in rule.kept(theta.shape[1:]).values()]
    axes = {"axes": theta.ndim - 1} if rule.per_tensor else {}
    for t, g in enumerate(steps, 1):
        coefficients = {
            k: c.to(theta).view(-1, *(1,) * (theta.ndim - 1)) if isinstance(c, torch.Tensor) else c
            for k, c in rule.coefficients(t, **columns).items()
        }
        gradient = g.clone()
        rule.update(theta, gradient, *kept, **axes, **coefficients)
        assert torch.equal(gradient.nan_to_num(), g.nan_to_num()), "the gradient must be left as it is"
    return theta, kept


def population(technique, theta, steps, columns):
    """Members (K, *shape) after some steps as a population takes them."""
    theta, gradient = theta.clone(), torch.zeros_like(theta)
    update = Update(technique.make, {n: c.tolist() for n, c in columns.items()}, [theta], [gradient])
    for t, g in enumerate(steps, 1):
        gradient.copy_(g)
        update(t, 1.0)
    return theta


def alone(technique, theta, steps, numbers, formula=False):
    """One member (P,) after some steps of the ordinary optimizer; formula: without PyTorch's single-pass kernel."""
    parameter = nn.Parameter(theta.clone())
    rule = by_formula(technique.make) if formula else technique.make
    optimizer = rule([parameter], **numbers)
    for g in steps:
        parameter.grad = g.clone()
        optimizer.step()
    return parameter.detach()


@each("optimizer")
def test_a_population_moves_bit_for_bit_as_its_members_alone(technique):
    columns, each_member = columns_of(technique)
    theta = population(technique, start(technique), gradients(technique), columns)
    for k, numbers in enumerate(each_member):
        same(technique, theta[k], alone(technique, start(technique)[k], gradients(technique)[:, k], numbers))


def same(technique, actual, expected):
    """Equal bit for bit; to rounding where sums and matrix products are taken in another order for a batch."""
    near = 1e-5 if technique.make.per_tensor else 0
    torch.testing.assert_close(actual, expected, rtol=near, atol=near)


@each("optimizer")
def test_the_formula_moves_all_members_bit_for_bit_as_one(technique):
    """Also of rules that on a CPU run PyTorch's single-pass kernel instead, which rounds in another order."""
    columns, each_member = columns_of(technique)
    theta, _ = together(technique, start(technique), gradients(technique), columns)
    for k, numbers in enumerate(each_member):
        own = start(technique)[k], gradients(technique)[:, k], numbers
        same(technique, theta[k], alone(technique, *own, formula=True))
        torch.testing.assert_close(theta[k], alone(technique, *own), rtol=1e-5, atol=1e-5)


@each("optimizer")
def test_what_is_kept_is_kept_for_every_shape(technique):
    """A number, a vector, a matrix, two kernels: each moves, stays finite, and keeps tensors of the stated shapes."""
    for shape in [(), (5,), (1, 4), (6, 1), (4, 3, 2, 2), (2, 3, 5)]:
        theta = nn.Parameter(torch.ones(shape))
        optimizer = technique.make([theta])
        for k in range(12):
            theta.grad = torch.linspace(1, 2, theta.numel()).reshape(shape) * (1 + 0.1 * k)
            optimizer.step()
        expected = technique.make.kept(theta.shape)
        assert {n: tuple(t.shape) for n, t in optimizer.state[theta].items() if n != "step"} == expected
        assert theta.isfinite().all()
        assert (theta != 1).all()


@each("optimizer")
def test_members_that_change_places_keep_their_results(technique):
    columns, _ = columns_of(technique)
    order = torch.tensor([3, 0, 4, 2, 1])
    theta, moments = together(technique, start(technique), gradients(technique), columns)
    shuffled = {name: c[order] for name, c in columns.items()}
    theta_2, moments_2 = together(technique, start(technique)[order], gradients(technique)[:, order], shuffled)
    assert torch.equal(theta_2, theta[order])
    for one, other in zip(moments, moments_2, strict=True):
        assert torch.equal(other, one[order])


@each("optimizer")
@pytest.mark.parametrize("when", [0, 1])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_one_members_bad_gradient_leaves_the_others_bit_identical(technique, bad, when):
    columns, _ = columns_of(technique)
    healthy, _ = together(technique, start(technique), gradients(technique), columns)
    broken = gradients(technique)
    broken[when, 2] = bad
    beside, _ = together(technique, start(technique), broken, columns)
    others = [k for k in range(MEMBERS) if k != 2]
    assert torch.equal(beside[others], healthy[others])
    if bad != bad:
        assert beside[2].isnan().all(), "a nan must stay visible, not freeze the member"


@each("optimizer")
def test_a_scalar_learning_rate_is_as_good_as_a_column(technique):
    _, each_member = columns_of(technique)
    columns = {n: torch.full((MEMBERS,), v, dtype=torch.float64) for n, v in each_member[1].items()}
    theta, _ = together(technique, start(technique), gradients(technique), columns)
    for k in range(MEMBERS):
        expected = alone(technique, start(technique)[k], gradients(technique)[:, k], each_member[1], formula=True)
        same(technique, theta[k], expected)


@each("optimizer")
@pytest.mark.parametrize("how", ["state_dict", "torch.save", "pickle", "deepcopy"])
def test_a_training_that_was_stored_in_the_middle_goes_on_bit_for_bit(technique, how):
    numbers = settings(technique)[1]
    whole = alone(technique, start(technique)[0], gradients(technique)[:, 0], numbers)
    theta = nn.Parameter(start(technique)[0].clone())
    optimizer = technique.make([theta], **numbers)
    for t, g in enumerate(gradients(technique)[:, 0]):
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
def test_the_first_move_goes_downhill(technique):
    before, g = start(technique)[0], gradients(technique)[0, 0]
    after = alone(technique, before, [g], {"lr": 1e-3})
    if torch.equal(after, before):  # a rule may only look at its first gradient
        after = alone(technique, before, [g, g], {"lr": 1e-3})
    assert ((after - before).double() * g.double()).sum() < 0


@each("optimizer")
def test_double_precision_agrees_with_single(technique):
    numbers = settings(technique)[1]
    narrow = alone(technique, start(technique)[0], gradients(technique)[:, 0], numbers)
    wide = alone(technique, start(technique)[0].double(), gradients(technique)[:, 0].double(), numbers)
    torch.testing.assert_close(narrow, wide.float(), rtol=1e-4, atol=1e-5)


@each("optimizer")
def test_the_parameters_of_a_network_move_as_each_would_alone(technique):
    """Small parameters move together; what is kept of each must stay its own."""
    draws = torch.Generator().manual_seed(5)
    shapes = [(3, 2), (4,), (3, 2), (), (3, 2, 2), (4,)]
    start = [torch.randn(s, generator=draws) for s in shapes]
    steps = [[torch.randn(s, generator=draws) for s in shapes] for _ in range(STEPS)]
    network = [nn.Parameter(t.clone()) for t in start]
    optimizer = technique.make(network, **settings(technique)[1])
    for now in steps:
        for p, g in zip(network, now, strict=True):
            p.grad = g.clone()
        optimizer.step()
    for i, p in enumerate(network):
        expected = alone(technique, start[i], [now[i] for now in steps], settings(technique)[1])
        torch.testing.assert_close(p.detach(), expected, rtol=1e-5, atol=1e-5)
