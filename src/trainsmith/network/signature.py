"""The full structural signature of a module: what must be equal for two members to share one program.

torch.func.stack_module_state stacks parameters and buffers and ignores every Python attribute, so that a
dropout rate or a LayerNorm's eps silently becomes the first member's. Two networks share a bucket only if
everything that is not a parameter or buffer is equal: classes, attributes, sharing, and the sequence of
operations one forward pass calls, with every number passed to them.
"""

import copy
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from trainsmith.errors import InvalidInput
from trainsmith.network.canonical import Canonical, Opaque
from trainsmith.network.dispatch import Watch
from trainsmith.network.host import seeded_host

STACKED = ("_parameters", "_buffers", "_modules")
HOOKS = tuple(name for name in vars(nn.Module()) if "_hooks" in name)


def signature(module: nn.Module, forward: Callable[[nn.Module], object]) -> Hashable:
    """A value that is equal for two modules only if they may run as one program with stacked parameters.

    forward: runs one forward pass of the module it is given, e.g. `lambda m: m(x)`. It runs on a copy, so
    that running statistics stay as they are, and with the random states of torch, Python and NumPy put back.
    """
    return structure(module), calls(copy.deepcopy(module), forward)


def structure(module: nn.Module, opaque: Opaque = id) -> tuple[Hashable, ...]:
    """Everything of `module` and its submodules but the numbers in parameters and buffers, by submodule.

    opaque: see Canonical. Raises InvalidInput for a lazy layer that has not seen an input.
    """
    if unmade := [name for name, t in module.named_parameters() if is_lazy(t)]:
        raise InvalidInput(
            f"the parameter {unmade[0]} of the network has no shape yet; run one batch through the network in its "
            "factory, so that its lazy layers are made."
        )
    canonical = Canonical(registered(module), opaque)
    owners: dict[int, str] = {}
    rows: list[Hashable] = []
    for path, m in module.named_modules(remove_duplicate=False):
        first = owners.setdefault(id(m), path)
        children = tuple((name, child is None) for name, child in m._modules.items())
        rows.append(
            (path, first, canonical.kind(_class(m)), children, _attributes(canonical, m), *_tensors(m, path, owners))
        )
    return tuple(rows)


def registered(module: nn.Module) -> dict[int, str]:
    """The names of the module itself ("") and of its submodules, parameters and buffers, by their id."""
    parts = (*module.named_modules(), *module.named_parameters(), *module.named_buffers())
    return {id(part): name for name, part in parts}


def _class(module: nn.Module) -> type:
    """The module's class; torch gives every parametrized module a class of its own, above the user's."""
    return type(module).__mro__[1] if parametrize.is_parametrized(module) else type(module)


def _attributes(canonical: Canonical, module: nn.Module) -> Hashable:
    """All but the stacked; hooks by their order, since torch numbers them by when in the process they were added."""
    order = sorted({number for name in HOOKS for number in getattr(module, name)})
    hooks = {name: [(order.index(n), hook) for n, hook in getattr(module, name).items()] for name in HOOKS}
    return canonical.attributes(module, (*STACKED, *HOOKS)), canonical(hooks)


def _tensors(module: nn.Module, path: str, owners: dict[int, str]) -> tuple[Hashable, ...]:
    """Shapes and types of the stacked tensors, and where the same tensor was seen before (tied weights)."""
    return tuple(
        (kind, name, None)
        if t is None
        else (
            kind,
            name,
            tuple(t.shape),
            t.dtype,
            t.requires_grad,
            owners.setdefault(id(t), f"{path}.{name}"),
        )
        for kind, tensors in (("parameter", module._parameters), ("buffer", module._buffers))
        for name, t in tensors.items()
    )


def calls(module: nn.Module, forward: Callable[[nn.Module], object], opaque: Opaque = id) -> Hashable:
    """The operations of one forward pass of the module itself, with their numbers. opaque: see Canonical."""
    names = {id(t): name for name, t in (*module.named_parameters(), *module.named_buffers())}
    log = _Log(names, opaque)
    with torch.random.fork_rng(devices=[]), seeded_host([0]), torch.no_grad(), log:
        forward(module)
    return tuple(log.calls)


class _Log(Watch):
    """Notes every operation with its numbers; tensors by shape, and by name where they are the module's own."""

    def __init__(self, names: dict[int, str], opaque: Opaque) -> None:
        super().__init__()
        self.names, self.opaque = names, opaque
        self.calls: list[Hashable] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        noted = torch.utils._pytree.tree_map(self._note, (args, kwargs))
        self.calls.append((str(func), Canonical(opaque=self.opaque)(noted)))
        return func(*args, **kwargs)

    def _note(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return ("tensor", tuple(value.shape), value.dtype, self.names.get(id(value), ""))
