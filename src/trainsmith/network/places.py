"""Regularizers with places of their own in a network: pooling, branches, layers with their activations, decoders."""

import functools
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainsmith.catalogue import Technique, Trial
from trainsmith.initialization import WEIGHT_LAYERS, outputs_of, replace, residual_branches
from trainsmith.network import unchanged
from trainsmith.network.functional import called
from trainsmith.network.pooling import swap_pooling
from trainsmith.network.rewriting import is_activation
from trainsmith.network.widths import calls_of
from trainsmith.regularization import StochasticPool2d
from trainsmith.regularization.tied import mirrored

POOLS = ("max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d", "lp_pool2d")
"""Functions that pool images."""
Left = list[str]
"""Lines on what is left as it is, beside what could be changed."""


def put_in_their_places(root: nn.Module, trial: Trial, example: Tensor, left: Left | None = None) -> dict[str, str]:
    """Put the trial's regularizers of these roles into the network; why some could not be, by their names.

    left: gets lines on what is left as it is beside what could be changed.
    """
    skipped: dict[str, str] = {}
    left = [] if left is None else left
    for technique in trial.recipe.techniques():
        put = PLACES.get(technique.role)
        if put is not None and (reason := put(root, technique, trial, example, left)):
            skipped[technique.name] = reason
    return skipped


def _pooling(root: nn.Module, technique: Technique, trial: Trial, example: Tensor, left: Left) -> str:
    wanted = getattr(technique.make, "activations", ())
    if trial.recipe.activation not in wanted:
        return f"it needs activations that are not negative, as of {' or '.join(wanted)}, not {trial.recipe.activation}"
    others = swap_pooling(root)
    if any(isinstance(m, StochasticPool2d) for m in root.modules()):
        named = {path.removeprefix("0.") if len(list(root.children())) == 1 else path: r for path, r in others.items()}
        left += [f"pooling in {path} without {technique.name}: {reason}" for path, reason in named.items()]
        left += unchanged.calls(called(root, example, lambda func: getattr(func, "__name__", "") in POOLS))
        return ""
    none = "the network has no module that pools images by max or average; calls such as max_pool2d(x, 2) are left"
    return next(iter(others.values()), none)


def _branches(root: nn.Module, technique: Technique, trial: Trial, example: Tensor, left: Left) -> str:
    branches = residual_branches(root, example[:4])
    for place, branch in enumerate(branches, 1):
        drop = technique.make(**trial.of(technique), share=place / len(branches))
        replace(root, branch.end, nn.Sequential(branch.end, drop))
    return "" if branches else "it is for residual blocks, modules that add a branch to their input; none was found"


def _pairs(root: nn.Module, technique: Technique, trial: Trial, example: Tensor, left: Left) -> str:
    calls = calls_of(root, example)
    paired: list[nn.Module] = []
    for first, second in itertools.pairwise(calls):
        layer, activation = first.module, second.module
        single = is_activation(activation) and getattr(activation, "widening", 1) == 1
        if second.entered is first.left and single and type(layer) in WEIGHT_LAYERS:
            make = functools.partial(technique.make, layer, activation)
            if _pair(root, layer, activation, make(rate=0.0), make(**trial.of(technique)), example):
                paired.append(activation)
    if not paired:
        return "no weight layer's outputs go to an activation function of single numbers and nowhere else"
    left += unchanged.unfed([c.module for c in calls if is_activation(c.module)], paired, technique.name)
    return ""


def _pair(
    root: nn.Module, layer: nn.Module, activation: nn.Module, without: nn.Module, pair: nn.Module, example: Tensor
) -> bool:
    """Put the pair in the place of both, if the network stays the same function with the one that drops nothing."""
    before, nothing = outputs_of(root, example[:2]), nn.Identity()
    replace(root, layer, nothing)
    replace(root, activation, without)
    try:
        same = torch.allclose(outputs_of(root, example[:2]), before, rtol=1e-3, atol=1e-5)
    except (AttributeError, RuntimeError, ValueError):  # the network needs the layer itself, or its outputs' shape
        same = False
    replace(root, without, pair if same else activation)
    if not same:
        replace(root, nothing, layer)
    return same


def _tying(root: nn.Module, technique: Technique, trial: Trial, example: Tensor, left: Left) -> str:
    if not mirrored(root):
        return "it is for autoencoders of linear layers, whose last weight has the shape of the first one's transposed"
    pairs, halves = mirrored(root), sum(type(m) is nn.Linear for m in root.modules()) // 2
    if len(pairs) < halves:
        untied = halves - len(pairs)
        left += [f"{untied} of {halves} pairs of linear layers that do not mirror each other in shape, left untied"]
    technique.make(root)
    return ""


PLACES: dict[str, Callable[..., str]] = {"pooling": _pooling, "branch": _branches, "pair": _pairs, "tying": _tying}
