"""A call of a function written down: the line of tensor operations that it comes to, with every number in them.

torch's own `make_fx` gives the same line. This one keeps no more than straighten.py asks for, which takes less
time, changes nothing that other threads see, and does not import torch's compiler.
"""

import contextlib
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from trainsmith.network.dispatch import Watch
from trainsmith.population.program.nodes import BROUGHT

aten = torch.ops.aten


def trace(function: Callable[..., object], tensors: Sequence[Tensor]) -> GraphModule:
    """The operations that `function(*tensors)` calls, as a program of such tensors; it returns a list of tensors.

    A node has in `meta` what stands for its result: "val", a tensor without numbers, and the "device" it is on. Raises
    RuntimeError where the function decides by a number in a tensor, which other tensors would decide otherwise.
    """
    line = _Line(tensors)
    with line, _casts_not_kept():
        found = function(*tensors)
    return line.program([t for t in tree_leaves(found) if isinstance(t, Tensor)])


class _Line(Watch):
    """Writes down every operation below autograd and vmap."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self.graph, self.root = Graph(), nn.Module()
        self.nodes: Any = WeakTensorKeyDictionary()
        self.fixed: Any = WeakTensorKeyDictionary()
        """Tensors that hang on no input, and so have the same numbers at every call."""
        for i, t in enumerate(tensors):
            self._stands(self.graph.placeholder(f"given_{i}"), t)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        if func is aten.lift_fresh.default:
            self._made_here(given[0])
        fixed = bool(given) and all(t in self.fixed for t in given)
        if func is torch.ops.prim.device.default:
            return func(*args, **kwargs)
        if torch.Tag.data_dependent_output in func.tags:
            if not fixed:
                raise RuntimeError(f"{func} asks for a number in a tensor, and what follows may hang on it")
            return func(*args, **kwargs)
        if func is aten.lift_fresh.default:  # torch.tensor(...): the line makes it anew, for it may be written over
            func = aten.lift_fresh_copy.default
        words, named = tree_map(lambda a: self._node(a) if isinstance(a, Tensor) else a, (tuple(args), kwargs))
        node = self.graph.call_function(func, words, named)
        out = func(*args, **kwargs)
        if func._schema.is_mutable and not fixed:  # with all that lies in the same memory, such as views
            memory = {t.untyped_storage()._cdata for t in given}
            for t in [t for t in self.fixed if t.untyped_storage()._cdata in memory]:
                self.fixed.pop(t)
        self._note(node, out, fixed)
        return out

    def _note(self, node: Node, out: Any, fixed: bool) -> None:
        """What an operation gave, one tensor or several, is the node's."""
        if isinstance(out, Tensor):
            self._stands(node, out)
            if fixed:
                self.fixed[out] = True
        elif isinstance(out, (list, tuple)):
            for i, part in enumerate(out):
                self._note(self.graph.call_function(operator.getitem, (node, i)), part, fixed)

    def _stands(self, node: Node, t: Tensor) -> None:
        self.nodes[t] = node
        node.meta["val"] = torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="meta")
        node.meta["device"] = t.device

    def _node(self, t: Tensor) -> Node:
        """The node of a tensor; one that the function brought along is the program's too, which its owner may change in
        place from call to call.
        """
        if t not in self.nodes:
            self._keep(BROUGHT, t)
        return self.nodes[t]

    def _made_here(self, t: Tensor) -> None:
        """A tensor of the numbers that the function wrote, which nobody else has."""
        self._keep("written_", t)
        self.fixed[t] = True

    def _keep(self, kind: str, t: Tensor) -> None:
        name = f"{kind}{len(self.root._buffers)}"
        self.root.register_buffer(name, t.detach())
        self._stands(self.graph.get_attr(name), t)

    def program(self, results: Sequence[Tensor]) -> GraphModule:
        """The line, which returns these."""
        self.graph.output([self._node(t) for t in results])
        return GraphModule(self.root, self.graph)


@contextlib.contextmanager
def _casts_not_kept() -> Iterator[None]:
    """Autocast converts each weight anew meanwhile: what it kept from before would be a constant."""
    kept = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(kept)


__all__ = ["trace"]
