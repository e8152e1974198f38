"""The schedule that hangs on the losses: the learning rate falls when they do not."""

import math

from torch import Tensor

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, Hyperparameter, technique
from trainsmith.optimizer.steps import FALL


@technique(
    "optimizer",
    "schedule",
    aliases=("reduce-on-plateau", "reducelronplateau"),
    gamma=FALL,
    patience=Hyperparameter("looks that it waits for", (0.0, 6.0), "linear", NON_NEGATIVE),
    threshold=Hyperparameter("share that a loss has to fall by", (1e-5, 0.03), "log", FRACTION),
)
class Plateau:
    """Reduce on plateau: the learning rate falls by a factor when the loss has not improved for some looks at it.

        best = min(best, loss)  and  waited = 0     where loss < (1 - threshold) best
        waited = waited + 1                         where not
        factor = gamma factor   and  waited = 0     where waited > patience

    Paper: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.3.1, unnumbered, on watching the loss; the
    rule is that of torch.optim.lr_scheduler.ReduceLROnPlateau in its default mode.

    Differs: 1. patience is 2, for a training that is looked at 20 times; torch's is 10 epochs. 2. There is no lowest
    rate and no pause behind a fall. 3. In a study the loss is the mean training loss between two checks.

    Pitfall: a training loss is noisy, and a look that comes too soon takes noise for a plateau; it does not end at 0.

    Helps: where the length of the training is not known. Not where the loss is so noisy that it improves by luck.

    `factor` is the present factor.

    >>> from trainsmith.optimizer import Plateau
    >>> plateau = Plateau(gamma=0.5, patience=1)
    >>> [plateau.update(loss) for loss in (3.0, 2.0, 2.0, 2.5, 1.0)]
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, gamma: float = 0.1, patience: float = 2, threshold: float = 1e-4) -> None:
        self.gamma, self.patience, self.threshold = gamma, patience, threshold
        self.best, self.waited, self.factor = math.inf, 0, 1.0

    def update(self, loss: float | Tensor) -> float:
        """The factor from now on, after a look at the loss. A loss that is not a number is no improvement."""
        loss = loss.item() if isinstance(loss, Tensor) else loss  # a tensor would keep its graph
        if loss < self.best * (1 - self.threshold):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            self.factor, self.waited = self.factor * self.gamma, 0
        return self.factor

    def state_dict(self) -> dict[str, float]:
        """Its numbers and what it has seen, to be stored."""
        return {**vars(self)}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from a state_dict."""
        vars(self).update(state)
