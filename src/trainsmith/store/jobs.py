"""A job as text, so that it can be found again by its content and done by a process that knows nothing else."""

import hashlib
import inspect
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.errors import InvalidInput, shown
from trainsmith.network import Factory, named_factory
from trainsmith.population import Job, Training


def network_name(network: str | Factory) -> str:
    """A network's name: as given, or "module:qualified name" of a factory; of one without a name what it shows.

    Addresses in what it shows are left out, since they say nothing to another process.
    """
    if isinstance(network, str):
        return network
    name = getattr(network, "__qualname__", None) or re.sub(r" at 0x[0-9a-fA-F]+", "", repr(network))
    return f"{getattr(network, '__module__', '?')}:{name}"


def source_digest(network: str | Factory) -> str | None:
    """A hash of the file that a factory is written in, so that a study does not go on with another network."""
    if isinstance(network, str) and ":" not in network:
        return None
    try:
        factory = named_factory(network) if isinstance(network, str) else network
        path = inspect.getsourcefile(inspect.unwrap(factory))
        return None if path is None else hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
    except (TypeError, OSError):
        return None  # made in a notebook, or by a call


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


def recipe_of(raw: dict[str, Any]) -> Recipe:
    """The recipe whose fields these are."""
    return Recipe(**{**raw, "regularization": tuple(raw["regularization"])})
