"""The tensors of networks by name, which of them are trained, and those of equal networks stacked."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Tensors = list[Tensor]


def stack(modules: Sequence[nn.Module]) -> tuple[Tensors, Tensors]:
    """What is trained and what is not of equal modules, each stacked to (K, ...), in the order of their names."""
    trained, fixed = zip(*(trained_and_fixed(m) for m in modules), strict=True)
    parameters, buffers = (zip(*(tensors.values() for tensors in kind), strict=True) for kind in (trained, fixed))
    return [torch.stack(p) for p in parameters], [torch.stack(b) for b in buffers]


def first_names(module: nn.Module) -> dict[str, str]:
    """For each tensor of the module's state_dict, by name, the first name under which the module holds it."""
    named = [*module.named_parameters(), *module.named_buffers()]
    first = {id(t): name for name, t in reversed(named)}
    held = module.state_dict(keep_vars=True)
    return {name: first[id(t)] for name, t in held.items() if id(t) in first}


def trained_and_fixed(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters that are trained, by name; and the frozen ones and the buffers."""
    trained = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    frozen = {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}
    return trained, {**frozen, **dict(module.named_buffers())}
