"""The nodes of a traced program: what their results are like, who writes to them, and how new ones are made."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

aten = torch.ops.aten
BROUGHT = "brought_"
"""What the names of tensors begin with that are neither given to a program nor made in it."""


def written(node: Node) -> bool:
    """Whether anything writes to the node's result, or to a view of it: then it is not the same at every step."""
    for user in node.users:
        if user.op != "call_function":
            continue
        if not isinstance(user.target, OpOverload):  # an item of several results
            if written(user):
                return True
            continue
        schema = user.target._schema
        known = [*zip(schema.arguments, user.args, strict=False)]
        known += [(a, user.kwargs[a.name]) for a in schema.arguments if a.name in user.kwargs]
        alias = [a.alias_info for a, given in known if a.alias_info is not None and _holds(given, node)]
        if any(info.is_write for info in alias) or (alias and written(user)):
            return True
    return False


def _holds(given: Any, node: Node) -> bool:
    return given is node or (isinstance(given, (list, tuple)) and any(g is node for g in given))


def call(graph: GraphModule, target: Callable[..., Any], *args: Any) -> Node:
    """A new call, with the shape, type and place that its result has."""
    new = graph.graph.call_function(target, args)
    values = [value_of(a) if isinstance(a, Node) else a for a in args]
    if all(v is not None for v in values):
        new.meta["val"] = _given(target, values)
    return new


def _given(target: Callable[..., Any], values: list[Any]) -> torch.Tensor:
    """What stands for the result. torch itself would be asked, but for most of these it imports its compiler."""
    if target in (aten.bmm.default, aten.baddbmm.default):
        a, b = values[-2:]
        return a.new_empty(*a.shape[:2], b.shape[2])
    if target in (aten._log_softmax.default, aten._log_softmax_backward_data.default):
        return values[0].new_empty(values[0].shape)
    return target(*values)


def replace(graph: GraphModule, node: Node, by: Node) -> None:
    """Whoever used `node` uses `by`."""
    node.replace_all_uses_with(by)
    graph.graph.erase_node(node)


def value_of(node: Node) -> torch.Tensor | None:
    """What stands for the node's result: shape, strides and type, without numbers."""
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return None
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


def on_cpu(graph: GraphModule) -> bool:
    """Whether all tensors that are given lie there."""
    given = [n.meta for n in graph.graph.nodes if n.op == "placeholder" and isinstance(n.meta.get("val"), torch.Tensor)]
    return all(m.get("device", m["val"].device).type == "cpu" for m in given)


def shape_of(node: Node) -> tuple[int, ...] | None:
    """The shape of the node's result."""
    value = value_of(node)
    return tuple(value.shape) if value is not None else None


def alike(a: Node, b: Node) -> bool:
    """Whether two results have the same shape, type and order in memory."""
    x, y = value_of(a), value_of(b)
    return x is not None and y is not None and (x.shape, x.dtype, x.stride()) == (y.shape, y.dtype, y.stride())
