"""RMSProp around the mean: each coordinate's step by its gradient's standard deviation."""

from typing import Any, ClassVar

from torch import Tensor

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.rule import Optimizer, root, step_over


@technique(
    "optimizer",
    "optimizer",
    name="rmsprop-centred",
    aliases=("rmsprop-centered", "centredrmsprop"),
    lr=Hyperparameter("step of a coordinate, in units of theta", (1e-5, 1e-2), "log", POSITIVE, tuned=True),
    alpha=Hyperparameter("weight of the old mean and variance", (0.9, 0.999), "logit", FRACTION),
    eps=Hyperparameter("added to the root, in units of the gradient", (1e-8, 1e-2), "log", NON_NEGATIVE),
)
class CentredRMSprop(Optimizer):
    """Centred RMSProp: each coordinate's gradient divided by its moving standard deviation, not its root mean square.

        m     = alpha m + (1 - alpha) g
        s     = alpha s + (1 - alpha) g^2
        theta = theta - lr * g / (sqrt(s - m^2) + eps)

    Paper: Graves 2013, Generating sequences with recurrent neural networks, equations 38 to 40.

    Differs: 1. eps stands outside the root, as in torch's RMSprop(centered=True); Graves adds 1e-4 inside. 2. No
    momentum. 3. What is kept is the variance s - m^2 itself, by its own recursion alpha (var + (1 - alpha)
    (g - m)^2): the difference would lose its digits, and can come out negative, where the mean is large.

    Pitfall: under a steady gradient the variance vanishes and the step grows to lr * g / eps.

    Helps: noisy gradients with a mean far from 0, as in recurrent networks. Not under steady gradients, whose variance
    vanishes.

    >>> import torch
    >>> from trainsmith.optimizer import CentredRMSprop
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.tensor([4.0])
    >>> CentredRMSprop([theta], lr=0.1, alpha=0.5).step()
    >>> round(theta.item(), 6)
    0.8
    """

    moments: ClassVar[tuple[str, ...]] = ("m", "variance")

    def __init__(self, params: Any, lr: float = 1e-3, alpha: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps)

    @staticmethod
    def coefficients(t: int, *, lr: Any, alpha: Any, eps: Any) -> dict[str, Any]:
        return {"old": alpha, "new": 1 - alpha, "rate": lr, "eps": eps}

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, m: Tensor, variance: Tensor, *, old: Any, new: Any, rate: Any, eps: Any
    ) -> None:
        apart = g - m
        step = apart * new
        variance.addcmul_(step, apart).mul_(old)
        m.add_(step)
        step_over(theta, g, root(variance).add_(eps), rate)
