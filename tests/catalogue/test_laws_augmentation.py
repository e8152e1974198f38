"""What holds for everything that changes examples, weights or gradients during training."""

import copy

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.utils import _pytree as pytree

from each_technique import each, settings
from uniform_draws import seeded_draws

each_change = each("augmentation", "mixing", "perturbation", "gradient")
in_both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def given_to(technique, dtype=torch.float32, seed=0):
    """What a module of the technique is called with."""
    draws = torch.Generator().manual_seed(seed)
    shape = (6, 4) if "table" in getattr(technique.make, "kinds", ("image",)) else (6, 2, 5, 4)
    x = torch.randn(shape, generator=draws).to(dtype)
    if technique.role == "mixing":
        return x, torch.randint(0, 3, (6,), generator=draws)
    return (x,) if technique.role == "augmentation" else ([x.requires_grad_(), x[:2].detach().requires_grad_()],)


def called(technique, module, given, seed=0):
    """What it returns; for a term of the loss, its gradients."""
    with seeded_draws(seed):
        out = module(*given)
    return torch.autograd.grad(out, given[0]) if technique.role == "gradient" else out


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(pytree.tree_leaves(a), pytree.tree_leaves(b), strict=True))


@each_change
def test_without_strength_nothing_changes_by_a_bit(technique):
    (tuned,) = [h for h in technique.hyperparameters if h.tuned]
    given = given_to(technique)
    out = called(technique, technique.make(**{tuned.name: tuned.domain.low}), given)
    if technique.role == "mixing":
        assert torch.equal(out[0], given[0])
        assert out[2] == 1
    elif technique.role == "gradient":
        assert all((g == 0).all() for g in out)
    else:
        assert equal(out, given[0])


@each_change
def test_with_strength_something_changes_in_training_and_stays_the_same_kind(technique):
    given = given_to(technique)
    (tuned,) = [h for h in technique.hyperparameters if h.tuned]
    out = called(technique, technique.make(**{tuned.name: tuned.at(1.0)}), given)
    changed = out[0] if technique.role == "mixing" else out
    assert not equal(changed, given[0])
    for now, then in zip(pytree.tree_leaves(changed), pytree.tree_leaves(given[0]), strict=True):
        assert (now.shape, now.dtype) == (then.shape, then.dtype)
        assert now.isfinite().all()


@each("augmentation", "perturbation", "mixing")
def test_in_evaluation_nothing_changes(technique):
    given = given_to(technique)
    with seeded_draws(0):
        out = technique.make().eval()(*given)
    assert equal(out, (*given, torch.ones(())) if technique.role == "mixing" else given[0])


@each_change
@in_both_types
def test_what_it_is_given_stays_as_it_is(technique, dtype):
    given = given_to(technique, dtype)
    before = pytree.tree_map(lambda t: t.detach().clone(), given)
    called(technique, technique.make().to(dtype), given)
    assert equal(given, before)


@each("augmentation")
def test_equal_examples_have_each_their_own_luck(technique):
    (tuned,) = [h for h in technique.hyperparameters if h.tuned]
    x = given_to(technique)[0]
    batch = torch.cat([x[:1]] * 40 + [x[1:2]] * 40)
    y = called(technique, technique.make(**{tuned.name: tuned.at(1.0)}), (batch,))
    assert any(not torch.equal(y[0], row) for row in y[1:40])


@each_change
def test_every_number_is_a_buffer_of_one_value_that_decides_alone(technique):
    first, last = settings(technique)[0], settings(technique)[-1]
    module, other = technique.make(**first), technique.make(**last)
    for number in technique.hyperparameters:
        buffer = dict(module.named_buffers())[number.name]
        assert buffer.shape == ()
        assert buffer.item() == pytest.approx(first[number.name])
    module.load_state_dict(copy.deepcopy(other.state_dict()))
    given = given_to(technique)
    assert equal(called(technique, module, given), called(technique, other, given))


@each_change
def test_members_with_different_numbers_get_together_what_they_get_alone(technique):
    modules = [technique.make(**n) for n in settings(technique, 4)]
    given = [pytree.tree_map(lambda t: t.detach(), given_to(technique, seed=k)) for k in range(4)]
    _, buffers = stack_module_state(copy.deepcopy(modules))
    stacked = pytree.tree_map(lambda *members: torch.stack(members), *given)

    def one(buffers, given):
        return functional_call(modules[0], buffers, given)

    with seeded_draws(7):
        together = vmap(one, randomness="error")(buffers, stacked)
    for k, module in enumerate(modules):
        with seeded_draws(7):
            alone = module(*given[k])
        for there, here in zip(pytree.tree_leaves(together), pytree.tree_leaves(alone), strict=True):
            torch.testing.assert_close(there[k], here, rtol=1e-5, atol=1e-5)
