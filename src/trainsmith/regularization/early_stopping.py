"""When to stop."""

import math
from typing import ClassVar

from torch import Tensor

from trainsmith.catalogue import Hyperparameter, Interval, technique


@technique(
    "regularization",
    "stopping",
    name="early-stopping",
    patience=Hyperparameter("checks without improvement before stopping", (2, 10), "linear", Interval(1, math.inf)),
    fraction=Hyperparameter("share of the training examples held back to watch", (0.05, 0.2), "linear",
                            Interval(0, 1, True, True)),
)  # fmt: skip
class EarlyStopping:
    """Early stopping: train until the loss on held-back examples has not improved for a while; keep the best.

        stop after `patience` checks in a row with loss >= best;   result = the weights of the best check

    Paper: Prechelt 1998, Early stopping - but when?, class UP; Goodfellow et al. 2016, Deep Learning, Algorithm 7.1.

    Differs: 1. It counts checks without a new best, where Prechelt's UP counts checks that got worse in a row.
    2. What it watches is held back from the training examples, so that validation data stay unseen.
    3. A patience that is not whole counts as the next whole number.

    Pitfall: with a falling learning rate the loss improves late; too little patience stops before that.

    Helps: few and noisy data, long trainings; it saves time. Not with few examples whose labels are right: those held
    back are missed (our claim H16).

    >>> from trainsmith.regularization import EarlyStopping
    >>> policy = EarlyStopping(patience=2)
    >>> [policy.update(loss) for loss in (1.0, 0.8, 0.9, 0.85)], policy.stop, policy.best
    ([True, True, False, False], True, 0.8)
    """

    afterwards: ClassVar[str] = ""

    def __init__(self, patience: float = 5, fraction: float = 0.1) -> None:
        self.patience = patience
        self.fraction = fraction
        self.best = math.inf
        self.best_check = 0
        self.checks = 0

    def update(self, loss: float | Tensor) -> bool:
        """Note the loss of one more check; whether it is the best so far (nan never is)."""
        self.checks += 1
        loss = loss.item() if isinstance(loss, Tensor) else loss  # a tensor would keep its graph
        if not loss < self.best:
            return False
        self.best, self.best_check = loss, self.checks
        return True

    @property
    def stop(self) -> bool:
        """Whether it is time to stop."""
        return self.checks - self.best_check >= self.patience

    def state_dict(self) -> dict[str, float]:
        """Its numbers and what it has seen, to be stored."""
        return {**vars(self)}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from a state_dict."""
        vars(self).update(state)


@technique(
    "regularization",
    "stopping",
    name="early-stopping-retrain",
    patience=Hyperparameter("checks without improvement before stopping", (2, 10), "linear", Interval(1, math.inf)),
    fraction=Hyperparameter("share of the training examples held back to watch", (0.05, 0.2), "linear",
                            Interval(0, 1, True, True)),
)  # fmt: skip
class EarlyStoppingRetrain(EarlyStopping):
    """Early stopping, then training anew: once stopped, train again on all examples for as many steps as were best.

        i* = the step of the best check of early stopping;   result = from the first weights, i* steps on all examples

    Paper: Goodfellow et al. 2016, Deep Learning, Algorithm 7.2.

    Differs: 1. The second training has the seed's first weights again, and the schedule of the whole training cut off
    at i*, which is what the best weights had. 2. i* counts steps, so that it is fewer passes over the larger set; the
    book leaves open which to keep.

    Pitfall: it costs up to two trainings. Nothing watches the second one.

    Helps: few data, of which a tenth matters. With many, early stopping alone is as good. Not where a second training
    is too dear.

    >>> from trainsmith.regularization import EarlyStoppingRetrain, retrain
    >>> policy, weights = EarlyStoppingRetrain(patience=2), []
    >>> watched = [policy.update(loss) for loss in (1.0, 0.8, 0.9, 0.85)]
    >>> retrain(lambda: weights.append("drawn"), lambda: weights.append("step"), policy.best_check)
    >>> weights
    ['drawn', 'step', 'step']
    """

    gradients: ClassVar[int] = 2
    afterwards: ClassVar[str] = "anew"


@technique(
    "regularization",
    "stopping",
    name="early-stopping-continue",
    patience=Hyperparameter("checks without improvement before stopping", (2, 10), "linear", Interval(1, math.inf)),
    fraction=Hyperparameter("share of the training examples held back to watch", (0.05, 0.2), "linear",
                            Interval(0, 1, True, True)),
)  # fmt: skip
class EarlyStoppingContinue(EarlyStopping):
    """Early stopping, then going on: from the best weights on all examples, until the held-back loss matches.

        target = mean loss of the best weights on the examples trained on so far
        at each check:  while mean loss on the held-back examples > target:  train on all examples

    Paper: Goodfellow et al. 2016, Deep Learning, Algorithm 7.3.

    Differs: 1. It ends where the schedule does, after the steps that were left at the best check; the book's may never
    end, as it says. Where the target was not reached, the weights of that end count, and where no steps were left those
    of early stopping. 2. Both losses are without penalties, in evaluation mode. 3. The schedule goes on from the best
    check; what the optimizer, an average or another technique keeps from step to step begins anew.

    Pitfall: the held-back examples are trained on, so that their loss says nothing of new data any more. The further
    the training loss had fallen below theirs, the longer it trains, and it may overfit what early stopping had not.

    Helps: few data, where a second training from the start costs too much. early-stopping-retrain is better behaved.
    Not where the loss cannot come down to its target: it takes all its steps then.

    >>> from trainsmith.regularization import EarlyStoppingContinue, UntilMatched
    >>> policy = EarlyStoppingContinue(patience=2)
    >>> watched = [policy.update(loss) for loss in (1.0, 0.8, 0.9, 0.85)]
    >>> then = UntilMatched(target=0.5)    # the training loss of the best weights
    >>> [(then.update(loss), then.stop) for loss in (policy.best, 0.6, 0.4)]    # the held-back loss while going on
    [(True, False), (True, False), (True, True)]
    """

    afterwards: ClassVar[str] = "on"


class UntilMatched:
    """Going on after early stopping: until the held-back loss is down at the training loss of the best weights.

    target: the mean loss of the best weights on the examples trained on so far. Its use is that of EarlyStopping; every
    check is the best, since the weights of the last one count.
    """

    def __init__(self, target: float) -> None:
        self.target = target
        self.loss = math.inf

    def update(self, loss: float) -> bool:
        """Note the held-back loss of one more check."""
        self.loss = loss
        return True

    @property
    def stop(self) -> bool:
        """Whether it has been reached."""
        return self.loss <= self.target
