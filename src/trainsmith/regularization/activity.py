"""Sparse representations: hidden units of which few are active."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, Interval, number_in, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.regularization.inputs import needs_batch
from trainsmith.regularization.plain import TopUnits

OPEN = Interval(0, 1, True, True)


class ActivityPenalty(nn.Module):
    """A layer that gives back what it gets, and in training notes what it costs; see `activity_cost`.

    calls: how often a pass of its network calls it. What a pass costs is the sum over so many calls, the last ones.
    """

    trains_as_plain: ClassVar[bool] = False
    """Whether `plain` also does the same in training, as that of other layers does."""

    def __init__(self, calls: int = 1) -> None:
        super().__init__()
        if isinstance(calls, bool) or not isinstance(calls, int) or calls < 1:
            raise InvalidInput(f"calls must be a whole number of at least 1; got {calls!r}.")
        self.calls = calls
        self._costs: list[Tensor] = []

    def forward(self, x: Float[Tensor, "n *axes"]) -> Float[Tensor, "n *axes"]:
        """x itself; in training its cost is noted."""
        if self.training:
            if x.ndim < 2:
                raise InvalidInput(needs_batch(type(self).__name__, x))
            self._costs = [*self._costs, self.cost(x)][-self.calls :]
        return x

    def cost(self, x: Float[Tensor, "n *axes"]) -> Float[Tensor, ""]:
        """What these activations cost."""
        raise NotImplementedError

    def take(self) -> Tensor | None:
        """The cost of the last pass, once."""
        costs, self._costs = self._costs, []
        return sum(costs[1:], costs[0]) if costs else None

    def plain(self) -> nn.Module:
        """What is left of it in evaluation."""
        return nn.Identity()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_costs": []}


def activity_cost(network: nn.Module) -> list[Tensor]:
    """What the activations of the network's last pass in training cost, layer by layer, to be added to the loss."""
    costs = [m.take() for m in network.modules() if isinstance(m, ActivityPenalty)]
    return [cost for cost in costs if cost is not None]


@technique(
    "regularization",
    "layer",
    name="activity-l1",
    strength=Hyperparameter("loss per unit of activation", (1e-6, 1e-2), "log", NON_NEGATIVE, tuned=True),
)
class ActivityL1(ActivityPenalty):
    """L1 penalty on activations: active units cost.

        J = loss + strength * sum over layers of  mean over examples of sum over units |h|

    Paper: Olshausen & Field 1996, Emergence of simple-cell receptive field properties by learning a sparse code for
    natural images, equation 2; Goodfellow et al. 2016, Deep Learning, equation 7.48.

    Differs: 1. The mean over examples, the sum over units; Keras's activity regularizer is the same.

    Pitfall: the network can shrink its activations and grow the weights behind them: bound or decay those too. A
    layer that is called several times in a pass has to be told so, by calls=: surgery counts them.

    Helps: representations to be read; with rectified units, units that are exactly 0. Not alone: weights behind can
    grow as activations shrink.

    >>> import torch
    >>> from trainsmith.regularization import ActivityL1, activity_cost
    >>> layer = ActivityL1(0.5)
    >>> layer(torch.tensor([[1.0, -2.0], [0.0, 1.0]])).shape, [c.item() for c in activity_cost(layer)]
    (torch.Size([2, 2]), [1.0])
    """

    strength: Tensor

    def __init__(self, strength: float = 1e-4, calls: int = 1) -> None:
        super().__init__(calls)
        self.register_buffer("strength", torch.tensor(float(strength)))

    def cost(self, x: Float[Tensor, "n *axes"]) -> Float[Tensor, ""]:
        """strength times the sum of sizes, a mean over examples."""
        return self.strength * single(x).flatten(1).abs().sum(1).mean()


@technique(
    "regularization",
    "layer",
    name="activity-kl",
    aliases=("kl-sparsity",),
    strength=Hyperparameter("loss per nat of divergence of one unit", (1e-4, 1.0), "log", NON_NEGATIVE, tuned=True),
    target=Hyperparameter("mean activation that is aimed at", (0.01, 0.2), "log", OPEN, tuned=True),
)
class ActivityKL(ActivityPenalty):
    """KL sparsity: each unit is pulled towards a small mean activation over the examples.

        J = loss + strength * sum over units of  target log(target / m) + (1 - target) log((1 - target) / (1 - m))
        m = the unit's mean over the batch (and over positions), between 0 and 1

    Paper: Lee, Ekanadham & Ng 2008, Sparse deep belief net model for visual area V2; Ng 2011, Sparse autoencoder
    (lecture notes CS294A), section 3; Goodfellow et al. 2016, Deep Learning, equation 7.48 (any penalty of the
    units).

    Differs: 1. m is the mean of the batch, not of all examples. 2. m is kept 1e-6 away from 0 and 1.

    Pitfall: it means something only for activations between 0 and 1; small batches make m a poor estimate. A layer that
    is called several times in a pass has to be told so, by calls=, and m is of each call: surgery counts them.

    Helps: sparse autoencoders with sigmoid units. Not for units that are no shares between 0 and 1, such as ReLU's.

    >>> import torch
    >>> from trainsmith.regularization import ActivityKL, activity_cost
    >>> layer = ActivityKL(1.0, target=0.25)
    >>> _ = layer(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
    >>> [c.item() for c in activity_cost(layer)]
    [0.0]
    """

    activations = ("sigmoid", "hard-sigmoid")
    strength: Tensor
    target: Tensor

    def __init__(self, strength: float = 1e-2, target: float = 0.05, calls: int = 1) -> None:
        super().__init__(calls)
        self.register_buffer("strength", torch.tensor(float(strength)))
        self.register_buffer("target", torch.tensor(float(target)))

    def cost(self, x: Float[Tensor, "n units *axes"]) -> Float[Tensor, ""]:
        """strength times the sum of the units' divergences."""
        m = single(x).transpose(0, 1).flatten(1).mean(1).clamp(1e-6, 1 - 1e-6)
        rho = self.target
        return self.strength * (rho * (rho / m).log() + (1 - rho) * ((1 - rho) / (1 - m)).log()).sum()


@technique(
    "regularization",
    "layer",
    name="k-winners",
    aliases=("k-sparse", "kwta"),
    share=Hyperparameter("share of the units that stay active", (0.1, 0.9), "linear", Interval(0, 1, True), tuned=True),
)
class KWinners(nn.Module):
    """K winners take all: the k largest units of each example pass, the others are 0; in evaluation too.

        y_i = x_i if x_i is among the k largest units of its example, else 0;   k = share of the units, rounded up

    Paper: Makhzani & Frey 2014, k-sparse autoencoders, section 2; Ahmad & Scheinkman 2019, How can we be so dense? The
    benefits of using highly sparse representations, for convolutions.

    Differs: 1. The same k in training and evaluation; Makhzani & Frey use more units in evaluation, Ahmad & Scheinkman
    boost units that seldom win. 2. Units that are equal to the k-th pass too.

    Pitfall: units that never win never learn.

    Helps: representations to be read, noise on the inputs. Not where every unit must learn: those that never win do
    not.

    >>> import torch
    >>> from trainsmith.regularization import KWinners
    >>> KWinners(0.5)(torch.tensor([[1.0, 3.0, -1.0, 2.0]])).tolist()
    [[0.0, 3.0, 0.0, 2.0]]
    """

    share: Tensor

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("share", torch.tensor(float(share)))

    def forward(self, x: Float[Tensor, "n *axes"]) -> Float[Tensor, "n *axes"]:
        """x with all but the largest units of each example at 0."""
        if x.ndim < 2:
            raise InvalidInput(needs_batch("k-winners", x))
        units = x.flatten(1)
        count = (self.share * units.shape[1] - 1e-4).ceil().clamp(min=1).long()
        ordered = units.detach().sort(1, descending=True).values
        least = ordered.gather(1, (count - 1).expand(len(x), 1)).view(-1, *(1,) * (x.ndim - 1))
        return torch.where(x < least, 0, x)

    def plain(self) -> nn.Module:
        """The same without trainsmith: torch.nn has no such module."""
        return TopUnits(number_in(self.share))
