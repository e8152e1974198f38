"""Jobs spread over processes, one thread each, with progress that the parent can read at any moment."""

import dataclasses
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch

from trainsmith.catalogue import Technique, enter, own_techniques
from trainsmith.data import Dataset
from trainsmith.data.mapped import as_tensor, map_of
from trainsmith.errors import InvalidInput
from trainsmith.network import named_augmentation
from trainsmith.population.job import Job, Record, work
from trainsmith.population.program.threads import one_thread

POLL_SECONDS = 0.2


def processes_available() -> int:
    """Processor cores this process may use."""
    return joblib.cpu_count()


Keep = Callable[[int, Job, Record, float], None]
"""Told of a job done, in the process that did it: its position, the job, its record, when it began (time.monotonic)."""


def run_jobs(
    jobs: Sequence[Job], dataset: Dataset, processes: int, advance: Callable[[int], None], keep: Keep | None = None
) -> Iterator[tuple[int, Record]]:
    """(position, record) of each job as it finishes. advance: told of member-steps done anywhere. keep: see Keep.

    Raises InvalidInput if a worker is killed.
    """
    if processes == 1 or len(jobs) <= 1:
        for i, job in enumerate(jobs):
            with one_thread():
                record = _work(i, job, dataset, advance, keep)
            yield i, record
        return
    fields = {f.name: getattr(dataset, f.name) for f in dataclasses.fields(dataset)}
    fields |= {"x": _handed(dataset.x), "y": dataset.y.numpy(), "test": None}  # workers never see the test part
    if dataset.unlabelled is not None:
        fields["unlabelled"] = _handed(dataset.unlabelled)
    with (
        tempfile.TemporaryDirectory() as folder,
        _Progress(Path(folder) / "done", len(jobs), advance) as done,
    ):
        own = [getattr(t.make, "place", None) or t for t in own_techniques()]
        parallel = joblib.Parallel(n_jobs=processes, return_as="generator_unordered", batch_size=1)
        try:
            yield from parallel(
                joblib.delayed(_work_elsewhere)(i, job, type(dataset), fields, done, (os.getcwd(), sys.path), own, keep)
                for i, job in enumerate(jobs)
            )
        except BrokenProcessPool as error:
            raise _killed(keep is not None) from error


def _killed(kept: bool) -> InvalidInput:
    """The error for a worker that something outside ended."""
    ask = "what was finished is kept: give the same command again" if kept else "give the same command again"
    return InvalidInput(
        f"a worker process was killed, as happens where memory runs out; {ask}, with fewer processes (--processes)."
    )


def _work_elsewhere(
    position: int,
    job: Job,
    kind: type[Dataset],
    fields: dict[str, Any],
    progress: Path,
    where: tuple[str, list[str]],
    own: list[Technique | str],
    keep: Keep | None,
) -> tuple[int, Record]:
    folder, sys.path[:] = where  # files and factories are found here as there, also by a worker that has served before
    os.chdir(folder)
    for technique in own:
        named_augmentation(technique) if isinstance(technique, str) else enter(technique)
    torch.set_num_threads(1)
    gc.freeze()  # what torch's import left behind need not be searched for garbage again and again
    tensors = {n: as_tensor(v) for n, v in fields.items() if isinstance(v, np.ndarray)}
    done = np.memmap(progress, np.int64, "r+")

    def advance(member_steps: int) -> None:
        done[position] += member_steps

    return position, _work(position, job, kind(**{**fields, **tensors}), advance, keep)


def _work(position: int, job: Job, dataset: Dataset, advance: Callable[[int], None], keep: Keep | None) -> Record:
    started = time.monotonic()
    record = work(job, dataset, advance)
    if keep is not None:
        keep(position, job, record, started)
    return record


def _handed(x: torch.Tensor) -> np.ndarray:
    """What joblib hands over as a read-only map: the map that x is, else an array, which it writes to a file."""
    found = map_of(x)
    return x.numpy() if found is None else found


class _Progress:
    """A file of one counter a job that workers add to, and a thread that reports the sum's growth."""

    def __init__(self, path: Path, jobs: int, advance: Callable[[int], None]) -> None:
        np.zeros(jobs, np.int64).tofile(path)
        self.path, self.advance, self.seen = path, advance, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._poll, daemon=True)

    def _poll(self) -> None:
        while not self.ended.wait(POLL_SECONDS):
            self._report()

    def _report(self) -> None:
        total = int(np.fromfile(self.path, np.int64).sum())
        self.advance(total - self.seen)
        self.seen = total

    def __enter__(self) -> Path:
        self.thread.start()
        return self.path

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        self._report()


__all__ = ["Keep", "processes_available", "run_jobs"]
