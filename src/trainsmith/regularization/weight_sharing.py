"""Soft weight sharing (Nowlan & Hinton 1992). To be used alone."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput


class SoftWeightSharing(nn.Module):
    """Soft weight sharing: weights cost what they are unlikely under a mixture of Gaussians that learns with them.

        cost = -strength * sum_i log sum_j pi_j N(w_i; mu_j, sigma_j^2)

    Nowlan & Hinton 1992, Simplifying neural networks by soft weight-sharing. Weights gather around a few values; their
    means mu, deviations sigma = narrowest + exp(s) and shares pi (a softmax) are parameters: give them to the
    optimizer beside the network's.

    components: how many Gaussians. strength: >= 0, relative to a mean loss; 1 / examples for the paper's sum over them.
    reach: the means start evenly spread from -reach to reach (one alone at 0), the deviations at half their distance.
    narrowest: the least deviation.

    Differs: 1. Deviations are bounded below by `narrowest`: else a Gaussian shrinks onto one weight, and the cost falls
    without end.

    Pitfall: means and log deviations want another, usually smaller, learning rate than weights.

    >>> import torch
    >>> sharing = SoftWeightSharing(components=1, reach=0.0, strength=1.0)
    >>> round(sharing([torch.zeros(1)]).item(), 4)    # the log of sigma sqrt(2 pi), sigma 0.1
    -1.3836
    """

    def __init__(
        self, components: int = 5, strength: float = 1e-4, reach: float = 0.5, narrowest: float = 1e-3
    ) -> None:
        super().__init__()
        if components < 1 or strength < 0 or reach < 0 or narrowest <= 0:
            raise InvalidInput(
                "soft weight sharing needs at least 1 component, a strength and a reach of at least 0 and a narrowest "
                f"deviation above 0; got {components}, {strength}, {reach} and {narrowest}."
            )
        self.strength, self.narrowest = strength, narrowest
        distance = 2 * reach / max(1, components - 1)
        deviation = max(distance / 2 if distance > 0 else 0.1, 2 * narrowest)
        self.means = nn.Parameter(torch.linspace(-reach, reach, components) if components > 1 else torch.zeros(1))
        self.log_deviations = nn.Parameter(torch.full((components,), math.log(deviation - narrowest)))
        self.share_logits = nn.Parameter(torch.zeros(components))

    @property
    def deviations(self) -> Float[Tensor, " components"]:
        """The standard deviations, none below the narrowest."""
        return self.narrowest + self.log_deviations.exp()

    def forward(self, weights: "list[Tensor]") -> Float[Tensor, ""]:
        """The cost of the weights, tensors of any shapes, to be added to the loss."""
        w = torch.cat([single(t).flatten() for t in weights])[:, None]
        z = (w - self.means) / self.deviations
        log_share = functional.log_softmax(self.share_logits, 0)
        log_density = log_share - self.deviations.log() - 0.5 * math.log(2 * math.pi) - z.square() / 2
        return -self.strength * torch.logsumexp(log_density, 1).sum()
