"""One forward and backward pass of any module, with every layer's outputs and their gradients kept."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.errors import InvalidInput
from trainsmith.inspection.passes.double import doubled
from trainsmith.inspection.passes.functions import functions_seen
from trainsmith.inspection.passes.given import called, over, tensors
from trainsmith.network.host import host_states, put_back
from trainsmith.network.own_code import told
from trainsmith.network.signature import HOOKS, STACKED

Loss = Callable[[Any, Any], Tensor]


@dataclass
class Call:
    """One call of a layer without sublayers, or of an activation function: what came in, went out, and its gradient."""

    name: str
    layer: nn.Module
    entered: Tensor
    left: Tensor
    gradient: Tensor | None = None
    weight_gradient: Tensor | None = None


@dataclass
class Pass:
    """All calls in the order of the data's way, the loss, and what the network gave.

    unused: the names of trainable parameters that the loss's gradient does not reach. entered: the variance of the
    first input, NaN where it holds whole numbers.
    """

    calls: list[Call]
    loss: float
    output: Any = None
    unused: tuple[str, ...] = ()
    entered: float = math.nan


def record(module: nn.Module, x: Any, y: Any, loss: Loss | None) -> Pass:
    """One training-mode pass of `module`; call it under `untouched`. Nobody's `.grad` is added to.

    Raises InvalidInput if the module or the loss cannot take what it is given, or the module returns no tensor.
    """
    calls: list[Call] = []
    seen: dict[str, int] = {}
    entering: list[Tensor | None] = []  # a stack: copied before the layer, which may write over its input

    def enter(layer: nn.Module, inputs: Any, named: Any) -> None:
        if in_backward():
            return
        given = first_tensor((inputs, named))
        entering.append(None if given is None else given.detach().clone())

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if in_backward():
                return
            entered, left = entering.pop(), first_tensor(output)
            if entered is None or left is None or not left.is_floating_point() or not (left.ndim and left.numel()):
                return  # a loss, which has no examples, or a layer that got none
            seen[name] = seen.get(name, 0) + 1
            label = name if seen[name] == 1 else f"{name} ({ordinal(seen[name])} call)"
            call = Call(label, layer, entered, left.detach().clone())
            calls.append(call)
            if left.requires_grad:
                # on the tensor: where the next layer writes over it, the hook stays with the values noted here
                left.register_hook(lambda g: setattr(call, "gradient", g.detach().clone()))

        return hook

    module.train()
    with torch.enable_grad(), contextlib.ExitStack() as hooks:
        for name, layer in leaves(module):
            hooks.callback(layer.register_forward_pre_hook(enter, with_kwargs=True).remove)
            hooks.callback(layer.register_forward_hook(note(name)).remove)
        hooks.enter_context(functions_seen(module, lambda name: enter, note))
        given_leaves: list[Tensor] = []  # that want a gradient, so that layers before the first weights get one too
        given = over(x, lambda t: _leaf(t, given_leaves))
        value, output = _loss_of(module, over(given, Tensor.clone), y, loss)
        try:
            gradients = _gradients(value, [*given_leaves, *module.parameters()])
        except RuntimeError as error:
            raise InvalidInput(f"the loss's gradient cannot be taken: {reason_of(error)}.") from error
    for call in calls:
        call.weight_gradient = gradients.get(id(call.layer._parameters.get("weight")))
    unused = tuple(n for n, p in module.named_parameters() if p.requires_grad and id(p) not in gradients)
    first = first_tensor((x,))
    known = first is not None and first.is_floating_point()
    variance = float(doubled(first.detach()).var(correction=0)) if known and first is not None else math.nan
    return Pass(calls, float(value.detach()), output, unused, variance)


def in_backward() -> bool:
    """Whether a backward pass runs, in which gradient checkpointing calls layers once more."""
    return bool(torch._C._current_graph_task_id() != -1)


def in_transform() -> bool:
    """Whether a transform of torch.func runs, such as the gradient that an attack climbs: its tensors are not read."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def _leaf(tensor: Tensor, leaves: list[Tensor]) -> Tensor:
    tensor = tensor.detach().clone()
    if tensor.is_floating_point():
        leaves.append(tensor.requires_grad_())
    return tensor


def leaves(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers without sublayers. A parametrization is part of its layer, not one inside it."""
    for name, m in module.named_modules():
        inside = any(child != "parametrizations" for child, _ in m.named_children())
        if not inside and "parametrizations" not in name.split("."):
            yield name or type(m).__name__, m


def _gradients(value: Tensor, tensors: list[Tensor]) -> dict[int, Tensor]:
    """By the tensor's id; the hooks on the layers' outputs fire on the way."""
    wanted = [t for t in tensors if t.requires_grad]
    if not value.requires_grad or not wanted:
        return {}
    found = torch.autograd.grad(value, wanted, allow_unused=True)
    return {id(t): g for t, g in zip(wanted, found, strict=True) if g is not None}


def _loss_of(module: nn.Module, x: Any, y: Any, loss: Loss | None) -> tuple[Tensor, Any]:
    """The loss, and the network's output."""
    try:
        output = called(module, x)
    except Exception as error:  # it is the user's code
        shape = ", ".join(str(tuple(t.shape)) for t in tensors(x))
        reason = reason_of(error)
        raise InvalidInput(f"the network cannot take this batch (inputs {shape}): {reason}.") from error
    tensor = first_tensor(output)
    if tensor is None:
        raise InvalidInput(f"the network must return a tensor; it returned {type(output).__name__}.")
    try:
        value = loss_value(output, y, loss)
    except Exception as error:  # it is the user's code
        given = "no targets" if y is None else f"targets {tuple(y.shape)} of {y.dtype}"
        told = f"outputs {tuple(tensor.shape)} and {given}: {reason_of(error)}."
        raise InvalidInput(f"the loss cannot take {told}") from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise InvalidInput(f"the loss must be one number in a tensor; got {got}: take its mean.")
    return value.reshape(()), output


def reason_of(error: Exception) -> str:
    """The first line of what an error says; of one that torch does not raise its kind, and the user's line, too."""
    if not isinstance(error, (RuntimeError, ValueError, TypeError, IndexError)):
        return told(error)
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def loss_value(output: Any, y: Any, loss: Loss | None) -> Tensor:
    """The loss of what the network gave: the user's, the network's own where its arguments held the targets, or one
    that suits the targets."""
    if loss is not None:
        return loss(output, y)
    own = getattr(output, "loss", None)
    found = first_tensor(output)
    assert found is not None
    return own if isinstance(own, Tensor) else _default_loss(found, y)


def _default_loss(outputs: Tensor, y: Tensor | None) -> Tensor:
    if y is None:
        return outputs.square().sum() / 2
    if not y.is_floating_point():
        if outputs.ndim == y.ndim + 1 and y.ndim > 1 and outputs.shape[:-1] == y.shape:
            outputs = outputs.movedim(-1, 1)  # (n, positions, classes), as language models give
        return functional.cross_entropy(outputs, y.long())
    if outputs.shape != y.shape and (outputs.numel() != y.numel() or len(outputs) != len(y)):
        raise ValueError("numbers are compared with outputs of the same shape; pass your own loss")
    return functional.mse_loss(outputs.reshape(y.shape), y)


def first_tensor(value: Any) -> Tensor | None:
    """The tensor that matters in a layer's output: itself, `.logits`, or the first found inside."""
    if isinstance(value, Tensor):
        return value
    if isinstance(getattr(value, "logits", None), Tensor):
        return value.logits
    if dataclasses.is_dataclass(value) and not isinstance(value, Mapping):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    return next((t for v in inside if (t := first_tensor(v)) is not None), None)


@contextlib.contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put parameters, buffers, other attributes and the random states back afterwards, bit for bit.

    Attributes as they are: what a list or a dictionary among them was given meanwhile stays in it.
    """
    parameters = [(p, p.detach().clone()) for p in module.parameters()]
    buffers = [(m, dict(m._buffers)) for m in module.modules()]
    # The pass runs on copies of the buffers: those that a graph of the user's holds are not even written to.
    copies = {id(b): b.clone() for b in module.buffers()}
    attributes = [(m, {n: v for n, v in vars(m).items() if n not in (*STACKED, *HOOKS)}) for m in module.modules()]
    host = host_states()
    with torch.random.fork_rng(devices=cuda_devices(module)):
        try:
            for m, held in buffers:
                m._buffers.update({name: b if b is None else copies[id(b)] for name, b in held.items()})
            yield
        finally:
            for m, held in buffers:
                m._buffers.update(held)
            with torch.no_grad():
                for p, before in parameters:
                    if not torch.equal(p, before):  # an unchanged one keeps its version, for graphs that hold it
                        p.copy_(before)
            for m, kept in attributes:
                for name in [n for n in vars(m) if n not in (*STACKED, *HOOKS, *kept)]:
                    del vars(m)[name]
                vars(m).update(kept)
            put_back(host)


def cuda_devices(module: nn.Module) -> list[int]:
    """The numbers of the GPUs on which it lies, whose random numbers it may draw."""
    return sorted({t.device.index for t in (*module.parameters(), *module.buffers()) if t.device.type == "cuda"})


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th ..."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
