"""Gradient descent along a mean of past gradients."""

from typing import Any, ClassVar

from torch import Tensor

from trainsmith.catalogue import FRACTION, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.rule import Optimizer, step_along


@technique(
    "optimizer",
    "optimizer",
    name="moving-average",
    aliases=("ema", "exponential-moving-average", "movingaverage"),
    lr=Hyperparameter("step per unit of mean gradient", (1e-2, 10.0), "log", POSITIVE, tuned=True),
    beta=Hyperparameter("weight of the old mean", (0.7, 0.995), "logit", FRACTION),
)
class MovingAverage(Optimizer):
    """Moving average: a step against the exponential moving average of the gradients, corrected for its start.

        v     = beta v + (1 - beta) g
        theta = theta - lr * v / (1 - beta^t)

    Paper: Kingma & Ba 2015, Adam: A Method for Stochastic Optimization, Algorithm 1 without its second moment;
    the correction is section 3.

    Differs: nothing known. optax calls it ema(debias=True).

    Pitfall: it is not heavy ball, whose velocity is v / (1 - beta): at beta 0.9 the same lr moves ten times less.

    Helps: to understand momentum and Adam's first moment; a step is never longer than lr times the largest gradient.
    Not in place of momentum at the same lr: its steps are 1 - beta times as long.

    >>> import torch
    >>> from trainsmith.optimizer import MovingAverage
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = MovingAverage([theta], lr=0.25, beta=0.75)
    >>> for _ in range(2):
    ...     theta.grad = torch.tensor([1.0])
    ...     optimizer.step()
    >>> theta.item()
    0.5
    """

    linear: ClassVar[bool] = True
    moments: ClassVar[tuple[str, ...]] = ("v",)

    def __init__(self, params: Any, lr: float = 0.1, beta: float = 0.9) -> None:
        super().__init__(params, lr=lr, beta=beta)

    @staticmethod
    def coefficients(t: int, *, lr: Any, beta: Any) -> dict[str, Any]:
        return {"rate": lr / (1 - beta**t), "new": 1 - beta}

    @staticmethod
    def update(theta: Tensor, g: Tensor, v: Tensor, *, rate: Any, new: Any) -> None:
        v.lerp_(g, new)
        step_along(theta, v, rate)
