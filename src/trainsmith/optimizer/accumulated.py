"""Optimizers whose step sizes need no schedule: AdaGrad divides by all it has seen, AdaDelta has units that match."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.rule import Optimizer, root, step_along


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter(
        "length of the first step of a coordinate, in units of theta", (1e-3, 1.0), "log", POSITIVE, True
    ),
    eps=Hyperparameter("added to the root, in units of the gradient", (1e-12, 1e-6), "log", NON_NEGATIVE),
)
class AdaGrad(Optimizer):
    """AdaGrad: each coordinate's gradient divided by the root of the sum of all its squares so far.

        s     = s + g^2
        theta = theta - lr * g / (sqrt(s) + eps)

    Paper: Duchi, Hazan & Singer 2011, Adaptive subgradient methods for online learning and stochastic optimization,
    section 1.1, with the diagonal of G; Goodfellow, Bengio & Courville 2016, Deep Learning, Algorithm 8.4.

    Differs: 1. s starts at 0, as in torch; Keras and optax start it at 0.1, which makes the first step of a gradient
    of 0.01 thirty times shorter. 2. eps stands outside the root and is 1e-10, as in torch.

    Pitfall: s only grows, so that the steps shrink as 1 / sqrt(t) and a long training comes to rest early.

    Helps: sparse features, whose rare gradients get long steps. Not in long trainings: its steps only shrink.

    >>> import torch
    >>> from trainsmith.optimizer import AdaGrad
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.tensor([7.0])
    >>> AdaGrad([theta], lr=0.25).step()
    >>> theta.item()
    0.75
    """

    moments: ClassVar[tuple[str, ...]] = ("s",)

    def __init__(self, params: Any, lr: float = 1e-2, eps: float = 1e-10) -> None:
        super().__init__(params, lr=lr, eps=eps)

    @staticmethod
    def fused(t: int, theta: list[Tensor], g: list[Tensor], s: list[Tensor], *, lr: float, eps: float) -> None:
        torch._fused_adagrad_(
            theta, g, s, [torch.tensor(float(t))] * len(theta), lr=lr, lr_decay=0.0, weight_decay=0.0, eps=eps,
            maximize=False,
        )  # fmt: skip

    @staticmethod
    def coefficients(t: int, *, lr: Any, eps: Any) -> dict[str, Any]:
        return {"rate": lr, "eps": eps}

    @staticmethod
    def update(theta: Tensor, g: Tensor, s: Tensor, *, rate: Any, eps: Any) -> None:
        s.add_(g * g)
        step_along(theta, g / root(s).add_(eps), rate)


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter("factor on AdaDelta's own step", (0.1, 10.0), "log", POSITIVE, tuned=True),
    rho=Hyperparameter("weight of the old means of squares", (0.9, 0.99), "logit", FRACTION),
    eps=Hyperparameter("added inside both roots: it sets the first steps", (1e-8, 1e-3), "log", POSITIVE),
)
class AdaDelta(Optimizer):
    """AdaDelta: a step as long as recent steps were, in proportion to the gradient against recent gradients.

        s     = rho s + (1 - rho) g^2
        d     = sqrt(u + eps) / sqrt(s + eps) * g
        u     = rho u + (1 - rho) d^2
        theta = theta - lr * d

    Paper: Zeiler 2012, ADADELTA: an adaptive learning rate method, Algorithm 1.

    Differs: 1. lr is a factor that the paper does not have; 1 is the paper's method, as in torch. Keras' default of
    0.001 is a thousand times too short. 2. rho is 0.9 by default, as in torch; the paper uses 0.95.

    Pitfall: eps is the real step size: the first step is sqrt(eps / (1 - rho)) = 0.003, and it takes hundreds of
    steps until u has grown. u is updated after d, and by the d that lr has not touched.

    Helps: where no learning rate is known; a step has the unit of theta whatever the unit of the loss. Not without a
    look at eps, which decides its first steps.

    >>> import torch
    >>> from trainsmith.optimizer import AdaDelta
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.tensor([5.0])
    >>> AdaDelta([theta]).step()
    >>> round(theta.item(), 5)
    0.99684
    """

    moments: ClassVar[tuple[str, ...]] = ("s", "u")

    def __init__(self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps)

    @staticmethod
    def coefficients(t: int, *, lr: Any, rho: Any, eps: Any) -> dict[str, Any]:
        return {"new": 1 - rho, "rate": lr, "eps": eps}

    @staticmethod
    def update(theta: Tensor, g: Tensor, s: Tensor, u: Tensor, *, new: Any, rate: Any, eps: Any) -> None:
        s.lerp_(g * g, new)
        d = (u + eps).div_(s + eps).sqrt_().mul_(g)
        u.lerp_(d * d, new)
        step_along(theta, d, rate)
