"""Lion: steps of one size in every coordinate."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.rule import Optimizer, decay, step_along


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter("length of every coordinate's step", (1e-5, 3e-3), "log", POSITIVE, tuned=True),
    beta1=Hyperparameter("weight of the mean in the step's sign", (0.8, 0.98), "logit", FRACTION),
    beta2=Hyperparameter("weight of the old mean", (0.95, 0.999), "logit", FRACTION),
    weight_decay=Hyperparameter(
        "share of a weight lost per step, in units of lr", (1e-2, 10.0), "log", NON_NEGATIVE, tuned=True
    ),
)
class Lion(Optimizer):
    """Lion: a step of length lr in every coordinate, in the direction of a mean gradient's sign.

        step  = sign(b1 m + (1 - b1) g)
        theta = theta - lr * (step + weight_decay * theta)
        m     = b2 m + (1 - b2) g

    Paper: Chen, Liang, Huang, Real, Wang, Liu, Pham, Dong, Luong, Hsieh, Lu & Le 2023, Symbolic discovery of
    optimization algorithms, Algorithm 2.

    Differs: 1. weight_decay is 0 by default, as in the authors' code. 2. Where the mean is not a number the step is
    not a number either, so that a broken training is seen to be broken.

    Pitfall: every step has the same length whatever the gradient, so lr is 3 to 10 times below AdamW's and
    weight_decay 3 to 10 times above; without a schedule that ends at 0 it never comes to rest.

    Helps: half of Adam's memory; large batches. Not without a schedule that ends at 0: its steps never get shorter by
    themselves.

    >>> import torch
    >>> from trainsmith.optimizer import Lion
    >>> theta = torch.nn.Parameter(torch.ones(2))
    >>> theta.grad = torch.tensor([1e-5, -300.0])
    >>> Lion([theta], lr=0.25).step()
    >>> theta.tolist()
    [0.75, 1.25]
    """

    moments: ClassVar[tuple[str, ...]] = ("m",)

    def __init__(
        self, params: Any, lr: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay)

    @staticmethod
    def coefficients(t: int, *, lr: Any, beta1: Any, beta2: Any, weight_decay: Any) -> dict[str, Any]:
        return {"new1": 1 - beta1, "new2": 1 - beta2, "rate": lr, "left": 1 - lr * weight_decay}

    @staticmethod
    def update(theta: Tensor, g: Tensor, m: Tensor, *, new1: Any, new2: Any, rate: Any, left: Any) -> None:
        direction = sign_(m.lerp(g, new1))
        m.lerp_(g, new2)
        decay(theta, left)
        step_along(theta, direction, rate)


def sign_(x: Tensor) -> Tensor:
    """The sign of every number, in its place: -1, 0 or 1, and nan for nan (of which torch.sign makes 0)."""
    return x.mul_(torch.finfo(x.dtype).max).clamp_(-1, 1)
