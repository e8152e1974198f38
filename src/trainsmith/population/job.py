"""A job: runs to train in one process, self-contained, and its record. The unit of work everywhere."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from trainsmith.catalogue import Run
from trainsmith.data import Dataset
from trainsmith.network import Factory
from trainsmith.population.members.member import Member, make_member
from trainsmith.population.memory import keep_freed_memory
from trainsmith.population.program.bucket import bucket_key
from trainsmith.population.program.program import Program, Way
from trainsmith.population.program.threads import smallest_as_zero
from trainsmith.population.training.again import followed, goes_on, second_trainings
from trainsmith.population.training.alone import Alone
from trainsmith.population.training.chunk import Chunk, Unbatchable
from trainsmith.population.training.course import Result, Training, train
from trainsmith.population.training.verify import receipt

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Job:
    """Runs that probably share a program; whether they do is decided by their signatures where they train.

    keep_states: whether the results carry the weights. replay: the runs, by position, that are trained
    alone for the first steps afterwards, for the receipt. way: how members pass through their program.
    """

    network: str | Factory
    training: Training
    runs: tuple[Run, ...]
    keep_states: bool = False
    replay: tuple[int, ...] = (0,)
    way: Way = "together"


@dataclass
class Record:
    """What a job came to: results in the order of its runs, deviations of the replayed ones, what rounding explains.

    buckets: how many programs the runs needed. loops: why some could not be batched.
    """

    results: list[Result] = field(default_factory=list)
    deviations: list[float] = field(default_factory=list)
    tolerances: list[float] = field(default_factory=list)
    buckets: int = 0
    loops: tuple[str, ...] = ()


def work(job: Job, dataset: Dataset, advance: Advance = lambda member_steps: None) -> Record:
    """Train the runs of `job` on the development part of `dataset`."""
    keep_freed_memory()
    with smallest_as_zero():
        return _worked(job, dataset, advance)


def _worked(job: Job, dataset: Dataset, advance: Advance) -> Record:
    x, y = dataset.inputs, dataset.y
    members = [make_member(run, job.network, dataset) for run in job.runs]
    keep = job.keep_states or any(map(goes_on, members))
    record = _trained(replace(job, keep_states=keep), members, dataset, advance)
    _train_further(job, members, record.results, dataset)
    for i in job.replay:
        make = functools.partial(make_member, job.runs[i], job.network, dataset)
        found, explained = receipt(make, x, y, job.training, record.results[i])
        record.deviations.append(found)
        record.tolerances.append(explained)
    return record


def _train_further(job: Job, members: Sequence[Member], results: list[Result], dataset: Dataset) -> None:
    """Those that train on all examples once they have stopped: in the place of each result that of both trainings."""

    def make(i: int) -> Member:
        return make_member(job.runs[i], job.network, dataset, again=True)

    again = second_trainings(members, results, make, job.training, dataset)
    for result in results if not job.keep_states else ():
        result.state = None
    if again:
        second = _trained(job, list(again.values()), dataset, lambda member_steps: None)
        for i, result in zip(again, second.results, strict=True):
            results[i] = followed(results[i], result)


def _trained(job: Job, members: Sequence[Member], dataset: Dataset, advance: Advance) -> Record:
    """The members' results, each bucket trained as one program, or by the loop where it has to be."""
    x, y = dataset.inputs, dataset.y
    buckets: dict[object, list[int]] = {}
    for i, member in enumerate(members):
        buckets.setdefault(bucket_key(member, x, y), []).append(i)
    results: dict[int, Result] = {}
    loops: dict[str, None] = {}
    for places in buckets.values():
        try:
            own = [members[i] for i in places]
            trainers: Sequence[Chunk | Alone] = [Chunk(own, x, y, Program(own[0].objective, job.way))]
        except Unbatchable as reason:
            loops[str(reason)] = None
            trainers = [Alone(members[i]) for i in places]
        done = [r for t in trainers for r in train(t, x, y, job.training, job.keep_states, advance)]
        results.update(zip(places, done, strict=True))
    ordered = [results[i] for i in range(len(members))]
    return Record(ordered, buckets=len(buckets), loops=tuple(loops))
