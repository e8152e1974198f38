"""Training many runs: packed into populations, spread over processes, with what the receipt needs."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import Dataset
from trainsmith.network import Factory
from trainsmith.population import (
    MOST,
    TOLERANCE,
    Job,
    Packing,
    Result,
    Training,
    Unbatchable,
    bucket_key,
    choose,
    make_member,
    members_at_once,
    pack,
    run_jobs,
)

Report = Callable[[str, int, int], None]
"""Told of progress: (what is being trained, member-steps just done, runs just finished)."""


@dataclass
class Trainings:
    """Trains runs of one network on one data set, and remembers what it took and how far replays deviated."""

    network: str | Factory
    dataset: Dataset
    training: Training
    processes: int
    report: Report
    deviations: list[float] = field(default_factory=list)
    tolerances: list[float] = field(default_factory=list)
    loops: dict[str, None] = field(default_factory=dict)
    populations: int = 0
    runs: int = 0
    packing: Packing | None = None

    def prepare(self, baseline: Recipe, runs: int) -> str:
        """Choose by measurement how the runs of a study are packed; in words, with the time and memory it will take.

        Measured on the baseline's network; a recipe that adds layers or noise takes longer.
        """
        seeded = (make_member(Run(Trial(baseline), i), self.network, self.dataset) for i in itertools.count())
        first = next(seeded)
        parameters = sum(p.numel() for p in first.objective.network.parameters())
        members = [first, *itertools.islice(seeded, 2 * members_at_once(parameters) - 1)]
        x, y = self.dataset.x, self.dataset.y
        members = [m for m in members if bucket_key(m, x, y) == bucket_key(first, x, y)]
        batch = torch.from_numpy(first.train[: self.training.batch_size])
        steps = -(-runs * self.training.steps // (len(members) * self.processes))
        try:
            self.packing = choose(members, x[batch], y[batch], steps, threads=1)
        except Unbatchable as reason:
            return f"by the loop, one after another: {reason}"
        words = f"in populations of up to {self.packing.members}, members {self.packing.way}"
        if self.packing.seconds is None:
            return words
        seconds = runs * self.training.steps * self.packing.seconds / self.processes
        megabytes = 20 * self.packing.members * parameters / 2**20
        return f"{words}, about {_duration(seconds)} of training and {self.processes * megabytes:,.0f} MB for them"

    def __call__(self, what: str, runs: Sequence[Run], keep_states: bool = False) -> list[Result]:
        """Results in the order of `runs`."""
        packing = self.packing or Packing("together", MOST)
        parts = pack(runs, packing.members, self.processes)
        jobs = [
            Job(self.network, self.training, tuple(runs[i] for i in part), keep_states, (n % len(part),), packing.way)
            for n, part in enumerate(parts)
        ]
        results: list[Result] = [Result()] * len(runs)
        for position, record in run_jobs(jobs, self.dataset, self.processes, lambda n: self.report(what, n, 0)):
            for i, result in zip(parts[position], record.results, strict=True):
                results[i] = result
            self.deviations += record.deviations
            self.tolerances += record.tolerances
            self.loops.update(dict.fromkeys(record.loops))
            self.populations += record.buckets
            self.runs += len(record.results)
            self.report(what, 0, len(record.results))
        return results

    @property
    def worst(self) -> tuple[float, float]:
        """The deviation that comes nearest to what rounding explains, or lies furthest beyond it; and that limit."""
        pairs = zip(self.deviations, self.tolerances, strict=True)
        return max(pairs, key=lambda pair: pair[0] / pair[1], default=(0.0, TOLERANCE))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
