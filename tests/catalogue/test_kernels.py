"""Where a technique takes torch's kernel, and where it must not."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from trainsmith.activation import ELU
from trainsmith.catalogue.kernels import kernel_numbers, read_once
from trainsmith.normalization import BatchNorm, LayerNorm

X = torch.linspace(-2.0, 2.0, 12).view(4, 3)


def test_alone_a_technique_takes_the_number_as_it_is_now():
    layer = ELU(0.5)
    assert kernel_numbers(X, layer, "alpha") == [0.5]
    assert layer(X).min() > -0.5
    layer.load_state_dict({"alpha": torch.tensor(2.0)})
    assert kernel_numbers(X, layer, "alpha") == [2.0]
    torch.testing.assert_close(layer(X), torch.nn.functional.elu(X, 2.0))


def test_members_keep_their_own_numbers_under_vmap():
    layer, alphas = ELU(), torch.tensor([0.5, 1.0, 3.0])
    outputs = vmap(lambda alpha: functional_call(layer, {"alpha": alpha}, (X,)))(alphas)
    for alpha, output in zip(alphas, outputs, strict=True):
        torch.testing.assert_close(output, nn.ELU(alpha.item())(X))


def test_a_hyperparameter_with_a_gradient_gets_it():
    alpha = torch.tensor(0.7, requires_grad=True)
    layer = ELU()
    layer.alpha = alpha
    assert kernel_numbers(X, layer, "alpha") is None
    functional_call(ELU(), {"alpha": alpha}, (X,)).sum().backward()
    torch.testing.assert_close(alpha.grad, torch.expm1(X.clamp(max=0)).sum())
    by_transform = grad(lambda a: functional_call(ELU(), {"alpha": a}, (X,)).sum())(alpha.detach())
    torch.testing.assert_close(by_transform, alpha.grad)


def test_a_hyperparameter_that_is_trained_is_taken_by_the_formula():
    layer = ELU()
    del layer.alpha
    layer.alpha = nn.Parameter(torch.tensor(0.7))
    assert kernel_numbers(X, layer, "alpha") is None
    layer(X).sum().backward()
    torch.testing.assert_close(layer.alpha.grad, torch.expm1(X.clamp(max=0)).sum())


def test_a_trace_keeps_the_hyperparameter_a_tensor():
    program = make_fx(lambda alpha, x: functional_call(ELU(), {"alpha": alpha}, (x,)))(torch.tensor(1.0), X)
    torch.testing.assert_close(program(torch.tensor(3.0), X), nn.ELU(3.0)(X))
    exported = torch.export.export(ELU(), (X,)).module()
    exported.load_state_dict({"alpha": torch.tensor(3.0)})
    torch.testing.assert_close(exported(X), nn.ELU(3.0)(X))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_trace_of_torchscript_keeps_it_a_tensor_too():
    traced = torch.jit.trace(ELU(), (X,))
    with torch.no_grad():
        dict(traced.named_buffers())["alpha"].fill_(3.0)
    torch.testing.assert_close(traced(X), nn.ELU(3.0)(X))


def test_other_tensors_go_by_the_formula():
    assert kernel_numbers(X, ELU().to("meta"), "alpha") is None
    assert LayerNorm(3).to("meta")(X.to("meta")).shape == X.shape
    assert kernel_numbers(X.double(), LayerNorm(3), "eps", weight=torch.ones(3)) is None
    assert LayerNorm(3)(X.double()).dtype == torch.float64


@pytest.mark.parametrize("make", [lambda: BatchNorm(3), lambda: LayerNorm(3), ELU])
def test_a_module_that_was_used_can_be_copied(make):
    module = make()
    module(X)
    twin = copy.deepcopy(module)
    torch.testing.assert_close(twin(X), module(X))


def test_an_accelerators_number_is_read_once_and_again_after_a_change(monkeypatch):
    reads = []
    number = torch.tensor(0.25)
    item = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda t: reads.append(1) or item(t))
    assert [read_once(number), read_once(number)] == [0.25, 0.25]
    assert len(reads) == 1
    number.fill_(0.5)
    assert read_once(number) == 0.5
    assert read_once(torch.tensor(0.75)) == 0.75
    with torch.inference_mode():
        assert read_once(torch.tensor(0.125)) == 0.125
