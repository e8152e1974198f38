"""One forward and backward pass of any module, with every layer's outputs and their gradients kept."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.errors import InvalidInput

Loss = Callable[[Any, Any], Tensor]


@dataclass
class Call:
    """One call of a layer without sublayers: its name, itself, what came in and went out, and the gradient."""

    name: str
    layer: nn.Module
    entered: Tensor
    left: Tensor
    gradient: Tensor | None = None


@dataclass
class Pass:
    """All calls in the order of the data's way, and the loss."""

    calls: list[Call]
    loss: float
    gradients: dict[str, Tensor]


def record(module: nn.Module, x: Any, y: Any, loss: Loss | None) -> Pass:
    """One training-mode pass of `module`, which is left exactly as it was.

    Raises InvalidInput if the module cannot take x, or returns no tensor.
    """
    calls: list[Call] = []
    seen: dict[str, int] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> Any:
            entered, left = first_tensor(inputs), first_tensor(output)
            if entered is None or left is None or not left.is_floating_point():
                return None
            seen[name] = seen.get(name, 0) + 1
            label = name if seen[name] == 1 else f"{name} ({_ordinal(seen[name])} call)"
            call = Call(label, layer, entered.detach().clone(), left.detach().clone())
            calls.append(call)
            if left.requires_grad:
                left.register_hook(lambda g: setattr(call, "gradient", g.detach()))
                if left is output:
                    return output.view_as(output)  # a layer that works in place must not touch what was noted
            return None

        return hook

    leaves = [(n or type(m).__name__, m) for n, m in module.named_modules() if not any(True for _ in m.children())]
    with _untouched(module), contextlib.ExitStack() as hooks:
        for name, layer in leaves:
            hooks.enter_context(contextlib.closing(_Handle(layer.register_forward_hook(note(name)))))
        with torch.enable_grad():
            value = _loss_of(module, x, y, loss)
            value.backward()
        gradients = {n: p.grad.detach().clone() for n, p in module.named_parameters() if p.grad is not None}
    return Pass(calls, float(value.detach()), gradients)


class _Handle:
    def __init__(self, handle: Any) -> None:
        self.close = handle.remove


def _loss_of(module: nn.Module, x: Any, y: Any, loss: Loss | None) -> Tensor:
    try:
        output = module(x)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        reason = str(error).strip().splitlines()[0]
        raise InvalidInput(f"the network cannot take this batch (inputs {shape}): {reason}.") from error
    tensor = first_tensor(output)
    if tensor is None:
        raise InvalidInput(f"the network must return a tensor; it returned {type(output).__name__}.")
    if loss is not None:
        return loss(output, y)
    if y is None:
        return tensor.square().sum() / 2
    if not y.is_floating_point():
        return functional.cross_entropy(tensor, y)
    return functional.mse_loss(tensor.view_as(y) if tensor.numel() == y.numel() else tensor, y)


def first_tensor(value: Any) -> Tensor | None:
    """The tensor that matters in a layer's output: itself, `.logits`, or the first found inside."""
    if isinstance(value, Tensor):
        return value
    if isinstance(getattr(value, "logits", None), Tensor):
        return value.logits
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return next((t for v in inside if (t := first_tensor(v)) is not None), None)


@contextlib.contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    """Put parameters' gradients, buffers, training flags and torch's random state back afterwards."""
    gradients = [(p, p.grad) for p in module.parameters()]
    buffers = [(b, b.detach().clone()) for b in module.buffers()]
    flags = [(m, m.training) for m in module.modules()]
    with torch.random.fork_rng(devices=[]):
        try:
            for p, _ in gradients:
                p.grad = None
            module.train()
            yield
        finally:
            for p, g in gradients:
                p.grad = g
            with torch.no_grad():
                for b, before in buffers:
                    b.copy_(before)
            for m, flag in flags:
                m.training = flag


def _ordinal(n: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(n, f"{n}th")
