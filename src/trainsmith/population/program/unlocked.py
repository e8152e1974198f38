"""A straight line handed to TorchScript, whose interpreter does not hold Python's lock: threads run side by side."""

import functools
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

NUMBERS: dict[Any, int] = {
    torch.float16: 5, torch.float32: 6, torch.float64: 7, torch.bfloat16: 15, torch.uint8: 0, torch.int8: 1,
    torch.int16: 2, torch.int32: 3, torch.int64: 4, torch.bool: 11, torch.contiguous_format: 0,
    torch.preserve_format: 1, torch.channels_last: 2, torch.channels_last_3d: 3, torch.strided: 0,
}  # fmt: skip
"""What TorchScript calls types and orders in memory."""


class Unlocked:
    """The same program as `line`, without Python between its operations. Raises Inexpressible.

    source: the function `step` of its constants and its tensors, in TorchScript.
    """

    def __init__(self, line: GraphModule) -> None:
        self.graph = line.graph
        constants, self.source = _source(line)
        self.constants = [getattr(line, name) for name in constants]
        self._run = script(self.source)

    def __call__(self, *tensors: Tensor) -> Sequence[Tensor]:
        return self._run(*self.constants, *tensors)


class Inexpressible(ValueError):
    """TorchScript has no words for an operation of the straight line."""


@functools.lru_cache(maxsize=64)
def script(source: str, name: str = "step") -> Callable[..., Any]:
    """The function of this name that this TorchScript defines; it runs as it is written. Raises Inexpressible.

    TorchScript's own rewritings are switched off: they take sums apart, which rounds otherwise, and leave out what
    writes into the tensors of a list.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function = getattr(torch.jit.CompilationUnit(source), name)
    except Exception as error:
        raise Inexpressible(str(error)) from error

    def run(*arguments: Any) -> Any:
        with torch.no_grad(), torch.jit.optimized_execution(False):
            return function(*arguments)

    return run


def unlocked(line: GraphModule, fresh: Callable[[], Sequence[Tensor]]) -> GraphModule | Unlocked:
    """`line` as TorchScript, if it gives the same bits there; otherwise as it is.

    fresh: tensors to try both on, made anew each time, for the line writes into them.
    """
    try:
        own = Unlocked(line)
        expected = fresh()
        losses = line(*expected)
        found = fresh()
        same = _same([*own(*found), *found], [*losses, *expected])
    except Exception:
        return line
    return own if same else line


def _same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return all(torch.allclose(x, y, rtol=0, atol=0, equal_nan=True) for x, y in zip(a, b, strict=True))


def _source(line: GraphModule) -> tuple[list[str], str]:
    """Names of the line's constants, and the function `step` of these and the line's tensors, in TorchScript."""
    constants: dict[Node, str] = {}
    inputs, body = [], []
    for node in line.graph.nodes:
        if node.op == "placeholder":
            inputs.append(_name(node))
        elif node.op == "get_attr":
            constants[node] = str(node.target)
        elif node.op == "call_function":
            body.append(f"{_name(node)} = {_called(node)}")
        elif node.op == "output":
            body.append(f"return {_word(list(node.args[0]))}")
    arguments = ", ".join([*map(_name, constants), *inputs])
    return list(constants.values()), "\n    ".join([f"def step({arguments}):", *body]) + "\n"


def _called(node: Node) -> str:
    target = node.target
    if target is operator.getitem:
        return f"{_word(node.args[0])}[{_word(node.args[1])}]"
    if not isinstance(target, OpOverload):
        raise Inexpressible(f"{target} is no operation of PyTorch")
    if target is torch.ops.aten._to_copy.default and not isinstance(node.args[0], Node):
        return f"torch.tensor({_word(node.args[0])}).to({_word(node.kwargs.get('dtype'))})"
    words = [*map(_word, node.args), *(f"{name}={_word(value)}" for name, value in node.kwargs.items())]
    if target is torch.ops.aten.view.dtype:  # TorchScript knows the view of another shape alone
        target = torch.ops.aten.view_copy.dtype
    return f"torch.ops.{target.namespace}.{target._opname}({', '.join(words)})"


def _name(node: Node) -> str:
    return f"v_{node.name}"


def _word(value: Any) -> str:
    """An argument as TorchScript writes it."""
    if isinstance(value, Node):
        return _name(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_word, value))}]"
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if abs(value) < float("inf") else f"float('{value}')"
    if isinstance(value, torch.device):
        return f"torch.device('{value}')"
    if value in NUMBERS:
        return str(NUMBERS[value])
    raise Inexpressible(f"{value!r} has no word in TorchScript")
