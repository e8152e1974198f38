"""One job of a study, done from its store alone: python -m trainsmith.store.worker FOLDER JOB.

Whoever runs jobs elsewhere, on another machine or by another engine, needs nothing but the folder and the job's id.
"""

import contextlib
import sys
import time
from pathlib import Path

import torch

from trainsmith.errors import InvalidInput
from trainsmith.population import Record, work
from trainsmith.store.begun import where_it_began
from trainsmith.store.inputs import UnreadableWeights, data_for_work
from trainsmith.store.jobs import job_of
from trainsmith.store.sources import known_again
from trainsmith.store.store import Store


def do(folder: Path, id: str) -> Record:
    """Train the job's runs and keep what they came to; at once what was kept, if it is done already."""
    store = Store(folder.absolute())
    with contextlib.suppress(UnreadableWeights):
        if (found := store.record(id)) is not None:
            return found
    started = time.monotonic()
    known_again(store.about("question", dict) or {})
    job = job_of(store.job(id))
    with where_it_began(store.about("begun in"), job.network):
        record = work(job, data_for_work(store.folder))
    store.keep(id, job, record, time.monotonic() - started)
    return record


def main(arguments: list[str]) -> int:
    """Do one job; 2 for a user's mistake."""
    if len(arguments) != 2:
        print("usage: python -m trainsmith.store.worker FOLDER JOB", file=sys.stderr)  # noqa: T201
        return 2
    torch.set_num_threads(1)
    try:
        do(Path(arguments[0]), arguments[1])
    except InvalidInput as error:
        print(f"trainsmith: error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
