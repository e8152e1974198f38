"""Tidy a traced program: take out what does nothing, work in place, write results where they are wanted.

Each rewriting keeps the numbers (the softmax of few classes is summed in another order).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.graph import CodeGen

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
    if node.target is aten.t.default and len(_shape(node) or ()) == 2:
        with graph.graph.inserting_before(node):
            same = _call(graph, aten.transpose.int, node.args[0], 0, 1)
        _replace(graph, node, same)


def _drop(graph: GraphModule, node: Node) -> None:
    """Take out reshapes to the same shape, products with 1, detours of two transpositions."""
    source = _does_nothing(node)
    if source is not None:
        _replace(graph, node, source)


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
        return source if _alike(node, source) and not _written(node) and not _written(source) else None
    if node.target is aten.transpose.int and source.target is aten.transpose.int:
        inner, dims = source.args[0], len(_shape(source) or (0,))
        axes, before = ({a % dims for a in n.args[1:]} for n in (node, source))  # type: ignore[operator]
        if isinstance(inner, Node) and axes == before:
            return inner
    return None


def _fold(graph: GraphModule, node: Node) -> None:
    """Compute here and now what hangs on no input, such as the gradient of a sum."""
    if node.op != "call_function" or not isinstance(node.target, OpOverload) or node.target._schema.is_mutable:
        return
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor) or value.numel() > LARGEST_CONSTANT or _written(node):
        return
    if node.target in LIKE:
        device = node.meta.get("device", value.device)
        example = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)
        args: list[Any] = [example, *node.args[1:]]
    elif node.target is aten._to_copy.default and isinstance(node.args[0], (bool, int, float)):
        args = [torch.tensor(node.args[0])]
    elif node.all_input_nodes and all(n.op == "get_attr" for n in node.all_input_nodes) and not node.kwargs:
        args = [getattr(graph, str(a.target)) if isinstance(a, Node) else a for a in node.args]
    else:
        return
    name = f"constant_{node.name}"
    with torch.no_grad():
        graph.register_buffer(name, node.target(*args, **node.kwargs))
    with graph.graph.inserting_before(node):
        constant = graph.graph.get_attr(name)
    constant.meta = dict(node.meta)
    _replace(graph, node, constant)


def _turn_product(graph: GraphModule, node: Node) -> None:
    """A product with few columns as the transpose of one with few rows: up to eight times faster on CPUs."""
    if node.target not in (aten.bmm.default, aten.baddbmm.default) or node.kwargs:
        return
    value = _value(node)
    if value is None or not _on_cpu(graph) or not _narrow(*value.shape[1:]):
        return
    *bias, a, b = node.args
    with graph.graph.inserting_before(node):
        turned = [_call(graph, aten.transpose.int, t, 1, 2) for t in (*bias, b, a)]
        product = _call(graph, node.target, *turned)
        result = _call(graph, aten.transpose.int, product, 1, 2)
    _replace(graph, node, result)


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
    value = _value(node)
    if node.target not in (forward, backward) or value is None or not _on_cpu(graph):
        return
    last = value.ndim - 1
    along = node.args[1 if node.target is forward else 2]
    if last < 1 or along not in (-1, last) or value.shape[last] >= min(FEW_CLASSES, value.shape[last - 1]):
        return
    with graph.graph.inserting_before(node):
        turned = [_call(graph, aten.transpose.int, a, last - 1, last) for a in node.args[:2] if isinstance(a, Node)]
        short = _call(graph, node.target, *turned, last - 1, *node.args[len(turned) + 1 :])
        result = _call(graph, aten.transpose.int, short, last - 1, last)
    _replace(graph, node, result)


def _join_bias(graph: GraphModule, node: Node) -> None:
    """bias + bmm(a, b), where nothing else uses the product, becomes one baddbmm(bias, a, b)."""
    if node.target is not aten.add.Tensor or node.kwargs or len(node.args) != 2:
        return
    bias, product = node.args
    if not isinstance(bias, Node) or not isinstance(product, Node) or product.target is not aten.bmm.default:
        return
    if len(product.users) > 1 or _shape(node) != _shape(product):
        return
    with graph.graph.inserting_before(node):
        joined = _call(graph, aten.baddbmm.default, bias, *product.args)
    _replace(graph, node, joined)
    graph.graph.erase_node(product)


def _sum_flat(graph: GraphModule, node: Node) -> None:
    """A sum that keeps its axis, which is then dropped, becomes one that does not keep it."""
    source = node.args[0] if node.target in RESHAPES else None
    if not isinstance(source, Node) or source.target is not aten.sum.dim_IntList or len(source.users) > 1:
        return
    x, axes, *keeps = source.args
    kept, value = _shape(source), _value(node)
    if source.kwargs or keeps != [True] or kept is None or value is None or not isinstance(axes, list):
        return
    if tuple(n for i, n in enumerate(kept) if i not in [a % len(kept) for a in axes]) != tuple(value.shape):
        return
    with graph.graph.inserting_before(node):
        flat = graph.graph.call_function(aten.sum.dim_IntList, (x, axes))
    flat.meta = dict(node.meta)
    _replace(graph, node, flat)


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
            there = _call(graph, aten.transpose.int, there, *turn)
        if not _alike(there, result):
            return
        graph.graph.call_function(product, result.args, {"out": there})
    graph.graph.erase_node(node)  # the product itself, unused now, goes with the dead code


def _work_in_place(graph: GraphModule, node: Node) -> None:
    """f(x) becomes f_(x) where x is memory of its own that nothing else looks at."""
    in_place = IN_PLACE.get(node.target)
    source = node.args[0] if node.args else None
    if in_place is None or not isinstance(source, Node) or not _own(source) or len(source.users) > 1:
        return
    if node.args.count(source) > 1 or not _alike(node, source):
        return
    with graph.graph.inserting_before(node):
        extra = {"grad_input": source} if node.target is aten.threshold_backward.default else {}
        done = graph.graph.call_function(in_place, node.args, {**node.kwargs, **extra})
    done.meta = dict(node.meta)
    _replace(graph, node, done)


def _own(node: Node) -> bool:
    """Whether the node's result is one tensor in memory that it allocated."""
    if node.op != "call_function" or not isinstance(node.target, OpOverload):
        return False
    if node.target is aten._unsafe_view.default:
        return False
    returns = node.target._schema.returns
    return len(returns) == 1 and returns[0].alias_info is None and node.target not in IN_PLACE.values()


def _written(node: Node) -> bool:
    """Whether anything writes to the node's result, or to a view of it: then it is not the same at every step."""
    for user in node.users:
        if user.op != "call_function":
            continue
        if not isinstance(user.target, OpOverload):  # an item of several results
            if _written(user):
                return True
            continue
        schema = user.target._schema
        known = [*zip(schema.arguments, user.args, strict=False)]
        known += [(a, user.kwargs[a.name]) for a in schema.arguments if a.name in user.kwargs]
        alias = [a.alias_info for a, given in known if a.alias_info is not None and _holds(given, node)]
        if any(info.is_write for info in alias) or (alias and _written(user)):
            return True
    return False


def _holds(given: Any, node: Node) -> bool:
    return given is node or (isinstance(given, (list, tuple)) and any(g is node for g in given))


def _call(graph: GraphModule, target: Callable[..., Any], *args: Any) -> Node:
    """A new call, with the shape, type and place that its result has."""
    new = graph.graph.call_function(target, args)
    values = [_value(a) if isinstance(a, Node) else a for a in args]
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


def _replace(graph: GraphModule, node: Node, by: Node) -> None:
    node.replace_all_uses_with(by)
    graph.graph.erase_node(node)


def _value(node: Node) -> torch.Tensor | None:
    """What stands for the node's result: shape, strides and type, without numbers."""
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return None
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


def _on_cpu(graph: GraphModule) -> bool:
    given = [n.meta for n in graph.graph.nodes if n.op == "placeholder" and isinstance(n.meta.get("val"), torch.Tensor)]
    return all(m.get("device", m["val"].device).type == "cpu" for m in given)


def _shape(node: Node) -> tuple[int, ...] | None:
    value = _value(node)
    return tuple(value.shape) if value is not None else None


def _alike(a: Node, b: Node) -> bool:
    """Whether two results have the same shape, type and order in memory."""
    x, y = _value(a), _value(b)
    return x is not None and y is not None and (x.shape, x.dtype, x.stride()) == (y.shape, y.dtype, y.stride())
