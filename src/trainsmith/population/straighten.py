"""Tidy a traced program: take out the operations that do nothing."""

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten
RESHAPES = (aten.expand.default, aten.view.default, aten._unsafe_view.default, aten.reshape.default)


def straighten(graph: GraphModule) -> GraphModule:
    """The same program without reshapes to the same shape, products with 1, detours of two transpositions.

    vmap and autograd leave many of these; each would cost a call at every step.
    """
    for node in list(graph.graph.nodes):
        source = _does_nothing(node)
        if source is not None:
            node.replace_all_uses_with(source)
            graph.graph.erase_node(node)
    for node in list(graph.graph.nodes):
        _add_while_multiplying(graph, node)
    graph.graph.lint()
    graph.recompile()
    return graph


def _add_while_multiplying(graph: GraphModule, node: Node) -> None:
    """bias + bmm(a, b), where nothing else uses the product, becomes one baddbmm(bias, a, b)."""
    if node.target is not aten.add.Tensor or node.kwargs or len(node.args) != 2:
        return
    bias, product = node.args
    if not isinstance(bias, Node) or not isinstance(product, Node) or product.target is not aten.bmm.default:
        return
    if len(product.users) > 1 or _shape(node) != _shape(product):
        return
    with graph.graph.inserting_before(node):
        joined = graph.graph.call_function(aten.baddbmm.default, (bias, *product.args))
    joined.meta = dict(node.meta)
    node.replace_all_uses_with(joined)
    graph.graph.erase_node(node)
    graph.graph.erase_node(product)


def _does_nothing(node: Node) -> Node | None:
    """The argument that `node` returns unchanged, if that is all it does."""
    source = node.args[0] if node.op == "call_function" and node.args else None
    if not isinstance(source, Node):
        return None
    if node.target is aten.detach.default:
        return source
    if node.target in RESHAPES and _shape(node) == _shape(source) is not None:
        return source
    if node.target is aten.mul.Scalar and node.args[1] == 1:
        return source if _dtype(node) == _dtype(source) else None
    if node.target is aten.transpose.int and source.target is aten.transpose.int and node.args[1:] == source.args[1:]:
        return source.args[0] if isinstance(source.args[0], Node) else None
    return None


def _shape(node: Node) -> tuple[int, ...] | None:
    value = node.meta.get("val", node.meta.get("tensor_meta"))
    return tuple(value.shape) if value is not None and hasattr(value, "shape") else None


def _dtype(node: Node) -> torch.dtype | None:
    value = node.meta.get("val", node.meta.get("tensor_meta"))
    return getattr(value, "dtype", None)
