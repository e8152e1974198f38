"""Regularizers with places of their own in a network: pooling, residual branches, layers with their activations."""

import itertools
from collections.abc import Callable

from torch import Tensor, nn

from trainsmith.catalogue import Technique, Trial
from trainsmith.initialization import WEIGHT_LAYERS, residual_branches
from trainsmith.network.pooling import swap_pooling
from trainsmith.network.rewriting import is_activation
from trainsmith.network.widths import calls_of


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
    pools = [m for m in root.modules() if isinstance(m, (nn.MaxPool2d, nn.AvgPool2d))]
    left = swap_pooling(root)
    if not pools:
        return "the network has no max or average pooling of images"
    return next(iter(left.values())) if len(left) >= len(pools) else ""


def _branches(root: nn.Module, technique: Technique, trial: Trial, example: Tensor) -> str:
    branches = residual_branches(root, example[:4])
    for place, branch in enumerate(branches, 1):
        drop = technique.make(**trial.of(technique), share=place / len(branches))
        for name in [n for n, m in root.named_modules(remove_duplicate=False) if m is branch.end]:
            root.set_submodule(name, nn.Sequential(branch.end, drop))
    return "" if branches else "it is for residual blocks, modules that add a branch to their input; none was found"


def _pairs(root: nn.Module, technique: Technique, trial: Trial, example: Tensor) -> str:
    calls = calls_of(root, example)
    pairs = [
        (first.module, second.module)
        for first, second in itertools.pairwise(calls)
        if type(first.module) in WEIGHT_LAYERS and is_activation(second.module)
    ]
    once = [layer for layer, _ in pairs if sum(call.module is layer for call in calls) == 1]
    found = 0
    for layer, activation in pairs:
        if layer not in once or getattr(activation, "widening", 1) != 1:
            continue
        found += 1
        around = technique.make(layer, activation, **trial.of(technique))
        paths = {m: n for n, m in root.named_modules()}
        root.set_submodule(paths[activation], around)
        root.set_submodule(paths[layer], nn.Identity())
    return "" if found else "no weight layer is followed at once by an activation function of single numbers"


PLACES: dict[str, Callable[..., str]] = {"pooling": _pooling, "branch": _branches, "pair": _pairs}
