"""Adversarial training in the Euclidean norm, by name: an example moves as a whole, not each number by as much."""

import math
from typing import ClassVar

from torch import Tensor

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, Interval, technique
from trainsmith.regularization.adversarial_training import TRADES, FGSMTraining, InRange, PGDTraining

SIZE = Hyperparameter(
    "root mean square of an example's move, as a share of the inputs' range", (0.005, 0.3), "log", NON_NEGATIVE,
    tuned=True,
)  # fmt: skip


class RootMeanSquare(InRange):
    """What the three have in common: an example of d numbers moves by a length of at most eps sqrt(d) ranges."""

    def size(self, x: Tensor) -> Tensor:
        """The length by which examples like x (n, ...) move, in ranges."""
        return super().size(x) * math.prod(x.shape[1:]) ** 0.5


@technique(
    "regularization", "pass", name="fgsm-training-l2", eps=SIZE,
    alpha=Hyperparameter("share of the clean examples in the loss", (0.2, 0.8), "linear", Interval(0, 1)),
)  # fmt: skip
class FGSMTrainingL2(RootMeanSquare, FGSMTraining):
    """FGSM training in the Euclidean norm: half of the loss is that of examples moved one step along its gradient.

        loss = alpha * J(x) + (1 - alpha) * J(x'),   x' = clip(x + eps sqrt(d) g / |g|),   g = dJ/dx of d numbers

    Paper: Miyato, Dai & Goodfellow 2017, Adversarial training methods for semi-supervised text classification,
    equation 5; Goodfellow, Shlens & Szegedy 2015 for the loss.

    Differs: as of fgsm-training, and: 4. eps is the root mean square of the move, so that one range serves tables and
    images: a length of 2 for MNIST's 784 pixels is 0.071.

    Pitfall: as of fgsm-training; at the same eps the maximum norm's box lies inside this ball.

    Helps: where an adversary changes few numbers much, or all a little. Not against attacks of several steps, nor where
    clean examples alone count.

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.regularization import FGSMTrainingL2
    >>> network = nn.Linear(4, 1, bias=False)
    >>> _ = network.weight.data.copy_(torch.tensor([[3.0, 4.0, 0.0, 0.0]]))
    >>> x, y = torch.full((1, 4), 0.5), torch.zeros(1, 1)
    >>> FGSMTrainingL2(eps=0.1, alpha=0.0)(network, lambda out, y: out.mean(), x, y).item()    # 3.5 + 0.1 * 2 * 5
    4.5
    """

    gradients: ClassVar[int] = 3

    def __init__(self, eps: float = 0.05, alpha: float = 0.5) -> None:
        super().__init__(eps, alpha, "2")


@technique("regularization", "pass", name="pgd-training-l2", eps=SIZE)
class PGDTrainingL2(RootMeanSquare, PGDTraining):
    """PGD training in the Euclidean norm: the loss is that of the worst examples in a ball, found in several steps.

        loss = J(x'),   x' = the last of `steps` times  u <- clip(P(u + 2.5 r / steps * g / |g|)),   g = dJ/du
        P: back to the ball of radius r = eps sqrt(d) around x, of d numbers

    Paper: Madry, Makelov, Schmidt, Tsipras & Vladu 2018, Towards deep learning models resistant to adversarial
    attacks, equation 2.1 (the loss) and sections 2.1 (the steps, unnumbered) and 5.

    Differs: as of pgd-training, and: 4. eps is the root mean square of the move, so that one range serves tables and
    images: a length of 2 for MNIST's 784 pixels is 0.071.

    Pitfall: as of pgd-training; what resists in one norm need not in another.

    Helps: where an adversary changes few numbers much, or all a little. Not where clean examples alone count, of which
    it gets fewer right.

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.regularization import PGDTrainingL2
    >>> network = nn.Linear(4, 1, bias=False)
    >>> _ = network.weight.data.copy_(torch.tensor([[3.0, 4.0, 0.0, 0.0]]))
    >>> x, y = torch.full((1, 4), 0.5), torch.zeros(1, 1)
    >>> moved = PGDTrainingL2(eps=0.1)(network, lambda out, y: out.mean(), x, y).item()
    >>> 4.0 < moved < 4.5001    # never beyond 3.5 + 0.1 * 2 * 5
    True
    """

    gradients: ClassVar[int] = 6

    def __init__(self, eps: float = 0.05, steps: int = 5) -> None:
        super().__init__(eps, steps, "2")


@technique(
    "regularization", "pass", name="trades-l2", eps=Hyperparameter(SIZE.meaning, SIZE.search, "log", NON_NEGATIVE),
    beta=Hyperparameter("loss per nat between clean and moved prediction", (0.5, 10.0), "log", NON_NEGATIVE,
                        tuned=True),
)  # fmt: skip
class TRADESL2(RootMeanSquare, TRADES):
    """TRADES in the Euclidean norm: the clean loss, and a price for predictions that a small move can change.

        loss = J(x) + beta * KL(p(x) || p(x')),   x' = argmax of that divergence within a ball of radius eps sqrt(d)

    Paper: Zhang, Yu, Jiao, Xing, El Ghaoui & Jordan 2019, Theoretically principled trade-off between robustness and
    accuracy, equation 5, whose norm is any.

    Differs: as of trades, and: 5. eps is the root mean square of the move over an example's d numbers.

    Pitfall: it costs one gradient for each step of the attack and two more.

    Helps: where clean accuracy matters too: beta trades one for the other. Not where inputs come as they are: its
    gradients buy nothing there.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import TRADESL2
    >>> x, y, network = torch.rand(2, 3), torch.tensor([0, 1]), nn.Linear(3, 2)
    >>> torch.equal(TRADESL2(beta=0.0)(network, cross_entropy, x, y), cross_entropy(network(x), y))
    True
    """

    gradients: ClassVar[int] = 7

    def __init__(self, eps: float = 0.05, beta: float = 6.0, steps: int = 5) -> None:
        super().__init__(eps, beta, steps, "2")
