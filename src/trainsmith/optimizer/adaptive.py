"""Optimizers with a step size per coordinate: RMSProp and Adam."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.rule import Optimizer, root, step_along


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter("step of a coordinate, in units of theta", (1e-5, 1e-2), "log", POSITIVE, tuned=True),
    alpha=Hyperparameter("weight of the old mean of squares", (0.9, 0.999), "logit", FRACTION),
    eps=Hyperparameter("added to the root, in units of the gradient", (1e-10, 1e-3), "log", NON_NEGATIVE),
)
class RMSprop(Optimizer):
    """RMSProp: each coordinate's gradient divided by the root of a moving mean of its squares.

        s     = alpha s + (1 - alpha) g^2
        theta = theta - lr * g / (sqrt(s) + eps)

    Paper: Tieleman & Hinton 2012, Neural networks for machine learning, lecture 6e, slide 29; Goodfellow, Bengio &
    Courville 2016, Deep Learning, Algorithm 8.5 (its constant is inside the root).

    Differs: 1. eps stands outside the root, as in torch; Keras and optax add it inside. 2. alpha is 0.99 and lr 0.001
    by default; the lecture has 0.9, torch lr 0.01.

    Pitfall: s starts at 0 without bias correction, so that the first step is 1 / sqrt(1 - alpha) = 10 times lr.

    Helps: recurrent networks, and wherever gradients differ in size between coordinates. Not without a warm-up where
    first steps of ten times lr are too long.

    >>> import torch
    >>> from trainsmith.optimizer import RMSprop
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.tensor([4.0])
    >>> RMSprop([theta], lr=0.1, alpha=0.75).step()
    >>> round(theta.item(), 6)
    0.8
    """

    moments: ClassVar[tuple[str, ...]] = ("s",)

    def __init__(self, params: Any, lr: float = 1e-3, alpha: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps)

    @staticmethod
    def fused(
        t: int, theta: list[Tensor], g: list[Tensor], s: list[Tensor], *, lr: float, alpha: float, eps: float
    ) -> None:
        """Adam's step at infinity with beta1 = 0: its first moment is the gradient, and it corrects for no start.

        The kernel writes g into g, where an infinite one becomes NaN, as theta does.
        """
        one_pass(math.inf, theta, g, g, s, [], lr=lr, beta1=0.0, beta2=alpha, eps=eps)

    @staticmethod
    def coefficients(t: int, *, lr: Any, alpha: Any, eps: Any) -> dict[str, Any]:
        return {"new": 1 - alpha, "rate": lr, "eps": eps}

    @staticmethod
    def update(theta: Tensor, g: Tensor, s: Tensor, *, new: Any, rate: Any, eps: Any) -> None:
        s.lerp_(g * g, new)
        step_along(theta, g / root(s).add_(eps), rate)


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter("step of a coordinate, in units of theta", (1e-5, 1e-2), "log", POSITIVE, tuned=True),
    beta1=Hyperparameter("weight of the old first moment", (0.8, 0.99), "logit", FRACTION),
    beta2=Hyperparameter("weight of the old second moment", (0.9, 0.9999), "logit", FRACTION),
    eps=Hyperparameter("added to the root, in units of the gradient", (1e-8, 1e-3), "log", NON_NEGATIVE),
)
class Adam(Optimizer):
    """Adam: a bias-corrected mean of gradients over the root of a bias-corrected mean of their squares.

        m     = b1 m + (1 - b1) g
        v     = b2 v + (1 - b2) g^2
        theta = theta - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    Paper: Kingma & Ba 2015, Adam: A Method for Stochastic Optimization, Algorithm 1.

    Differs: nothing known. eps is added after the bias correction, as in Algorithm 1 and torch.optim.Adam;
    Keras adds it before (the paper's eps-hat).

    Pitfall: an L2 penalty in the gradient is divided by sqrt(v) too and hardly decays weights with large
    gradients; decoupled weight decay is another technique.

    Helps: a good first choice with little tuning, where gradients differ in size between layers. Not with an L2
    penalty, whose gradient it rescales: take adamw.

    >>> import torch
    >>> from trainsmith.optimizer import Adam
    >>> net = torch.nn.Linear(3, 1)
    >>> optimizer = Adam(net.parameters(), lr=1e-2)
    >>> net(torch.ones(5, 3)).sum().backward()
    >>> optimizer.step()
    """

    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def __init__(
        self, params: Any, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps)

    @staticmethod
    def fused(t: int, theta: list[Tensor], g: list[Tensor], m: list[Tensor], v: list[Tensor], **numbers: float) -> None:
        one_pass(t, theta, g, m, v, [], **numbers)

    @staticmethod
    def coefficients(t: int, *, lr: Any, beta1: Any, beta2: Any, eps: Any) -> dict[str, Any]:
        correction2 = (1 - beta2**t) ** 0.5
        return {
            "new1": 1 - beta1,
            "new2": 1 - beta2,
            "rate": lr * correction2 / (1 - beta1**t),
            "eps": eps * correction2,
        }

    @staticmethod
    def update(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, *, new1: Any, new2: Any, rate: Any, eps: Any) -> None:
        m.lerp_(g, new1)
        v.lerp_(g * g, new2)
        step_along(theta, m / root(v).add_(eps), rate)


def one_pass(
    t: float, theta: list[Tensor], g: list[Tensor], m: list[Tensor], v: list[Tensor], top: list[Tensor],
    *, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float = 0.0,
) -> None:  # fmt: skip
    """torch's fused Adam, AdamW or, with `top`, AMSGrad, on many parameters at step t."""
    torch._fused_adamw_(
        theta, g, m, v, top, [torch.tensor(float(t))] * len(theta), lr=lr, beta1=beta1, beta2=beta2, eps=eps,
        weight_decay=weight_decay, amsgrad=bool(top), maximize=False,
    )  # fmt: skip
