"""Model surgery: put the techniques of a trial into an nn.Module that knows nothing of them."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules import activation as torch_activations
from torch.nn.modules.batchnorm import _NormBase

from trainsmith.catalogue import Trial, techniques

WEIGHT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMALIZATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
NOT_ELEMENTWISE = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d, nn.MultiheadAttention, nn.GLU)

Edit = Callable[[nn.Module], list[nn.Module] | None]
Draw = Callable[[int], torch.Generator]
"""The generator for the initial weights of the n-th weight layer."""


@dataclass(frozen=True)
class Surgery:
    """A changed network, and why techniques could not be put in, by their names."""

    module: nn.Module
    skipped: Mapping[str, str]


def apply(module: nn.Module, trial: Trial, example: Tensor, draw: Draw) -> Surgery:
    """Put the trial's initialization, normalization, activation and layer regularizers into `module`, in place.

    example: a few training inputs (n, *features); input normalization is fitted on them, and one forward
    pass of them shows which weight layer feeds which activation. draw: see Draw; the order of the weight
    layers, not their names, is the place of the luck, so that inserted layers do not shift it.

    Activation functions and normalizations are replaced where they are modules. A normalization layer goes
    between a weight layer and the activation that follows it at once; dropout goes behind the activation.
    """
    root = nn.Sequential(module) if type(module) is not nn.Sequential else module
    recipe = trial.recipe
    skipped: dict[str, str] = {}
    if not weight_layers(root):
        skipped[recipe.initialization] = "the network has no linear or convolution layer"
    _initialize(root, trial, draw)
    rewrite(root, lambda m: [] if _is_normalization(m) else None)
    before = _feeding_activations(root, example)
    if not any(is_activation(m) for m in root.modules()):
        reason = "the network calls no activation module (functional calls are not replaced)"
        layers = [t.name for t in recipe.techniques() if t.family == "regularization" and t.role == "layer"]
        skipped |= dict.fromkeys([recipe.activation, *layers], reason)
    norm = recipe.one("normalization")
    if norm.role == "layer" and not before:
        skipped[norm.name] = "no weight layer is followed at once by an activation module"
    rewrite(root, _edit(trial, before))
    if norm.role == "input":
        root.insert(0, norm.make(**trial.of(norm)).fit(example))
    return Surgery(root, skipped)


def weight_layers(module: nn.Module) -> list[nn.Module]:
    """Every linear and convolution layer, in the module's own order."""
    return [m for m in module.modules() if isinstance(m, WEIGHT_LAYERS)]


def is_activation(module: nn.Module) -> bool:
    """Whether `module` is an element-wise activation function, torch's or ours."""
    torchs = type(module).__module__ == torch_activations.__name__ and not isinstance(module, NOT_ELEMENTWISE)
    return torchs or type(module) in {t.make for t in techniques("activation")}


def rewrite(parent: nn.Module, edit: Edit) -> None:
    """Replace each descendant m by the modules edit(m) gives in its place; None leaves it and looks inside."""
    children = []
    for name, child in list(parent.named_children()):
        new = edit(child)
        if new is None:
            rewrite(child, edit)
        children.append((name, [child] if new is None else new))
    if type(parent) is nn.Sequential and all(name.isdigit() for name, _ in children):
        parent._modules = {str(i): m for i, m in enumerate(m for _, new in children for m in new)}
        return
    for name, new in children:
        setattr(parent, name, new[0] if len(new) == 1 else nn.Sequential(*new) if new else nn.Identity())


def _is_normalization(module: nn.Module) -> bool:
    ours = {t.make for t in techniques("normalization") if t.role == "layer"}
    return isinstance(module, NORMALIZATIONS) or type(module) in ours


def _initialize(module: nn.Module, trial: Trial, draw: Draw) -> None:
    chosen = trial.recipe.one("initialization")
    for place, layer in enumerate(weight_layers(module)):
        chosen.make(layer.weight, **trial.of(chosen), generator=draw(place))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def _feeding_activations(module: nn.Module, example: Tensor) -> set[nn.Module]:
    """The weight layers whose output goes straight into an activation module, seen in one forward pass."""
    calls: list[nn.Module] = []
    leaves = [m for m in module.modules() if not isinstance(m, nn.Identity) and not any(True for _ in m.children())]
    hooks = [m.register_forward_hook(lambda m, *_: calls.append(m)) for m in leaves]
    was_training = module.training
    try:
        with torch.no_grad():
            module.eval()(example[:2])
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    pairs = itertools.pairwise(calls)
    return {first for first, second in pairs if isinstance(first, WEIGHT_LAYERS) and is_activation(second)}


def _edit(trial: Trial, before: set[nn.Module]) -> Edit:
    activation, norm = trial.recipe.one("activation"), trial.recipe.one("normalization")
    layers = [t for t in trial.recipe.techniques() if t.family == "regularization" and t.role == "layer"]

    def edit(module: nn.Module) -> list[nn.Module] | None:
        if is_activation(module):
            return [t.make(**trial.of(t)) for t in (activation, *layers)]
        if module in before and norm.role == "layer":
            return [module, norm.make(len(module.weight), **trial.of(norm))]  # type: ignore[arg-type]
        return None

    return edit
