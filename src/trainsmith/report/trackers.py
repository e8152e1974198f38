"""The runs of a study for the trackers that people have: MLflow, TensorBoard. One run of theirs for each of ours."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainsmith.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

RUN_TAG = "trainsmith.run"
"""Under this tag a run says which of the study's it is, so that none is written twice."""


@dataclass(frozen=True)
class Tracked:
    """One run as trackers take it.

    id: the same whenever the study is written. settings: stage, seed, the technique of each family and every
    hyper-parameter. ends: score, loss and steps at its end. points: (step, values) of each check. Numbers that are not
    finite are left out; a run that diverged says so in `status`.
    """

    id: str
    name: str
    status: str
    settings: Mapping[str, Any]
    ends: Mapping[str, float]
    points: tuple[tuple[int, Mapping[str, float]], ...]


def tracked(runs: pd.DataFrame, curves: pd.DataFrame) -> Iterator[Tracked]:
    """The runs of Store.runs and Store.curves, numbered as `trainsmith show` numbers them."""
    columns = [c for c in curves.columns if c not in ("job", "place", "step")]
    by_run = dict(iter(curves.groupby(["job", "place"], sort=False)))
    for number, run in enumerate(runs.to_dict("records")):
        recipe = json.loads(run["recipe"])
        chosen = {family: "+".join(n) if isinstance(n, list) else str(n) for family, n in recipe.items()}
        numbers = json.loads(run["hyperparameters"])
        own = by_run.get((run["job"], run["place"]))
        points = () if own is None else tuple(
            (int(point["step"]), _finite({c: point[c] for c in columns})) for point in own.to_dict("records")
        )  # fmt: skip
        yield Tracked(
            id=f"{run['job']}-{run['place']}",
            name=f"{number} {' + '.join(n for n in chosen.values() if n and n != 'none')}, seed {run['seed']}",
            status=str(run["status"]),
            settings={"stage": run["stage"], "seed": int(run["seed"]), **chosen, **numbers},
            ends=_finite({"score": run["score"], "loss": run["loss"], "steps": run["step"]}),
            points=points,
        )


def to_mlflow(study: str, runs: Iterator[Tracked], uri: str) -> int:
    """Write each run into the MLflow at `uri` (a server, sqlite:///file.db), in an experiment named after the study.

    A run that is there already is left as it is. Returns how many were written. Raises InvalidInput if mlflow is not
    installed or the place cannot be used.
    """
    try:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise InvalidInput("writing to MLflow needs mlflow: pip install 'trainsmith[mlflow]'.") from error
    written, now = 0, int(1000 * time.time())
    try:
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(study)
        experiment = client.create_experiment(study) if found is None else found.experiment_id
        there = _written(client, experiment)
        for run in runs:
            if run.id in there:
                continue
            made = client.create_run(experiment, run_name=run.name)
            metrics = [Metric(k, v, now, step) for step, values in run.points for k, v in values.items()]
            last = run.points[-1][0] if run.points else 0
            metrics += [Metric(k, v, now, last) for k, v in run.ends.items()]
            params = [Param(name, str(value)) for name, value in run.settings.items()]
            tags = [RunTag("status", run.status), RunTag("study", study)]
            for part in range(0, len(metrics), 1000):  # the most that a batch may hold
                client.log_batch(made.info.run_id, metrics=metrics[part : part + 1000])
            client.log_batch(made.info.run_id, params=params, tags=tags)
            client.set_tag(made.info.run_id, RUN_TAG, run.id)  # last: without it the run is written anew
            client.set_terminated(made.info.run_id, "FAILED" if run.status == "diverged" else "FINISHED")
            written += 1
    except (MlflowException, OSError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise InvalidInput(f"MLflow at '{uri}' cannot be used: {reason}") from error
    return written


def _written(client: Any, experiment: str) -> set[str]:
    """The ids of the runs that an experiment holds."""
    ids: set[str] = set()
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        ids |= {run.data.tags[RUN_TAG] for run in page if RUN_TAG in run.data.tags}
        token = page.token
        if not token:
            return ids


def to_tensorboard(runs: Iterator[Tracked], folder: Path) -> int:
    """Write each run into a folder of its own in `folder`: scalars at each check, hyper-parameters and the end's score.

    Replaces what was written of the same run before. Returns how many were written. Raises InvalidInput if tensorboard
    is not installed or the folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InvalidInput(
            "writing for TensorBoard needs tensorboard: pip install 'trainsmith[tensorboard]'."
        ) from error
    written = 0
    try:
        for run in runs:
            place = folder / run.id
            for old in place.glob("events.out.tfevents.*"):
                old.unlink()
            with SummaryWriter(str(place)) as writer:
                for step, values in run.points:
                    for name, value in values.items():
                        writer.add_scalar(name, value, step)
                settings = {**run.settings, "name": run.name, "status": run.status}
                writer.add_hparams(settings, {f"end/{k}": v for k, v in run.ends.items()}, run_name=".")
            written += 1
    except OSError as error:
        raise InvalidInput(f"'{folder}' cannot be written: {error.strerror or error}.") from error
    return written


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in values.items() if v is not None and math.isfinite(v)}
