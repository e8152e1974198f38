"""Which of the catalogue's techniques a network already has."""

from typing import Any

import torch
from torch import nn

from trainsmith.catalogue import techniques
from trainsmith.network.factory import build
from trainsmith.network.forward import rewritten
from trainsmith.network.functional import held
from trainsmith.network.host import seed_torch
from trainsmith.network.reference import Factory
from trainsmith.network.rewriting import is_activation
from trainsmith.network.standing import is_normalization

NORMALIZATIONS = {
    "batch": (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    "instance": (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    "group": (nn.GroupNorm,),
    "layer": (nn.LayerNorm,),
    "rms": (nn.RMSNorm,),
}
ACTIVATIONS = {
    "relu": nn.ReLU, "leaky-relu": nn.LeakyReLU, "prelu": nn.PReLU, "elu": nn.ELU, "selu": nn.SELU, "gelu": nn.GELU,
    "silu": nn.SiLU, "mish": nn.Mish, "softplus": nn.Softplus, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
    "hard-sigmoid": nn.Hardsigmoid,
}  # fmt: skip


def techniques_of(network: str | Factory, input_shape: tuple[int, ...], outputs: int) -> dict[str, str]:
    """The normalization and the activation that a network has, by family: {"normalization": ..., "activation": ...}.

    Activation functions may be modules, or called in a module's forward. A family is left out if the network has none
    of it, one that the catalogue does not, or several different ones.
    """
    with torch.random.fork_rng(devices=[]):
        seed_torch(0)
        return techniques_in(build(network, input_shape, outputs))


def techniques_in(network: nn.Module) -> dict[str, str]:
    """The same of a network at hand."""
    modules = list(network.modules())
    kinds: list[Any] = [type(m) for m in modules]
    modules += [make() for kind in kinds if (new := rewritten(kind)) is not None for _, make in new.sites]
    modules += [make() for m in network.modules() for _, make in held(m)]
    normalizations = {_name(m, "normalization") for m in modules if is_normalization(m)}
    activations = {_name(m, "activation") for m in modules if is_activation(m)}
    found = {"normalization": normalizations, "activation": activations}
    return {family: name for family, names in found.items() if len(names) == 1 and (name := names.pop()) is not None}


def _name(module: nn.Module, family: str) -> str | None:
    """The catalogue's name of a layer, if it has one."""
    for t in techniques(family):  # type: ignore[arg-type]
        if type(module) is t.make:
            return t.name
    torchs = ACTIVATIONS if family == "activation" else NORMALIZATIONS
    return next((name for name, kind in torchs.items() if isinstance(module, kind)), None)
