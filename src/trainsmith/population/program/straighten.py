"""Tidy a traced program: take out what does nothing, work in place, write results where they are wanted.

Each rewriting keeps the numbers (the softmax of few classes is summed in another order).
"""

from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.graph import CodeGen

from trainsmith.population.program.nodes import BROUGHT, alike, call, on_cpu, replace, shape_of, value_of, written

aten = torch.ops.aten
RESHAPES = (aten.expand.default, aten.view.default, aten._unsafe_view.default, aten.reshape.default)
IN_PLACE: dict[object, OpOverload] = {
    aten.relu.default: aten.relu_.default,
    aten.tanh.default: aten.tanh_.default,
    aten.sigmoid.default: aten.sigmoid_.default,
    aten.add.Tensor: aten.add_.Tensor,
    aten.mul.Tensor: aten.mul_.Tensor,
    aten.threshold_backward.default: aten.threshold_backward.grad_input,
}
PRODUCTS: dict[object, OpOverload] = {
    aten.bmm.default: aten.bmm.out,
    aten.mm.default: aten.mm.out,
    aten.sum.dim_IntList: aten.sum.IntList_out,
}
LIKE = (aten.ones_like.default, aten.zeros_like.default, aten.new_zeros.default, aten.new_ones.default)
LARGEST_CONSTANT = 2**20
FEW_COLUMNS = 16
"""The width of a vector register: a batched product with fewer columns leaves part of it empty."""
FEW_CLASSES = 64
"""Over fewer numbers than this, PyTorch's CPU softmax along the last axis is up to ten times slower than elsewhere."""


def straighten(graph: GraphModule) -> GraphModule:
    """The same program, with fewer calls and less memory touched. vmap and autograd leave much to tidy.

    It takes its tensors one by one, not in lists, and returns what it returned in a list.
    """
    clear = _name_transposes, _drop, _fold
    arrange = (
        _join_bias,
        _turn_product,
        _turn_softmax,
        _drop,
        _sum_flat,
        _write_where_wanted,
        _work_in_place,
        _view_or_copy,
    )
    for tidy in (*clear, *arrange):
        for node in list(graph.graph.nodes):
            tidy(graph, node)
        graph.graph.eliminate_dead_code()
    graph.graph.set_codegen(CodeGen())
    graph.graph.lint()
    graph.recompile()
    return graph


def _view_or_copy(graph: GraphModule, node: Node) -> None:
    """A view was possible as memory lay when it was traced; turned results lie otherwise."""
    if node.target in (aten.view.default, aten._unsafe_view.default):
        node.target = aten.reshape.default


def _name_transposes(graph: GraphModule, node: Node) -> None:
    """t(matrix) is called transpose, as everything below calls it."""
    if node.target is aten.t.default and len(shape_of(node) or ()) == 2:
        with graph.graph.inserting_before(node):
            same = call(graph, aten.transpose.int, node.args[0], 0, 1)
        replace(graph, node, same)


def _drop(graph: GraphModule, node: Node) -> None:
    """Take out reshapes to the same shape, products with 1, detours of two transpositions."""
    source = _does_nothing(node)
    if source is not None:
        replace(graph, node, source)


def _does_nothing(node: Node) -> Node | None:
    """The argument that `node` returns unchanged, if that is all it does."""
    source = node.args[0] if node.op == "call_function" and node.args else None
    if not isinstance(source, Node):
        return None
    if node.target is aten.detach.default:
        return source
    if node.target in RESHAPES and shape_of(node) == shape_of(source) is not None:
        return source
    if node.target is aten.mul.Scalar and node.args[1] == 1:
        return source if alike(node, source) and not written(node) and not written(source) else None
    if node.target is aten.transpose.int and source.target is aten.transpose.int:
        inner, dims = source.args[0], len(shape_of(source) or (0,))
        axes, before = ({a % dims for a in n.args[1:]} for n in (node, source))  # type: ignore[operator]
        if isinstance(inner, Node) and axes == before:
            return inner
    return None


def _fold(graph: GraphModule, node: Node) -> None:
    """Compute here and now what hangs on no input, such as the gradient of a sum."""
    if node.op != "call_function" or not isinstance(node.target, OpOverload) or node.target._schema.is_mutable:
        return
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor) or value.numel() > LARGEST_CONSTANT or written(node):
        return
    if node.target in LIKE:
        device = node.meta.get("device", value.device)
        example = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)
        args: list[Any] = [example, *node.args[1:]]
    elif node.target is aten._to_copy.default and isinstance(node.args[0], (bool, int, float)):
        args = [torch.tensor(node.args[0])]
    elif node.all_input_nodes and all(map(_constant, node.all_input_nodes)) and not node.kwargs:
        args = [getattr(graph, str(a.target)) if isinstance(a, Node) else a for a in node.args]
    else:
        return
    name = f"constant_{node.name}"
    with torch.no_grad():
        graph.register_buffer(name, node.target(*args, **node.kwargs))
    with graph.graph.inserting_before(node):
        constant = graph.graph.get_attr(name)
    constant.meta = dict(node.meta)
    replace(graph, node, constant)


def _constant(node: Node) -> bool:
    """Whether it is one of the graph's own; what a function brought along its owner may change in place."""
    return node.op == "get_attr" and not str(node.target).startswith(BROUGHT)


def _turn_product(graph: GraphModule, node: Node) -> None:
    """A product with few columns as the transpose of one with few rows: up to eight times faster on CPUs."""
    if node.target not in (aten.bmm.default, aten.baddbmm.default) or node.kwargs:
        return
    value = value_of(node)
    if value is None or not on_cpu(graph) or not _narrow(*value.shape[1:]):
        return
    *bias, a, b = node.args
    with graph.graph.inserting_before(node):
        turned = [call(graph, aten.transpose.int, t, 1, 2) for t in (*bias, b, a)]
        product = call(graph, node.target, *turned)
        result = call(graph, aten.transpose.int, product, 1, 2)
    replace(graph, node, result)


def _narrow(rows: int, columns: int) -> bool:
    return columns < min(FEW_COLUMNS, rows)


def as_written(gradient: torch.Tensor) -> torch.Tensor:
    """Zeros that lie in memory as the straight line writes this gradient, which came from vmap itself."""
    if gradient.device.type == "cpu" and gradient.ndim == 3 and _narrow(*gradient.shape[:0:-1]):
        return torch.zeros_like(gradient, memory_format=torch.contiguous_format)
    return torch.zeros_like(gradient)


def _turn_softmax(graph: GraphModule, node: Node) -> None:
    """log_softmax over a short last axis, and its gradient, with the last two axes exchanged."""
    forward, backward = aten._log_softmax.default, aten._log_softmax_backward_data.default
    value = value_of(node)
    if node.target not in (forward, backward) or value is None or not on_cpu(graph):
        return
    last = value.ndim - 1
    along = node.args[1 if node.target is forward else 2]
    if last < 1 or along not in (-1, last) or value.shape[last] >= min(FEW_CLASSES, value.shape[last - 1]):
        return
    with graph.graph.inserting_before(node):
        turned = [call(graph, aten.transpose.int, a, last - 1, last) for a in node.args[:2] if isinstance(a, Node)]
        short = call(graph, node.target, *turned, last - 1, *node.args[len(turned) + 1 :])
        result = call(graph, aten.transpose.int, short, last - 1, last)
    replace(graph, node, result)


def _join_bias(graph: GraphModule, node: Node) -> None:
    """bias + bmm(a, b), where nothing else uses the product, becomes one baddbmm(bias, a, b)."""
    if node.target is not aten.add.Tensor or node.kwargs or len(node.args) != 2:
        return
    bias, product = node.args
    if not isinstance(bias, Node) or not isinstance(product, Node) or product.target is not aten.bmm.default:
        return
    if len(product.users) > 1 or shape_of(node) != shape_of(product):
        return
    values = value_of(bias), value_of(product)  # under autocast a bias may have another precision
    if any(v is None for v in values) or values[0].dtype != values[1].dtype:  # type: ignore[union-attr]
        return
    with graph.graph.inserting_before(node):
        joined = call(graph, aten.baddbmm.default, bias, *product.args)
    replace(graph, node, joined)
    graph.graph.erase_node(product)


def _sum_flat(graph: GraphModule, node: Node) -> None:
    """A sum that keeps its axis, which is then dropped, becomes one that does not keep it."""
    source = node.args[0] if node.target in RESHAPES else None
    if not isinstance(source, Node) or source.target is not aten.sum.dim_IntList or len(source.users) > 1:
        return
    x, axes, *keeps = source.args
    kept, value = shape_of(source), value_of(node)
    if source.kwargs or keeps != [True] or kept is None or value is None or not isinstance(axes, list):
        return
    if tuple(n for i, n in enumerate(kept) if i not in [a % len(kept) for a in axes]) != tuple(value.shape):
        return
    with graph.graph.inserting_before(node):
        flat = graph.graph.call_function(aten.sum.dim_IntList, (x, axes))
    flat.meta = dict(node.meta)
    replace(graph, node, flat)


def _write_where_wanted(graph: GraphModule, node: Node) -> None:
    """copy_(wanted, transpose(bmm(a, b))): the product, or sum, is written there at once, if it lies as it does."""
    if node.target is not aten.copy_.default or node.users:
        return
    wanted, result = node.args[:2]
    turns = []
    while isinstance(result, Node) and result.target is aten.transpose.int and len(result.users) == 1:
        turns.append(result.args[1:])
        result = result.args[0]
    if not (isinstance(result, Node) and isinstance(wanted, Node) and wanted.op == "placeholder"):
        return
    product = PRODUCTS.get(result.target)
    if product is None or len(result.users) > 1 or result.kwargs:
        return
    with graph.graph.inserting_before(result):
        there: Node = wanted
        for turn in turns:
            there = call(graph, aten.transpose.int, there, *turn)
        if not alike(there, result):
            return
        graph.graph.call_function(product, result.args, {"out": there})
    graph.graph.erase_node(node)  # the product itself, unused now, goes with the dead code


def _work_in_place(graph: GraphModule, node: Node) -> None:
    """f(x) becomes f_(x) where x is memory of its own that nothing else looks at."""
    in_place = IN_PLACE.get(node.target)
    source = node.args[0] if node.args else None
    if in_place is None or not isinstance(source, Node) or not _own(source) or len(source.users) > 1:
        return
    if node.args.count(source) > 1 or not alike(node, source):
        return
    with graph.graph.inserting_before(node):
        extra = {"grad_input": source} if node.target is aten.threshold_backward.default else {}
        done = graph.graph.call_function(in_place, node.args, {**node.kwargs, **extra})
    done.meta = dict(node.meta)
    replace(graph, node, done)


def _own(node: Node) -> bool:
    """Whether the node's result is one tensor in memory that it allocated."""
    if node.op != "call_function" or not isinstance(node.target, OpOverload):
        return False
    if node.target is aten._unsafe_view.default:
        return False
    returns = node.target._schema.returns
    return len(returns) == 1 and returns[0].alias_info is None and node.target not in IN_PLACE.values()
