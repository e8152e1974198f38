"""Training many runs: packed into populations, spread over processes, with what the receipt needs."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import Dataset, split
from trainsmith.network import Factory
from trainsmith.population import (
    CHECKED_ON,
    MOST,
    TOLERANCE,
    Job,
    Packing,
    Record,
    Result,
    Training,
    Unbatchable,
    bucket_key,
    choose,
    make_member,
    members_at_once,
    pack,
    processes_available,
    rules_of,
    run_jobs,
    seconds_alone,
    seconds_evaluated,
)
from trainsmith.population.members.attacked import STEPS, attacked_at_checks
from trainsmith.population.members.task import ByRobustAccuracy
from trainsmith.population.memory import peak_megabytes
from trainsmith.store import Keeper, Store, UnreadableWeights

HEAVIER = 1.6
"""How much longer a run takes than steps of the baseline measured alone on a quiet core: recipes with more layers or
noise, batches gathered, caches and memory shared with the other processes."""
SECONDS_A_POPULATION = 0.4
"""Making its members, tracing its program, replaying a member."""
SECONDS_A_PROCESS = 4.0
"""Starting it, importing torch, handing it the data."""
PROCESS_MEGABYTES = 500.0
"""What a process holds that trains small networks: torch, this program, and what tracing a step imports.
results/plan.json sets this and the times above beside what studies took."""
Report = Callable[[str, int, int], None]
"""Told of progress: (what is being trained, member-steps just done, runs just finished)."""


def worth_processes(processes: int) -> float:
    """Seconds in one process from which so many processes are done sooner, their start included."""
    return SECONDS_A_PROCESS * processes / (processes - 1) if processes > 1 else float("inf")


def shortened(training: Training, share: float) -> Training:
    """The same of a share of the steps, with the same share of the checks, 2 at least."""
    if share == 1:
        return training
    return replace(training, steps=max(1, round(training.steps * share)), checks=max(2, round(training.checks * share)))


@dataclass
class Trainings:
    """Trains runs of one network on one data set, and remembers what it took and how far replays deviated.

    fewer: processes asked for when a study goes on. again: runs trained anew, since their weights could not be read.
    finished: told of each run and its result. read: told of member-steps that the store had.
    """

    network: str | Factory
    dataset: Dataset
    training: Training
    processes: int | None
    report: Report
    deviations: list[float] = field(default_factory=list)
    tolerances: list[float] = field(default_factory=list)
    loops: dict[str, None] = field(default_factory=dict)
    diverged: list[tuple[Run, Result, Training]] = field(default_factory=list)
    populations: int = 0
    runs: int = 0
    member_steps: int = 0
    packing: Packing | None = None
    megabytes: float | None = None
    memory: float | None = None
    seconds_alone: float | None = None
    seconds_evaluated: float | None = None
    store: Store | None = None
    fewer: int | None = None
    again: int = 0
    finished: Callable[[Run, Result], None] = lambda run, result: None
    read: Callable[[int], None] = lambda member_steps: None

    def prepare(self, baseline: Recipe, runs: float, populations: int = 1) -> str:
        """Choose by measurement on the baseline's network how the runs of a study are packed; in words.

        Where the number of processes was left open, one a core train, or this one alone where starting others would
        take longer than they save.
        A study that goes on keeps the packing it began with, so that its numbers stay the same.
        """
        if self.store is not None and (noted := self.store.about("packing", dict)) is not None:
            return self._as_noted(self.store, noted)
        words = self._measured(baseline, runs, populations)
        if self.store is not None:
            packing = asdict(self.packing) if self.packing is not None else None
            self.store.note(
                "packing",
                {
                    "processes": self.processes,
                    "packing": packing,
                    "words": words,
                    "megabytes": self.megabytes,
                    "memory": self.memory,
                    "seconds alone": self.seconds_alone,
                    "seconds evaluated": self.seconds_evaluated,
                },
            )
        return words

    def _as_noted(self, store: Store, noted: Mapping[str, Any]) -> str:
        try:
            self.fewer, self.processes = self.processes, noted["processes"]
            self.packing = Packing(**noted["packing"]) if noted["packing"] is not None else None
            self.megabytes, self.memory = noted.get("megabytes"), noted.get("memory")
            self.seconds_alone, self.seconds_evaluated = noted.get("seconds alone"), noted.get("seconds evaluated")
            return str(noted["words"])
        except (KeyError, TypeError) as error:
            raise store.damaged("packing") from error

    def _measured(self, baseline: Recipe, runs: float, populations: int) -> str:
        first = make_member(Run(Trial(baseline), 0), self.network, self.dataset)
        parameters = sum(p.numel() for p in first.objective.network.parameters())
        x, y = self.dataset.inputs, self.dataset.y
        bucket_key(first, x, y)  # found once, and its copies have it
        others = range(1, 2 * members_at_once(parameters))
        members = [first, *(replace(first, seed=i, objective=copy.deepcopy(first.objective)) for i in others)]
        examples = first.batch(self.dataset, self.training.batch_size)
        processes = self.processes or processes_available()
        steps = math.ceil(runs * self.training.steps / (len(members) * processes))
        refused = None
        try:
            self.packing = choose(members, *examples, steps, threads=1)
            self.seconds_evaluated = seconds_evaluated(members, x, y, self.packing)
        except Unbatchable as reason:  # of a short training nothing is tried before it is evaluated
            refused, self.packing = reason, None
            self.seconds_evaluated = seconds_evaluated(members, x, y, None)
        if self._each is None:  # too short a training to measure packings for: it takes no longer than by the loop
            self.seconds_alone = seconds_alone(first, *examples)
        if self.processes is None:
            each = self._each or 0.0
            self.processes = processes if self._seconds(runs, populations, each) > worth_processes(processes) else 1
        self.memory = max(peak_megabytes() or 0.0, PROCESS_MEGABYTES) * (1 + self.workers if self.workers > 1 else 1)
        held = f"about {self.memory:,.0f} MB of memory in all"
        if self.packing is None:
            return f"by the loop, one after another ({refused}), {held}"
        self.megabytes = self.workers * 20 * self.packing.members * parameters / 2**20
        return f"in populations of up to {self.packing.members}, members {self.packing.way}, {held}"

    def expected(self, runs: float, populations: int) -> float | None:
        """Seconds that so many runs in so many populations will take, more or less; None where nothing was measured."""
        if self._each is None:
            return None
        start = SECONDS_A_PROCESS if self.workers > 1 else 0.0
        return self._seconds(runs, populations, self._each) / self.workers + start

    @property
    def _each(self) -> float | None:
        """Seconds of a step of one member, where they were measured."""
        return self.seconds_alone if self.packing is None or self.packing.seconds is None else self.packing.seconds

    def _seconds(self, runs: float, populations: int, each: float) -> float:
        """What they take in one process, each step of a member so many seconds."""
        t, held = self.training, len(split(self.dataset, 0)[1])
        evaluated = len(t.check_steps()) * min(CHECKED_ON, held) + held
        if isinstance(rules_of(self.dataset), ByRobustAccuracy):
            attacked = attacked_at_checks(len(t.check_steps()), held)
            evaluated += 3 * STEPS * attacked  # a backward pass takes twice as long as a forward pass
        # where a store says nothing of it, an example is evaluated in a third of its share of a step
        example = each / (3 * t.batch_size) if self.seconds_evaluated is None else self.seconds_evaluated
        return runs * (t.steps * each + evaluated * example) * HEAVIER + populations * SECONDS_A_POPULATION

    def __call__(
        self, what: str, runs: Sequence[Run], keep_states: bool = False, *, share: float = 1.0
    ) -> list[Result]:
        """Results in the order of `runs`, each a whole training of this share of the steps."""
        training = shortened(self.training, share)
        packing = self.packing or Packing("together", MOST)
        parts = pack(runs, packing.members, self.workers)
        jobs = [
            Job(self.network, training, tuple(runs[i] for i in part), keep_states, (n % len(part),), packing.way)
            for n, part in enumerate(parts)
        ]
        results: list[Result] = [Result()] * len(runs)
        for position, record in self._records(what, jobs):
            for i, result in zip(parts[position], record.results, strict=True):
                results[i] = result
                self.finished(runs[i], result)
            self.deviations += record.deviations
            self.tolerances += record.tolerances
            self.loops.update(dict.fromkeys(record.loops))
            self.populations += record.buckets
            self.runs += len(record.results)
            self.member_steps += len(record.results) * training.steps
            self.report(what, 0, len(record.results))
        diverged = [i for i, result in enumerate(results) if result.status == "diverged"]
        self.diverged += [(runs[i], results[i], training) for i in diverged]  # in an order that no process decides
        return results

    def _records(self, what: str, jobs: Sequence[Job]) -> Iterator[tuple[int, Record]]:
        """(position, record) of each job: those that the store holds first, then the others as they are done."""

        def advance(member_steps: int) -> None:
            self.report(what, member_steps, 0)

        if self.store is None:
            yield from run_jobs(jobs, self.dataset, self.workers, advance)
            return
        ids = self.store.ask(what, jobs)
        missing = []
        for position, (id, job) in enumerate(zip(ids, jobs, strict=True)):
            try:
                record = self.store.record(id)
            except UnreadableWeights:
                record, self.again = None, self.again + len(job.runs)
            if record is None:
                missing.append(position)
                continue
            advance(len(job.runs) * job.training.steps)
            self.read(len(job.runs) * job.training.steps)
            yield position, record
        keep = Keeper(self.store.folder, tuple(ids[p] for p in missing))
        for i, record in run_jobs([jobs[p] for p in missing], self.dataset, self.at_once, advance, keep):
            yield missing[i], record

    def notes(self) -> list[str]:
        """That runs had to be trained again, if it is so."""
        if not self.again:
            return []
        return [f"the weights of {self.again} finished runs could not be read; these runs were trained again."]

    @property
    def workers(self) -> int:
        """Processes to train in."""
        return self.processes or processes_available()

    @property
    def at_once(self) -> int:
        """Processes to train in now: one that goes on is packed for as many as it began with, but may have fewer."""
        return min(self.workers, self.fewer or self.workers)

    @property
    def worst(self) -> tuple[float, float]:
        """The deviation that comes nearest to what rounding explains, or lies furthest beyond it; and that limit."""
        pairs = zip(self.deviations, self.tolerances, strict=True)
        return max(pairs, key=lambda pair: pair[0] / pair[1], default=(0.0, TOLERANCE))
