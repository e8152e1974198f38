"""Which runs train together: grouped by the structure their recipe promises, as many as the caches hold."""

from collections.abc import Sequence

from trainsmith.catalogue import Run

CACHE_BYTES = 16 * 2**20
"""Weights, gradients and moments of a population that still stream from a last-level cache, not from memory."""
FEWEST, MOST = 4, 64


def members_at_once(parameters: int) -> int:
    """How many members of so many parameters each share a population on a CPU (float32, Adam's five copies)."""
    return max(FEWEST, min(MOST, CACHE_BYTES // (20 * max(1, parameters))))


def pack(runs: Sequence[Run], largest: int, processes: int = 1) -> list[tuple[int, ...]]:
    """Positions of the runs that go into each population, largest populations first.

    Runs whose recipes differ in nothing but the initialization are put together. A group too large is cut
    into equal parts; where there are fewer parts than processes, into one for each process.
    """
    groups: dict[object, list[int]] = {}
    for i, run in enumerate(runs):
        r = run.trial.recipe
        groups.setdefault((r.normalization, r.activation, r.optimizer, r.regularization), []).append(i)
    parts = []
    for group in groups.values():
        count = -(-len(group) // largest)
        if len(groups) < processes:
            count = min(len(group), max(count, processes))
        parts += [tuple(group[i::count]) for i in range(count)]
    return sorted(parts, key=len, reverse=True)
