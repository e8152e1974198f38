"""Training many runs: packed into populations, spread over processes, with what the receipt needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from trainsmith.catalogue import Run
from trainsmith.data import Dataset
from trainsmith.network import Factory, build
from trainsmith.population import Job, Result, Training, members_at_once, pack, run_jobs

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
    loops: dict[str, None] = field(default_factory=dict)
    populations: int = 0
    runs: int = 0

    def __call__(self, what: str, runs: Sequence[Run], keep_states: bool = False) -> list[Result]:
        """Results in the order of `runs`."""
        module = build(self.network, self.dataset.input_shape, self.dataset.outputs)
        largest = members_at_once(sum(p.numel() for p in module.parameters()))
        parts = pack(runs, largest, self.processes)
        jobs = [
            Job(self.network, self.training, tuple(runs[i] for i in part), keep_states, (n % len(part),))
            for n, part in enumerate(parts)
        ]
        results: list[Result] = [Result()] * len(runs)
        for position, record in run_jobs(jobs, self.dataset, self.processes, lambda n: self.report(what, n, 0)):
            for i, result in zip(parts[position], record.results, strict=True):
                results[i] = result
            self.deviations += record.deviations
            self.loops.update(dict.fromkeys(record.loops))
            self.populations += record.buckets
            self.runs += len(record.results)
            self.report(what, 0, len(record.results))
        return results

    @property
    def largest_deviation(self) -> float:
        return float(np.max(self.deviations, initial=0.0))
