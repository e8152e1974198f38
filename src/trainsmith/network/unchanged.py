"""What surgery leaves as it was, in words: a line for each kind, which ends the sentence "the network has ..."."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from trainsmith.initialization import WEIGHT_LAYERS, is_drawn, is_frozen, joined_layers, joined_weights
from trainsmith.network.standing import is_normalization

NAMED = 3
"""Weights that a line names; of more it says how many."""


def frozen(module: nn.Module) -> list[str]:
    """How many layers keep the weights that their owner gave them."""
    n = sum(isinstance(m, WEIGHT_LAYERS) and is_frozen(m) for m in module.modules())
    layers = f"{n} frozen layers (requires_grad=False)" if n > 1 else "a frozen layer (requires_grad=False)"
    return [f"{layers}, whose weights stay as they are"] if n else []


def undrawn(module: nn.Module) -> list[str]:
    """Weights that no initialization draws: trained tensors with two axes or more that draw_layers leaves alone."""
    drawn = {id(p) for m in module.modules() if isinstance(m, WEIGHT_LAYERS) and is_drawn(m) for p in m.parameters()}
    drawn |= {id(layer._parameters[name]) for layer in joined_layers(module) for name in joined_weights(layer)}
    names = [
        f"{path}.{name}".removeprefix(".")
        for path, m in module.named_modules()
        for name, p in m.named_parameters(recurse=False)
        if p.ndim >= 2 and p.requires_grad and id(p) not in drawn and not is_normalization(m)
    ]
    if not names:
        return []
    return [f"weights that no initialization draws, {_named(names)}: they stay as they are"]


def unperturbed(module: nn.Module, layers: Iterable[nn.Module], name: str) -> list[str]:
    """Trained weights that are none of `layers`', where the technique called `name` does not act."""
    own = {id(p) for layer in layers for p in layer.parameters()}
    others = [n for n, p in module.named_parameters() if p.ndim >= 2 and p.requires_grad and id(p) not in own]
    return [f"weights without {name}, {_named(others)}"] if others else []


def unknown(module: nn.Module) -> list[str]:
    """Normalizations that are none of torch's or ours, by their class."""
    kinds = {
        type(m).__name__
        for m in module.modules()
        if "norm" in type(m).__name__.lower() and not is_normalization(m) and not any(True for _ in m.children())
        if not type(m).__module__.startswith("trainsmith.")
    }
    return [f"normalizations of a kind that is not known, {_named(sorted(kinds))}, left as they are"] if kinds else []


def recurrent(module: nn.Module) -> list[str]:
    """Recurrent layers, by their class, whose functions are torch's own."""
    kinds = {type(m).__name__ for m in module.modules() if isinstance(m, (nn.RNNBase, nn.RNNCellBase))}
    return [f"activation functions inside {', '.join(sorted(kinds))}, left as in the network"] if kinds else []


def unhooked(before: Mapping[str, nn.Module], after: nn.Module) -> list[str]:
    """Modules, by their names before, that had forward hooks and are no part of the network any more."""
    there = {*after.modules()}
    names = [n for n, m in before.items() if m not in there and (m._forward_hooks or m._forward_pre_hooks)]
    return [f"forward hooks on modules that were replaced, {_named(names)}: they are gone with these"] if names else []


def _named(names: Sequence[str]) -> str:
    others = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{others}"


def unfed(activations: Iterable[nn.Module], fed: Iterable[nn.Module], name: str) -> list[str]:
    """How many activation functions no weight layer feeds at once, where the technique called `name` would stand."""
    n = len({*activations} - {*fed})
    functions = "an activation function" if n == 1 else f"{n} activation functions"
    return (
        [f"{functions} without {name}, since no weight layer that takes it feeds {'it' if n == 1 else 'them'} at once"]
        if n
        else []
    )


def unreached(places: Sequence[nn.Module], name: str) -> list[str]:
    """How many normalizations no pass in evaluation reaches, so that that called `name` cannot be fitted there."""
    n = len(places)
    layers = "a normalization layer" if n == 1 else f"{n} normalization layers"
    return [f"{layers} that no pass in evaluation reaches, taken out without {name} in the place"] if n else []


def calls(counted: Counter[str]) -> tuple[str, ...]:
    """How often each function was called, that is none of the modules which surgery replaces."""
    several = {name: "a call" if n == 1 else f"{n} calls" for name, n in counted.items()}
    return tuple(f"{times} of {name} as a function, left as in the network" for name, times in several.items())
