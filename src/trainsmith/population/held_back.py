"""What early stopping holds back from a run's training examples."""

from typing import Any

import numpy as np

from trainsmith.catalogue import Run
from trainsmith.population import luck


def hold_back(train: np.ndarray, run: Run, again: bool = False) -> tuple[np.ndarray, np.ndarray, Any]:
    """(examples to train on, examples to watch, policy): the validation score stays unseen.

    again: of a policy that trains anew on all examples when it has stopped, that second training, which watches
    nothing.
    """
    for technique in run.trial.recipe.techniques():
        if technique.role == "stopping" and not (again and retrains(technique.make)):
            policy: Any = technique.make(**run.trial.of(technique))
            order = luck.generator(run.seed, "watch").permutation(train)
            count = max(1, round(len(train) * policy.fraction))
            return order[count:], order[:count], policy
    return train, np.empty(0, np.int64), None


def retrains(policy: Any) -> bool:
    """Whether it trains anew on all examples when it has stopped."""
    return bool(getattr(policy, "retrains", False))
