"""What early stopping holds back from a run's training examples, and whether it is trained on afterwards."""

from typing import Any

import numpy as np
from torch import nn

from trainsmith import luck
from trainsmith.catalogue import Run
from trainsmith.errors import InvalidInput
from trainsmith.population.members.networks import at_most_one
from trainsmith.regularization import SnapshotEnsemble


def hold_back(train: np.ndarray, run: Run, again: bool = False) -> tuple[np.ndarray, np.ndarray, Any]:
    """(examples to train on, examples to watch, policy): the validation score stays unseen.

    again: of a policy that trains on all examples when it has stopped, that second training. It has no policy yet, and
    watches nothing, or what was watched before where it goes on. Raises InvalidInput for two policies.
    """
    found = [t.make(**run.trial.of(t)) for t in run.trial.recipe.techniques() if t.role == "stopping"]
    policy = at_most_one(run, "stopping", found)
    if policy is None or (again and afterwards(policy) == "anew"):
        return train, np.empty(0, np.int64), None
    order = luck.generator(run.seed, "watch").permutation(train)
    count = max(1, round(len(train) * policy.fraction))
    if again and afterwards(policy) == "on":
        return train, order[:count], None
    return order[count:], order[:count], policy


def afterwards(policy: Any) -> str:
    """What it does with all examples when it has stopped: trains "anew" or "on", or nothing."""
    return str(getattr(policy, "afterwards", ""))


def checked(policy: Any, network: nn.Module) -> Any:
    """The policy. Raises InvalidInput for a network that cannot be trained on after it has stopped."""
    if afterwards(policy) == "on" and isinstance(network, SnapshotEnsemble):
        raise InvalidInput(
            "early-stopping-continue and snapshot-ensemble cannot act together: snapshots are taken at steps of one "
            "training; choose one."
        )
    return policy
