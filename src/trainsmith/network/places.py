"""Regularizers with places of their own in a network: pooling, branches, layers with their activations, decoders."""

import functools
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainsmith.catalogue import Technique, Trial
from trainsmith.initialization import WEIGHT_LAYERS, outputs_of, replace, residual_branches
from trainsmith.network.pooling import swap_pooling
from trainsmith.network.rewriting import is_activation
from trainsmith.network.widths import calls_of
from trainsmith.regularization import StochasticPool2d
from trainsmith.regularization.tied import mirrored


def put_in_their_places(root: nn.Module, trial: Trial, example: Tensor) -> dict[str, str]:
    """Put the trial's regularizers of these roles into the network; why some could not be, by their names."""
    skipped: dict[str, str] = {}
    for technique in trial.recipe.techniques():
        put = PLACES.get(technique.role)
        if put is not None and (reason := put(root, technique, trial, example)):
            skipped[technique.name] = reason
    return skipped


def _pooling(root: nn.Module, technique: Technique, trial: Trial, example: Tensor) -> str:
    wanted = getattr(technique.make, "activations", ())
    if trial.recipe.activation not in wanted:
        return f"it needs activations that are not negative, as of {' or '.join(wanted)}, not {trial.recipe.activation}"
    left = swap_pooling(root)
    if any(isinstance(m, StochasticPool2d) for m in root.modules()):
        return ""
    none = "the network has no module that pools images by max or average; calls such as max_pool2d(x, 2) are left"
    return next(iter(left.values()), none)


def _branches(root: nn.Module, technique: Technique, trial: Trial, example: Tensor) -> str:
    branches = residual_branches(root, example[:4])
    for place, branch in enumerate(branches, 1):
        drop = technique.make(**trial.of(technique), share=place / len(branches))
        replace(root, branch.end, nn.Sequential(branch.end, drop))
    return "" if branches else "it is for residual blocks, modules that add a branch to their input; none was found"


def _pairs(root: nn.Module, technique: Technique, trial: Trial, example: Tensor) -> str:
    calls = calls_of(root, example)
    found = False
    for (layer, _, left), (activation, entered, _) in itertools.pairwise((c.module, c.entered, c.left) for c in calls):
        single = is_activation(activation) and getattr(activation, "widening", 1) == 1
        if entered is left and single and type(layer) in WEIGHT_LAYERS:
            make = functools.partial(technique.make, layer, activation)
            found |= _pair(root, layer, activation, make(rate=0.0), make(**trial.of(technique)), example)
    return "" if found else "no weight layer's outputs go to an activation function of single numbers and nowhere else"


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


def _tying(root: nn.Module, technique: Technique, trial: Trial, example: Tensor) -> str:
    if not mirrored(root):
        return "it is for autoencoders of linear layers, whose last weight has the shape of the first one's transposed"
    technique.make(root)
    return ""


PLACES: dict[str, Callable[..., str]] = {"pooling": _pooling, "branch": _branches, "pair": _pairs, "tying": _tying}
