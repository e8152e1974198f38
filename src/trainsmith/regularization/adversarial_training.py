"""Adversarial training by name: the step's loss is taken at examples that were moved against the network."""

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, Interval, technique
from trainsmith.catalogue.fitted import Fitted
from trainsmith.errors import InvalidInput
from trainsmith.regularization.adversarial import Norm, fgsm, pgd
from trainsmith.regularization.passes import Loss, Run, still
from trainsmith.regularization.semi_supervised import divergence
from trainsmith.rows import Summary

SIZE = "how far an example is moved, as a share of the inputs' range"


class InRange(Fitted):
    """What the three have in common: eps counts in the range of the training inputs, and no example leaves it.

    norm: "inf", each input number moves by at most eps of its range; "2", the Euclidean length in those units does.
    """

    kinds = ("image", "table")
    eps: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, eps: float, norm: Norm) -> None:
        super().__init__()
        if norm not in ("inf", "2"):
            raise InvalidInput(f'norm must be "inf" or "2"; got {norm!r}.')
        self.norm: Norm = norm
        self.register_buffer("eps", torch.tensor(float(eps)))
        self.register_buffer("low", torch.tensor(0.0))
        self.register_buffer("high", torch.tensor(1.0))

    def fit(self, x: Tensor) -> "InRange":
        """Take the range from training inputs (n, ...): of each column of a table, of all pixels of images together."""
        low, high = (x.amin(0), x.amax(0)) if x.ndim == 2 else (x.min(), x.max())
        self.low, self.high = low.clone(), torch.where(high > low, high, low + 1)
        return self

    def fit_to(self, s: Summary, dtype: torch.dtype) -> "InRange":
        """The same from a summary of the training inputs."""
        low, high = s.low.to(dtype), s.high.to(dtype)
        self.low, self.high = low, torch.where(high > low, high, low + 1)
        return self

    def size(self, x: Tensor) -> Tensor:
        """How far an example is moved, in the attack's norm and in ranges."""
        return self.eps.to(x.dtype)

    def moved(self, network: nn.Module, x: Tensor, attack: Callable[[Run, Tensor], Tensor]) -> Tensor:
        """x moved by attack(network, examples), which sees inputs in units of their range."""
        low, run = self.low.to(x.dtype), still(network)
        span = self.high.to(x.dtype) - low
        u = (x - low) / span
        return x + span * (attack(lambda v: run(low + span * v), u) - u)


@technique(
    "regularization",
    "pass",
    name="fgsm-training",
    eps=Hyperparameter(SIZE, (0.005, 0.3), "log", NON_NEGATIVE, tuned=True),
    alpha=Hyperparameter("share of the clean examples in the loss", (0.2, 0.8), "linear", Interval(0, 1)),
)
class FGSMTraining(InRange):
    """FGSM training: half of the loss is that of examples moved one step along the sign of its gradient.

        loss = alpha * J(x) + (1 - alpha) * J(x'),   x' = clip(x + eps * sign(dJ/dx))

    Paper: Goodfellow, Shlens & Szegedy 2015, Explaining and harnessing adversarial examples, sections 4 (the step)
    and 6 (the loss), unnumbered.

    Differs: 1. eps is a share of the range of the training inputs, of each column for tables; for pixels from 0 to 1
    it is the paper's. 2. x' is clipped to that range. 3. The pass that finds x' leaves running statistics as they are.

    Pitfall: the network may learn to resist this one step and no other: judge it by projected gradient descent (see
    `robust_accuracy` and `pgd`). It costs three gradients a step.

    Helps: against small changes of the inputs; as a regularizer of small data. Clean accuracy often falls. Not against
    attacks of several steps (our claim C5).

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.regularization import FGSMTraining
    >>> network = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(network.weight, 2.0)
    >>> x, y = torch.full((1, 1), 0.5), torch.zeros(1, 1)
    >>> FGSMTraining(eps=0.25, alpha=0.5)(network, lambda out, y: out.mean(), x, y).item()
    1.25
    """

    gradients: ClassVar[int] = 3
    alpha: Tensor

    def __init__(self, eps: float = 0.05, alpha: float = 0.5, norm: Norm = "inf") -> None:
        super().__init__(eps, norm)
        self.register_buffer("alpha", torch.tensor(float(alpha)))

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
        """The loss of the batch x (n, ...), y (n, ...)."""
        eps, alpha = self.size(x), self.alpha.to(x.dtype)
        moved = self.moved(network, x, lambda run, u: fgsm(run, u, y, eps, norm=self.norm, loss=loss))
        return alpha * loss(network(x), y) + (1 - alpha) * loss(network(moved), y)


@technique(
    "regularization",
    "pass",
    name="pgd-training",
    eps=Hyperparameter(SIZE, (0.005, 0.3), "log", NON_NEGATIVE, tuned=True),
)
class PGDTraining(InRange):
    """PGD training: the loss is that of the worst examples nearby, found in several steps.

        loss = J(x'),   x' = the last of `steps` times  u <- clip(P_eps(u + 2.5 eps / steps * sign(dJ/du)))

    Paper: Madry, Makelov, Schmidt, Tsipras & Vladu 2018, Towards deep learning models resistant to adversarial
    attacks, equation 2.1 (the loss) and section 2.1 (the steps, unnumbered).

    Differs: 1. eps is a share of the range of the training inputs, of each column for tables; for pixels from 0 to 1
    it is the paper's. 2. The default is 5 steps, the paper's MNIST network had 40. 3. The passes that find x' leave
    running statistics as they are.

    Pitfall: it costs one gradient for each step of the attack and one more. The validation score is of clean examples,
    of which it gets fewer right.

    Helps: where inputs may be changed on purpose. Not where clean examples alone count.

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.regularization import PGDTraining
    >>> network = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(network.weight, 2.0)
    >>> x, y = torch.full((1, 1), 0.5), torch.zeros(1, 1)
    >>> PGDTraining(eps=0.25)(network, lambda out, y: out.mean(), x, y).item()
    1.5
    """

    gradients: ClassVar[int] = 6

    def __init__(self, eps: float = 0.05, steps: int = 5, norm: Norm = "inf") -> None:
        super().__init__(eps, norm)
        self.steps = steps

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
        """The loss of the batch x (n, ...), y (n, ...)."""
        eps = self.size(x)
        moved = self.moved(
            network, x, lambda run, u: pgd(run, u, y, eps, steps=self.steps, norm=self.norm, loss=loss)
        )  # fmt: skip
        return loss(network(moved), y)


@technique(
    "regularization",
    "pass",
    name="trades",
    eps=Hyperparameter(SIZE, (0.005, 0.3), "log", NON_NEGATIVE),
    beta=Hyperparameter("loss per nat between clean and moved prediction", (0.5, 10.0), "log", NON_NEGATIVE,
                        tuned=True),
)  # fmt: skip
class TRADES(InRange):
    """TRADES: the clean loss, and a price for predictions that a small change of the input can move.

        loss = J(x) + beta * KL(p(x) || p(x')),   x' = argmax of that divergence within eps, by projected steps

    Paper: Zhang, Yu, Jiao, Xing, El Ghaoui & Jordan 2019, Theoretically principled trade-off between robustness and
    accuracy, equation 5.

    Differs: 1. eps is a share of the range of the training inputs, of each column for tables; for pixels from 0 to 1
    it is the paper's. 2. The default is 5 steps. 3. The attack begins at a uniform point of the ball, since at x itself
    the divergence has no slope. 4. Its passes leave running statistics as they are. 5. The attack's passes are those of
    training, with its noise and the batch's statistics; the authors' code attacks in evaluation mode.

    Pitfall: it costs one gradient for each step of the attack and two more.

    Helps: where clean accuracy matters too: beta trades one for the other. Not where inputs come as they are: its
    gradients buy nothing there.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import TRADES
    >>> x, y, network = torch.rand(2, 3), torch.tensor([0, 1]), nn.Linear(3, 2)
    >>> torch.equal(TRADES(beta=0.0)(network, cross_entropy, x, y), cross_entropy(network(x), y))
    True
    """

    gradients: ClassVar[int] = 7
    classifies: ClassVar[bool] = True
    beta: Tensor

    def __init__(self, eps: float = 0.05, beta: float = 6.0, steps: int = 5, norm: Norm = "inf") -> None:
        super().__init__(eps, norm)
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.steps = steps

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
        """The loss of the batch x (n, ...), y (n,), from logits (n, classes)."""
        clean = network(x)
        fixed, eps = clean.detach().log_softmax(-1), self.size(x)

        def apart(outputs: Tensor, _: Tensor) -> Tensor:
            return divergence(fixed, outputs.log_softmax(-1))

        moved = self.moved(
            network, x, lambda run, u: pgd(run, u, y, eps, steps=self.steps, norm=self.norm, loss=apart)
        )  # fmt: skip
        moved_log = network(moved).log_softmax(-1)
        return loss(clean, y) + self.beta.to(x.dtype) * divergence(clean.log_softmax(-1), moved_log)
