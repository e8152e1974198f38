"""A job as text, so that it can be found again by its content and done by a process that knows nothing else."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trainsmith.catalogue import Recipe, Run, Trial, spelt, techniques
from trainsmith.errors import InvalidInput, shown
from trainsmith.network import Factory
from trainsmith.population import Job, Training
from trainsmith.regularization import augmentation_elsewhere
from trainsmith.store.sources import without_addresses

MOST_LETTERS = 200
"""Of the name of an augmentation of the user's own in a record."""


def network_name(network: str | Factory) -> str:
    """A network's name: as given, or "module:qualified name" of a factory; of one without a name what it shows.

    Addresses in what it shows are left out, since they say nothing to another process.
    """
    if isinstance(network, str):
        return network
    name = getattr(network, "__qualname__", None) or without_addresses(repr(network))
    return f"{getattr(network, '__module__', '?')}:{name}"


def job_text(job: Job) -> str:
    """The job as JSON, the same text for the same job."""
    content = {
        "network": network_name(job.network),
        "training": asdict(job.training),
        "runs": [run_as_dict(run) for run in job.runs],
        "keep_states": job.keep_states,
        "replay": list(job.replay),
        "way": job.way,
    }
    return json.dumps(content, sort_keys=True)


def job_id(text: str) -> str:
    """What the job is called in the store: a hash of its content, 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def job_of(text: str, network: str | Factory | None = None) -> Job:
    """The job that job_text wrote. network: in place of its name. Raises InvalidInput if it is damaged."""
    try:
        raw = json.loads(text)
        return Job(
            network if network is not None else raw["network"],
            Training(**raw["training"]),
            tuple(run_of(run) for run in raw["runs"]),
            raw["keep_states"],
            tuple(raw["replay"]),
            raw["way"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidInput(f"a job in the store is damaged: {type(error).__name__}: {shown(error, 200)}.") from error


def run_as_dict(run: Run) -> dict[str, Any]:
    """Recipe, hyper-parameters and seed."""
    return {"recipe": run.trial.recipe.record(), "values": dict(run.trial.values), "seed": run.seed}


def run_of(raw: dict[str, Any]) -> Run:
    """The run that run_as_dict wrote."""
    return Run(Trial(recipe_of(raw["recipe"]), raw["values"]), raw["seed"])


def recipe_of(raw: Mapping[str, Any]) -> Recipe:
    """The recipe whose fields these are.

    A regularizer that the catalogue has not is taken for an augmentation of the user's own, which can be told of, not
    made.
    """
    names = raw["regularization"]
    known = {n for t in techniques("regularization") for n in (t.name, *t.aliases)}
    for name in names:
        if isinstance(name, str) and len(name) <= MOST_LETTERS and spelt(name) not in known:
            augmentation_elsewhere(name)
    return Recipe(**{**raw, "regularization": tuple(names)})
