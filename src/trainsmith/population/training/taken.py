"""A member taken out of its population: what it has become, put into a module of its own."""

import contextlib
import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainsmith.network.signature import HOOKS, STACKED


@torch.no_grad()
def put_in(module: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The module with these numbers in its parameters and buffers, by name; those it has not yet become buffers."""
    own = tensors_of(module)
    for name, t in tensors.items():
        if name in own and own[name].shape == t.shape:
            own[name].copy_(t)
        else:
            owner, _, last = name.rpartition(".")
            module.get_submodule(owner).register_buffer(last, t.clone())
    return module


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer of the module by its first name, those that no state_dict has among them."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def take_over(module: nn.Module, trained: nn.Module) -> nn.Module:
    """The module with the Python attributes of `trained`, one of the same structure: a counter, what it remembers.

    What cannot be copied, such as a tensor that hangs in a graph, stays as it is; so do hooks and training modes.
    """
    pairs = [(m, module.get_submodule(name)) for name, m in trained.named_modules()]
    own = tensors_of(module)
    memo = {id(a): b for a, b in (*pairs, *((t, own[n]) for n, t in tensors_of(trained).items() if n in own))}
    for source, target in pairs:
        for name, value in vars(source).items():
            if name not in (*STACKED, *HOOKS, "training"):
                with contextlib.suppress(Exception):
                    vars(target)[name] = copy.deepcopy(value, memo)
    return module
