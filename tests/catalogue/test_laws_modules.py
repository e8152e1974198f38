"""What holds for every technique that is a module: layers, activation functions, penalties, losses."""

import ast
import copy
import inspect
from unittest import mock

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.utils import _pytree as pytree

from each_technique import FEATURES, LAYER_ROLES, MODULE_ROLES, arguments, each, made, settings, widening
from trainsmith.export.source import write_source

MEMBERS = 4


def noise_for(given, seed=0):
    """Uniform numbers of the shape of what is given."""
    x = given[0] if isinstance(given[0], torch.Tensor) else given[0][0]
    return torch.rand(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)


def called(module, given, noise):
    """module(*given) with `noise` in place of what it draws by torch.rand_like."""
    with mock.patch.object(torch, "rand_like", return_value=noise):
        return module(*given)


each_module = each(*MODULE_ROLES)
each_layer = each(*LAYER_ROLES)
in_both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
in_both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


@each_module
@in_both_modes
def test_members_with_different_numbers_get_together_what_they_get_alone(technique, training):
    modules = [made(technique, seed=k, **n).train(training) for k, n in enumerate(settings(technique, MEMBERS))]
    given = [arguments(technique, seed=k) for k in range(MEMBERS)]
    noise = [noise_for(g, seed=k) for k, g in enumerate(given)]
    parameters, buffers = stack_module_state(modules)
    stacked = pytree.tree_map(lambda *members: torch.stack(members), *given)

    def one(parameters, buffers, given, noise):
        return called(lambda *g: functional_call(modules[0], {**parameters, **buffers}, g), given, noise)

    outputs = vmap(one, randomness="error")(parameters, buffers, stacked, torch.stack(noise))
    for k, module in enumerate(modules):
        torch.testing.assert_close(outputs[k], called(module, given[k], noise[k]), rtol=1e-5, atol=1e-6)
        for name, buffer in module.named_buffers():
            torch.testing.assert_close(buffers[name][k], buffer)


@each_module
def test_every_number_is_a_buffer_of_one_value_that_decides_alone(technique):
    first, last = settings(technique)[0], settings(technique)[-1]
    module, other = made(technique, **first), made(technique, **last)
    for number in technique.hyperparameters:
        buffer = dict(module.named_buffers())[number.name]
        assert buffer.shape == ()
        assert buffer.item() == pytest.approx(first[number.name])
    module.load_state_dict(other.state_dict())
    given = arguments(technique)
    assert torch.equal(called(module, given, noise_for(given)), called(other, given, noise_for(given)))
    plain = {k: v for k, v in vars(module).items() if not k.startswith("_")}
    assert plain == {k: v for k, v in vars(other).items() if not k.startswith("_")}


@each_module
@in_both_modes
@in_both_types
def test_what_it_is_given_stays_as_it_is(technique, training, dtype):
    given = arguments(technique, dtype)
    before = copy.deepcopy(given)
    made(technique, dtype).train(training)(*given)
    for now, then in zip(pytree.tree_leaves(given), pytree.tree_leaves(before), strict=True):
        assert torch.equal(now, then)


@each_layer
@in_both_modes
@in_both_types
@pytest.mark.parametrize("shape", [(6, FEATURES), (3, FEATURES, 5), (2, FEATURES, 3, 3)], ids=str)
def test_a_layer_keeps_shape_and_type(technique, training, dtype, shape):
    """Only the number of features may change, by the factor that the technique states."""
    if len(shape) < getattr(technique.make, "least_axes", 0):
        pytest.skip("it is for inputs with positions")
    x = torch.randn(shape, dtype=dtype)
    module = made(technique, dtype, axes=len(shape)).train(training)
    if technique.role == "input":
        module.fit(x)
    y = module(x)
    assert (y.shape, y.dtype) == ((shape[0], round(shape[1] / widening(module)), *shape[2:]), dtype)
    assert y.isfinite().all()


@each("layer", "activation")
@in_both_modes
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(6, FEATURES), (2, FEATURES, 3, 3)], ids=str)
def test_half_precision_goes_through_as_such_where_the_numbers_are_in_single(technique, training, dtype, shape):
    """As under torch.autocast: what a layer gives must not make the rest of the network compute in single."""
    if len(shape) < getattr(technique.make, "least_axes", 0):
        pytest.skip("it is for inputs with positions")
    module = made(technique, torch.float32, axes=len(shape)).train(training)
    y = module(torch.rand(shape).to(dtype))
    assert y.dtype == dtype
    assert y.isfinite().all()


@each("penalty", "loss")
@in_both_types
def test_a_penalty_or_loss_is_one_number_that_is_not_negative(technique, dtype):
    value = made(technique, dtype)(*arguments(technique, dtype))
    assert (value.shape, value.dtype) == ((), dtype)
    assert 0 <= value < torch.inf


@each_module
def test_the_gradient_is_that_of_differences(technique):
    """In evaluation, where a training pass moves what the next one computes with: then differences mean nothing."""
    module, given = made(technique, torch.float64), arguments(technique, torch.float64)
    first, second = (called(module, given, noise_for(given)) for _ in range(2))
    module.train(torch.equal(first, second))
    leaves, tree = pytree.tree_flatten(given)
    smooth = [leaf.requires_grad_() for leaf in leaves if leaf.is_floating_point()]
    rest = [leaf for leaf in leaves if not leaf.is_floating_point()]

    def of(*tensors):
        return called(module, pytree.tree_unflatten([*tensors, *rest], tree), noise)

    noise = noise_for(given)
    assert torch.autograd.gradcheck(of, smooth)


@each_module
def test_no_gradient_flows_into_the_numbers(technique):
    module = made(technique)
    for number in technique.hyperparameters:
        assert not dict(module.named_buffers())[number.name].requires_grad


@each("activation")
def test_an_activation_acts_on_each_element_by_itself(technique):
    """Or, where it joins features, on those of one place by themselves."""
    module, (x,) = made(technique), arguments(technique)
    order = torch.randperm(x.numel(), generator=torch.Generator().manual_seed(0))
    if widening(module) == 1:
        shuffled = module(x.flatten()[order])  # the last numbers of a row are rounded otherwise on some processors
        torch.testing.assert_close(module(x).flatten()[order], shuffled, rtol=1e-6, atol=1e-7)
    else:
        places = x.flatten()[order][:, None].repeat(1, FEATURES) + torch.arange(FEATURES)
        torch.testing.assert_close(module(places[7:8]), module(places)[7:8], rtol=1e-6, atol=0)


@each("activation")
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_an_activation_that_joins_features_does_it_along_the_axis_it_is_told(technique, axis):
    if widening(made(technique)) == 1:
        pytest.skip("it acts on single numbers")
    x = torch.randn(3, FEATURES, FEATURES)
    there = technique.make(axis=axis)(x)
    torch.testing.assert_close(there.transpose(1, axis), technique.make(axis=1)(x.transpose(1, axis)))


@each("activation")
@in_both_types
def test_an_activation_is_finite_with_a_finite_gradient_far_out(technique, dtype):
    for numbers in settings(technique):
        x = torch.tensor([[-1e4, -100, -0.0, 0.0, 100, 1e4]] * FEATURES, dtype=dtype).T.requires_grad_()
        y = made(technique, dtype, **numbers)(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert y.isfinite().all()
        assert gradient.isfinite().all()


@each_layer
def test_a_nan_stays_visible(technique):
    x = arguments(technique)[0].clone()
    x[0, 0] = torch.nan
    module = made(technique).train()
    y = called(module, (x,), torch.full_like(x, 1 - 2**-20))
    assert y[0, 0].isnan().all()


@each("loss")
def test_the_order_of_the_examples_does_not_matter_to_a_loss(technique):
    module, (logits, target) = made(technique), arguments(technique)
    order = torch.tensor([3, 1, 0, 5, 2, 4])
    torch.testing.assert_close(module(logits[order], target[order]), module(logits, target))


@each("penalty")
def test_a_penalty_on_weights_that_are_0_is_0_and_grows_with_them(technique):
    if not getattr(technique.make, "least_at_zero", True):
        return  # it says so on its page; where it is least is a test of its own
    module, (weights,) = made(technique), arguments(technique)
    assert module([torch.zeros_like(w) for w in weights]) == 0
    assert module([2 * w for w in weights]) > module(weights) > 0


def needs_torch_alone(kind):
    """Whether the source of a class can be copied: its file imports torch and the standard library's mathematics."""
    nodes = ast.walk(ast.parse(inspect.getsource(inspect.getmodule(kind))))
    imported = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    others = {n.module for n in ast.walk(ast.parse(inspect.getsource(kind))) if isinstance(n, ast.ImportFrom)}
    return imported <= {"functools", "math", "torch"} and not others


@each_layer
@in_both_modes
def test_it_computes_where_its_weights_and_inputs_are(technique, training):
    """On any device: torch's meta device refuses every tensor that was made elsewhere."""
    module, (x,) = made(technique).train(training).to("meta"), arguments(technique)
    y = module(x.to("meta"))
    assert y.device.type == "meta"
    assert y.shape == made(technique)(x).shape


@each_layer
def test_the_exported_source_needs_torch_alone_and_does_the_same(technique):
    for numbers in settings(technique):
        module, (x,) = made(technique, **numbers), arguments(technique)
        module(x)
        source = write_source(nn.Sequential(module), x)
        assert "trainsmith" not in source.text
        names: dict[str, object] = {}
        exec(source.text, names)
        rebuilt = names["build"]()
        rebuilt.load_state_dict(source.network.state_dict())
        torch.testing.assert_close(rebuilt.eval()(x), module.eval()(x))
        kinds = {type(m) for m in rebuilt} - {type(m) for m in source.network}
        assert all(kind.__module__ == "builtins" for kind in kinds), "the network's own classes or torch's"


@each_layer
def test_the_plain_module_needs_torch_alone_and_does_the_same(technique):
    for numbers in settings(technique):
        module, (x,) = made(technique, **numbers), arguments(technique)
        module(x)
        axes = {"axes": x.ndim} if "axes" in inspect.signature(module.plain).parameters else {}
        plain = module.eval().plain(**axes)
        assert type(plain).__module__.startswith("torch.nn.modules.") or needs_torch_alone(type(plain))
        assert not plain.training or not any(True for _ in plain.buffers())
        torch.testing.assert_close(plain.eval()(x), module(x))
