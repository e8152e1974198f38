"""Monte Carlo dropout: predictions averaged over dropout's masks."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import FRACTION, Hyperparameter, number_in, technique
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import uniform_like
from trainsmith.regularization.ensemble import averaged

SAMPLES = 10


class MonteCarlo(nn.Module):
    """A network whose MonteCarloDropout layers drop in evaluation too: the mean prediction over their masks.

    kind: what is averaged, see `averaged`.
    """

    def __init__(self, network: nn.Module, kind: str = "classes") -> None:
        super().__init__()
        self.network, self.kind = network, kind
        for module in network.modules():
            if isinstance(module, MonteCarloDropout):
                module.repeated = True

    def forward(self, x: Float[Tensor, "n ..."]) -> Tensor:
        """The network's outputs in training, those of its mean prediction in evaluation."""
        if self.training:
            return self.network(x)
        outputs = self.network(x.repeat(SAMPLES, *(1,) * (x.ndim - 1)))
        return averaged(outputs.unflatten(0, (SAMPLES, len(x))), self.kind)


@technique(
    "regularization",
    "layer",
    name="monte-carlo-dropout",
    aliases=("mc-dropout",),
    rate=Hyperparameter("probability that a unit is dropped", (0.05, 0.6), "linear", FRACTION, tuned=True),
)
class MonteCarloDropout(nn.Module):
    """Monte Carlo dropout: dropout in evaluation too, whose predictions are averaged over ten masks.

        training: dropout;   evaluation: p(y | x) = 1 / T sum_t softmax(f(x, mask_t)),   T = 10

    Paper: Gal & Ghahramani 2016, Dropout as a Bayesian approximation: representing model uncertainty in deep learning,
    equation 6.

    Differs: 1. The T masks are drawn once, at the start, and are the same for all examples: predictions repeat. 2. The
    network's own dropout layers stay as they are; `monte_carlo_dropout` takes those of a finished network.

    Pitfall: T times the work in evaluation, and with few masks it may score below plain dropout, which is one pass at
    the mean; its gain is in the probabilities. Judge it by log loss.

    Helps: probabilities that say how sure the network is. Not where accuracy alone counts: it costs as many passes as
    masks.

    >>> import torch
    >>> from trainsmith.regularization import MonteCarloDropout
    >>> MonteCarloDropout(0.0)(torch.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    trains_as_plain = False
    around = "MonteCarlo"  # by name, since it knows this class
    rate: Tensor
    uniform: Tensor

    def __init__(self, rate: float = 0.5, shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))
        self.shape, self.repeated = tuple(shape), False
        self.register_buffer("uniform", torch.zeros(SAMPLES, 1, *self.shape) if self.shape else None)

    def initialize(self, x: Float[Tensor, "n ..."]) -> None:
        """Draw the masks for inputs like x."""
        self.shape = tuple(x.shape[1:])
        self.uniform = torch.rand(SAMPLES, 1, *self.shape, dtype=x.dtype, device=x.device)

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """x with units dropped; in evaluation within a MonteCarlo, the t-th tenth of the examples by mask t."""
        if self.training:
            return x * (uniform_like(x) >= self.rate) / (1 - self.rate)
        if not self.repeated:
            return x
        if self.uniform is None:
            raise InvalidInput("the masks are not drawn yet: give the units' shape=, or call initialize(x) before.")
        kept = (self.uniform >= self.rate).to(x.dtype) / (1 - self.rate)
        return (x.unflatten(0, (SAMPLES, -1)) * kept).flatten(0, 1)

    def plain(self) -> nn.Module:
        """What it is by itself, without a MonteCarlo around the network: dropout."""
        return nn.Dropout(number_in(self.rate)).train(self.training)
