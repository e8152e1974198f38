"""Activation functions that a network calls as functions, such as functional.relu(x), made into modules.

A module whose forward calls some becomes an instance of a class of its own: the user's, with each such call turned
into a call of a module. What the rest of forward does stays as it is written, self.training and loops included.
"""

import ast
import functools
import inspect
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainsmith.initialization import outputs_of
from trainsmith.network import unchanged

Make = Callable[[], nn.Module]
CALLS: dict[Any, type[nn.Module]] = {
    functional.relu: nn.ReLU, functional.relu_: nn.ReLU, torch.relu: nn.ReLU, torch.relu_: nn.ReLU,
    functional.relu6: nn.ReLU6, functional.leaky_relu: nn.LeakyReLU, functional.elu: nn.ELU, functional.selu: nn.SELU,
    functional.celu: nn.CELU, functional.gelu: nn.GELU, functional.silu: nn.SiLU, functional.mish: nn.Mish,
    functional.softplus: nn.Softplus, functional.hardswish: nn.Hardswish, functional.hardsigmoid: nn.Hardsigmoid,
    functional.tanh: nn.Tanh, torch.tanh: nn.Tanh, functional.sigmoid: nn.Sigmoid, torch.sigmoid: nn.Sigmoid,
    torch.tanh_: nn.Tanh, torch.sigmoid_: nn.Sigmoid, torch.selu: nn.SELU, torch.celu: nn.CELU,
    functional.elu_: nn.ELU, functional.selu_: nn.SELU, functional.celu_: nn.CELU,
    functional.leaky_relu_: nn.LeakyReLU, functional.hardtanh: nn.Hardtanh, functional.hardtanh_: nn.Hardtanh,
    functional.softsign: nn.Softsign, functional.tanhshrink: nn.Tanhshrink, functional.logsigmoid: nn.LogSigmoid,
    functional.hardshrink: nn.Hardshrink, functional.softshrink: nn.Softshrink,
}  # fmt: skip
"""torch's element-wise activation functions and the modules that do the same, given the numbers of the call."""
LEFT = (functional.threshold, functional.rrelu, torch.rrelu, functional.prelu)
"""Others, which have numbers of their own, draw in training or have weights: they stay calls, and are listed."""
KNOWN = ("torch.nn.modules", "trainsmith.activation", "trainsmith.normalization", "transformers.activations")
"""Where modules come from whose calls are their own affair."""
METHODS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "relu_": nn.ReLU, "tanh": nn.Tanh, "tanh_": nn.Tanh, "sigmoid": nn.Sigmoid, "sigmoid_": nn.Sigmoid,
}  # fmt: skip
"""Methods of tensors that are activation functions."""


@dataclass(frozen=True)
class Rewritten:
    """A class with a module at each call of an activation function. source: its forward's; sites: names and modules."""

    kind: type[nn.Module]
    source: str
    sites: tuple[tuple[str, Make], ...]


def call_modules(root: nn.Module, example: Tensor) -> tuple[str, ...]:
    """Turn calls of activation functions in the forward of `root`'s modules into modules, in place.

    What was left as it is, one line for each function: calls in functions beside forward, in a forward whose source is
    not to be had, or of a value that multiplies another, which is a gate. The network computes the same as before.
    """
    before = called(root, example)
    if not before:
        return ()
    with torch.no_grad():
        wanted = _outputs(root, example)
        kinds: list[tuple[nn.Module, Any]] = [(m, type(m)) for m in root.modules()]
        changed = [(m, kind, new) for m, kind in kinds if (new := rewritten(kind)) is not None]
        for module, _, new in changed:
            module.__class__ = new.kind
            for name, make in new.sites:
                module.add_module(name, make().train(module.training))
        if changed and not torch.equal(wanted, _outputs(root, example)):
            for module, old, new in changed:
                module.__class__ = old
                for name, _ in new.sites:
                    delattr(module, name)
    left = called(root, example)
    return unchanged.calls(left)


def called(root: nn.Module, example: Tensor, wanted: Callable[[Any], bool] | None = None) -> Counter[str]:
    """How often each activation function is called in a forward pass, other than by torch's own modules.

    wanted: of which functions, in place of these.
    """
    log = _Log(wanted or _is_activation)
    kept = [m for m in root.modules() if type(m).__module__.startswith(KNOWN)]
    hooks = [m.register_forward_pre_hook(log.enter) for m in kept]
    hooks += [m.register_forward_hook(log.leave, always_call=True) for m in kept if not isinstance(m, nn.Sequential)]
    hooks = [h for h in hooks if h is not None]
    try:
        with log:
            outputs_of(root, example[:2])
    finally:
        for hook in hooks:
            hook.remove()
    return log.names


def _is_activation(func: Any) -> bool:
    name = getattr(func, "__name__", "")
    return func in CALLS or func in LEFT or (name in METHODS and func is getattr(Tensor, name, None))


class _Log(TorchFunctionMode):
    """Counts the calls of the wanted functions outside of modules that are known."""

    def __init__(self, wanted: Callable[[Any], bool]) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.wanted = wanted
        self.inside = 0

    def enter(self, module: nn.Module, args: Any) -> None:
        self.inside += not isinstance(module, nn.Sequential)

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self.inside -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.inside and self.wanted(func):
            self.names[func.__name__.strip("_")] += 1
        return func(*args, **(kwargs or {}))


def _outputs(root: nn.Module, example: Tensor) -> Tensor:
    found = outputs_of(root, example[:2])
    return found if isinstance(found, Tensor) else torch.zeros(())


@functools.cache
def rewritten(kind: type[nn.Module]) -> Rewritten | None:
    """The class with modules in the place of calls; None for one that calls none, or whose forward cannot be read."""
    forward: Any = kind.forward
    if kind.__module__.startswith(("torch.", *KNOWN)) or getattr(forward, "__closure__", None):
        return None
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(forward)))
    except (OSError, TypeError, SyntaxError):
        return None
    (definition,) = tree.body
    if not isinstance(definition, ast.FunctionDef) or definition.decorator_list or not definition.args.args:
        return None
    change = _Change(forward.__globals__, definition.args.args[0].arg)
    change.visit(definition)
    if not change.sites:
        return None
    ast.fix_missing_locations(tree)
    made: dict[str, Any] = {}
    exec(compile(tree, f"<forward of {kind.__qualname__} with modules>", "exec"), forward.__globals__, made)
    name = f"{kind.__name__}WithModules"
    about = f"{kind.__name__}, the activation functions that it calls as modules."
    new = type(name, (kind,), {"forward": made[definition.name], "__doc__": about, "__module__": kind.__module__})
    return Rewritten(new, ast.unparse(definition), tuple(change.sites))


class _Change(ast.NodeTransformer):
    """Turns each call of an activation function into a call of a module of `own`."""

    def __init__(self, names: dict[str, Any], own: str) -> None:
        self.names, self.own = names, own
        self.sites: list[tuple[str, Make]] = []

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        if isinstance(node.op, ast.Mult):  # a gate, not an activation
            for side in ("left", "right"):
                part = getattr(node, side)
                if self._module(part) is None:
                    setattr(node, side, self.visit(part))
                else:
                    self.generic_visit(part)
            return node
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        make = self._module(node)
        self.generic_visit(node)
        if make is None:
            return node
        name = f"activation_{len(self.sites)}"
        self.sites.append((name, make))
        x = node.args[0] if node.args else node.func.value  # type: ignore[attr-defined]
        own = ast.Attribute(ast.Name(self.own, ast.Load()), name, ast.Load())
        return ast.Call(own, [x], [])

    def _module(self, node: ast.AST) -> Make | None:
        """What makes the module that does what a call does; None for any other expression."""
        if not isinstance(node, ast.Call):
            return None
        called = self._value(node.func)
        if called is None and isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
            return METHODS.get(node.func.attr)
        try:
            known = CALLS.get(called)
            options = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords if k.arg != "inplace"}
            numbers = [ast.literal_eval(a) for a in node.args[1:]]
        except (ValueError, TypeError):
            return None
        if known is None or not node.args or "None" in options:
            return None
        return functools.partial(known, *numbers, **options) if numbers or options else known

    def _value(self, node: ast.AST) -> Any:
        """What a name, or an attribute of a module, is where the forward is written."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute) and inspect.ismodule(owner := self._value(node.value)):
            return getattr(owner, node.attr, None)
        return None
