"""Sharpness-aware minimization: the gradient where the loss is largest nearby."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.regularization.passes import Loss, needs_module, trained
from trainsmith.regularization.penalty import square


@technique(
    "regularization",
    "pass",
    rho=Hyperparameter(
        "length of the step uphill, in units of the weights", (0.01, 0.5), "log", NON_NEGATIVE, tuned=True
    ),
)
class SAM(nn.Module):
    """Sharpness-aware minimization: the loss is lowered where it is highest within a small ball around the weights.

        e = rho * g / |g|,   g = dJ/dw at w,  |g| over all weights together;   loss = J(w + e), e without gradient

    Paper: Foret, Kleiner, Mobahi & Neyshabur 2021, Sharpness-aware minimization for efficiently improving
    generalization, Algorithm 1, with the Euclidean norm.

    Differs: 1. It is written as a loss: its gradient is the one that the paper hands to any optimizer. 2. Penalties on
    weights are not part of J; they act at w. 3. In a layer that draws noise, the two passes draw their own. 4. Running
    statistics are moved by the first pass alone, at w; the paper does not say.

    Pitfall: it costs two gradients a step: compare with a baseline that trains twice as long.

    Helps: networks large enough to fit all of the training examples, wrong labels among them. Not where twice the steps
    would bring as much: compare with these.

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.regularization import SAM
    >>> network = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(network.weight, 2.0)
    >>> loss = SAM(rho=0.5)(network, lambda out, y: (out - y).square().mean(), torch.ones(1, 1), torch.zeros(1, 1))
    >>> loss.item()
    6.25
    """

    gradients: ClassVar[int] = 2
    rho: Tensor

    def __init__(self, rho: float = 0.05) -> None:
        super().__init__()
        self.register_buffer("rho", torch.tensor(float(rho)))

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Tensor:
        """The loss of the batch x (n, ...), y (n, ...) at the weights uphill."""
        if not isinstance(network, nn.Module):
            raise InvalidInput(needs_module(self, network))
        weights = trained(network)
        if not weights:
            raise InvalidInput("SAM needs a network with parameters to train; this one has none, or all are frozen.")

        def value(moved: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            buffers = {name: b.clone() for name, b in network.named_buffers()}
            return loss(functional_call(network, {**moved, **buffers}, (x,)), y), buffers

        with torch.enable_grad():
            gradients, at_weights = grad(value, has_aux=True)(weights)
        slopes = {name: g.detach() for name, g in gradients.items()}
        length = torch.stack([square(single(g)).sum() for g in slopes.values()]).sum().sqrt()
        share = self.rho.to(length) / length.clamp_min(1e-12)
        uphill = {name: p + share * slopes[name] for name, p in weights.items()}
        there, _ = value(uphill)
        with torch.no_grad():
            for name, b in network.named_buffers():
                b.copy_(at_weights[name])
        return there
