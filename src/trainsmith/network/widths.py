"""Which modules a network calls, and layers made wider or narrower for the activation functions behind them."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainsmith.initialization import WEIGHT_LAYERS, has_own_weight, is_frozen, outputs_of, sharing_weights

Make = Callable[[nn.Module, int], nn.Module]
"""The new activation function in place of a module, with its features along an axis."""


@dataclass(frozen=True)
class Call:
    """One call of a module without children in a forward pass: what went in first, and what came out."""

    module: nn.Module
    entered: object
    left: object


def calls_of(module: nn.Module, example: Tensor) -> list[Call]:
    """The calls of one forward pass of two examples in evaluation mode, in their order; identities left out."""
    calls: list[Call] = []

    def note(m: nn.Module, args: tuple[object, ...], output: object) -> None:
        calls.append(Call(m, args[0] if args else None, output))

    leaves = [m for m in module.modules() if not isinstance(m, nn.Identity) and not any(True for _ in m.children())]
    hooks = [m.register_forward_hook(note) for m in leaves]
    try:
        outputs_of(module, example[:2])
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def widen(
    root: nn.Module, factor: float, sites: Sequence[nn.Module], calls: Sequence[Call], make: Make, example: Tensor
) -> dict[nn.Module, int] | str:
    """Make the weight layers before the activation modules `sites` `factor` times as wide; their new weights are NaN.

    The result is the features' axis at each site, or why it cannot be done; then `root` is as it was. That the
    network still fits together is tried on a copy of it, with make's activation functions in place.
    """
    names, sharing = {m: name for name, m in root.named_modules()}, sharing_weights(root)
    axes: dict[nn.Module, int] = {}
    layers: list[nn.Module] = []
    for call in (c for c in calls if c.module in sites):
        feeding = [c.module for c in calls if c.left is call.entered and c.module is not call.module]
        if len(feeding) != 1 or not isinstance(feeding[0], WEIGHT_LAYERS):
            return f"the layer before the activation module '{names[call.module]}' is no weight layer to widen"
        layer, axis = feeding[0], -1 if isinstance(feeding[0], nn.Linear) else 1
        if axes.setdefault(call.module, axis) != axis or layer in layers:
            return f"the layer '{names[layer]}' or its activation module is used in several places"
        if is_frozen(layer):
            return f"the layer '{names[layer]}' is frozen (requires_grad=False) and keeps its weights and their width"
        if not has_own_weight(layer):
            return f"the weight of layer '{names[layer]}' is made of others at each call and keeps its width"
        if layer in sharing:
            return f"the weight of layer '{names[layer]}' is another layer's too and keeps its width"
        if len(layer.weight) * factor % 1:
            return f"the {len(layer.weight)} outputs of layer '{names[layer]}' cannot be halved"
        layers.append(layer)
    if missing := [names[site] for site in sites if site not in axes]:
        return f"the activation module '{missing[0]}' is not called in a forward pass"
    everywhere = {n: (m, axes[m]) for n, m in root.named_modules(remove_duplicate=False) if m in axes}
    if not _fits(root, factor, [names[m] for m in layers], everywhere, make, example):
        return "the outputs of a layer before an activation module are used elsewhere too, at their old width"
    for module in layers:
        _resize(module, factor)
    return axes


def _fits(
    root: nn.Module,
    factor: float,
    layers: Sequence[str],
    sites: Mapping[str, tuple[nn.Module, int]],
    make: Make,
    example: Tensor,
) -> bool:
    trial = copy.deepcopy(root)
    for name in layers:
        _resize(trial.get_submodule(name), factor)
    for name, (site, axis) in sites.items():
        trial.set_submodule(name, make(site, axis))
    try:
        return outputs_of(trial, example[:2]).shape == outputs_of(root, example[:2]).shape
    except (RuntimeError, ValueError):
        return False


def _resize(layer: nn.Module, factor: float) -> None:
    for name in ("weight", "bias"):
        if (old := getattr(layer, name)) is not None:
            new = old.new_full((round(len(old) * factor), *old.shape[1:]), torch.nan)
            setattr(layer, name, nn.Parameter(new, requires_grad=old.requires_grad))
    outputs = len(layer.weight)  # type: ignore[arg-type]
    setattr(layer, "out_features" if isinstance(layer, nn.Linear) else "out_channels", outputs)
