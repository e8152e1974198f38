"""A module's forward, read as source, with modules in the place of the activation functions that it calls."""

import __future__

import ast
import copy
import functools
import inspect
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

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
    within = f".{forward.__qualname__}".split(".")[-2]
    change = _Change(forward.__globals__, definition.args.args[0].arg, within)
    definition.body = [change.visit(statement) for statement in definition.body]
    if not change.sites:
        return None
    for i, value in enumerate(forward.__defaults__ or ()):  # which a name may give that the class alone knows
        if isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
            definition.args.defaults[i] = ast.Constant(value)
    ast.fix_missing_locations(tree)
    made, name = _compiled(definition, forward, kind), f"{kind.__name__}WithModules"
    about = f"{kind.__name__}, the activation functions that it calls as modules."
    own = {"forward": made, "__reduce__": lambda self: (_made_again, (kind,), self.__getstate__())}
    new = type(name, (kind,), {**own, "__doc__": about, "__module__": kind.__module__})
    return Rewritten(new, ast.unparse(definition), tuple(change.sites))


def _compiled(definition: ast.FunctionDef, forward: Any, kind: type) -> Any:
    """The function that a definition makes beside where `forward` is written, with the defaults that this has.

    They, and what annotations name, may be known in the class alone, or to type checkers.
    """
    bare = copy.deepcopy(definition)
    bare.args.defaults = [ast.Constant(None) for _ in bare.args.defaults]
    bare.args.kw_defaults = [d and ast.Constant(None) for d in bare.args.kw_defaults]
    tree = ast.fix_missing_locations(ast.Module([bare], []))
    place, made = f"<forward of {kind.__qualname__} with modules>", dict[str, Any]()
    code = compile(tree, place, "exec", flags=__future__.annotations.compiler_flag)
    exec(code, forward.__globals__, made)
    made[definition.name].__defaults__, made[definition.name].__kwdefaults__ = (
        forward.__defaults__,
        forward.__kwdefaults__,
    )
    return made[definition.name]


def _made_again(kind: Any) -> Any:
    """An instance, before it has its state, of the class that rewritten(kind) made: a copy out of pickle."""
    new = rewritten(kind)
    made = new.kind if new else kind
    return made.__new__(made)


class _Change(ast.NodeTransformer):
    """Turns each call of an activation function into a call of a module of `own`; `within` is the class it is of."""

    def __init__(self, names: dict[str, Any], own: str, within: str) -> None:
        self.names, self.own, self.within = names, own, within.lstrip("_")
        self.sites: list[tuple[str, Make]] = []

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """A private name, which Python knows by the class that it is written in."""
        if node.attr.startswith("__") and not node.attr.endswith("__") and self.within.isidentifier():
            node.attr = f"_{self.within}{node.attr}"
        return self.generic_visit(node)

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
