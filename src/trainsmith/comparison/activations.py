"""What the layers of the baseline and the winner give, before and after training, for the report."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.catalogue import Run
from trainsmith.comparison.study import Activations
from trainsmith.data import Dataset
from trainsmith.inspection.passes.record import first_tensor, leaves
from trainsmith.inspection.statistics.histogram import histogram
from trainsmith.network import Factory
from trainsmith.population import Result, make_member, trained_member
from trainsmith.population.members.objective import Objective, in_training

MOST_LAYERS = 24
"""Of a deeper network so many layers are kept, evenly spaced, the first and the last among them."""
SILENT = (nn.Identity, nn.Flatten, nn.Unflatten)
"""Layers that give what they get."""


def activations(
    role: str, run: Run, result: Result, network: str | Factory, dataset: Dataset, examples: int
) -> tuple[Activations, ...]:
    """Each layer's outputs on the labelled examples of the run's first batch, with its first and its trained weights.

    role: "baseline" or "winner". examples: in a batch. The network is as it trains, its noise drawn from a seed of its
    own. Nothing for a run that diverged.
    """
    if result.state is None:
        return ()
    member = make_member(run, network, dataset)
    x, y = member.batch(dataset, examples)
    start = _outputs(member.objective, x[: len(y)])
    end = _outputs(trained_member(run, network, dataset, result.state).objective, x[: len(y)])
    names = [name for name in start if name in end]
    kept = names
    if len(names) > MOST_LAYERS:
        kept = [names[i] for i in np.linspace(0, len(names) - 1, MOST_LAYERS).round().astype(int)]
    return tuple(_activations(role, name, len(names), start[name], end[name]) for name in kept)


def _activations(role: str, name: str, layers: int, start: tuple[str, Tensor], end: tuple[str, Tensor]) -> Activations:
    """Both on the same bins, so that they can be drawn over each other."""
    kind, before = start
    both = torch.cat([before.flatten(), end[1].flatten()])
    whole = histogram(both)
    first, last = (histogram(t, whole.low, whole.high) for t in (before, end[1]))
    spreads = (float(t.double().std(correction=0)) for t in (before, end[1]))
    return Activations(role, name, kind, layers, first, last, *spreads)


@torch.no_grad()
def _outputs(objective: Objective, x: Tensor) -> dict[str, tuple[str, Tensor]]:
    """(kind, outputs) of the first call of each layer without sublayers, in the order of the data's way."""
    found: dict[str, tuple[str, Tensor]] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            out = first_tensor(output)
            if out is not None and out.is_floating_point() and out.numel():
                found.setdefault(name, (type(layer).__name__, out.detach().clone()))

        return hook

    module = in_training(objective).network
    with contextlib.ExitStack() as after, torch.random.fork_rng(devices=[]):
        for name, layer in leaves(module):
            if not isinstance(layer, SILENT):
                after.callback(layer.register_forward_hook(note(name)).remove)
        torch.manual_seed(0)
        module(x)
    return found
