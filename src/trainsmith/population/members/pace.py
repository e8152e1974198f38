"""The learning rate's own course, where an average of weights or an ensemble wants one."""

import functools
from collections.abc import Callable

from torch import nn

from trainsmith.regularization import Averaging, SnapshotEnsemble

Pace = Callable[[int, int, float], float]
"""(step, steps, the schedule's factor) -> the factor on the learning rate."""


def own_pace(network: nn.Module, average: Averaging | None) -> Pace | None:
    """The pace of an ensemble of snapshots, or of an average of the weights that has one; else None."""
    if isinstance(network, SnapshotEnsemble):
        return SnapshotEnsemble.pace
    if average is None or average.pace is None:
        return None
    return functools.partial(average.pace, **average.numbers)
