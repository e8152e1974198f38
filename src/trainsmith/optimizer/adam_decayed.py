"""Adam with decoupled weight decay, and Adam whose second moment never forgets a large gradient."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.adaptive import Adam, one_pass
from trainsmith.optimizer.rule import Optimizer, root, step_along

LR = Hyperparameter("step of a coordinate, in units of theta", (1e-5, 1e-2), "log", POSITIVE, tuned=True)
BETA1 = Hyperparameter("weight of the old first moment", (0.8, 0.99), "logit", FRACTION)
BETA2 = Hyperparameter("weight of the old second moment", (0.9, 0.9999), "logit", FRACTION)
EPS = Hyperparameter("added to the root, in units of the gradient", (1e-8, 1e-3), "log", NON_NEGATIVE)
WEIGHT_DECAY = Hyperparameter("share of a weight lost per step, in units of lr", (5e-3, 1.0), "log", NON_NEGATIVE)


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter(LR.meaning, (1e-4, 1e-2), "log", POSITIVE, tuned=True),
    beta1=BETA1,
    beta2=BETA2,
    eps=EPS,
    weight_decay=Hyperparameter(WEIGHT_DECAY.meaning, (5e-3, 1.0), "log", NON_NEGATIVE, tuned=True),
)
class AdamW(Optimizer):
    """AdamW: Adam with weights that also shrink, by a share that the gradients have no part in.

        theta = theta - lr * weight_decay * theta
        theta = theta - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)      with Adam's m and v

    Paper: Loshchilov & Hutter 2019, Decoupled weight decay regularization, Algorithm 2.

    Differs: 1. The decay is multiplied by lr, as in torch, Keras and optax; the paper multiplies it by the schedule's
    factor alone, so that lr and weight_decay can be tuned apart. 2. Every parameter decays that is given; biases and
    gains that should not go into a group of their own with weight_decay 0.

    Pitfall: since the decay is lr * weight_decay, a weight_decay found at one lr is another decay at another lr.

    Helps: Adam's place wherever weights should decay; the baseline of most networks today. Not with an L2 penalty
    beside it: weights then decay twice.

    >>> import torch
    >>> from trainsmith.optimizer import AdamW
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.zeros(1)
    >>> AdamW([theta], lr=0.5, weight_decay=0.5).step()
    >>> theta.item()
    0.75
    """

    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)

    @staticmethod
    def fused(t: int, theta: list[Tensor], g: list[Tensor], m: list[Tensor], v: list[Tensor], **numbers: float) -> None:
        one_pass(t, theta, g, m, v, [], **numbers)

    @staticmethod
    def coefficients(t: int, *, lr: Any, beta1: Any, beta2: Any, eps: Any, weight_decay: Any) -> dict[str, Any]:
        adams = Adam.coefficients(t, lr=lr, beta1=beta1, beta2=beta2, eps=eps)
        return {**adams, "left": 1 - lr * weight_decay}

    @staticmethod
    def update(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, *, left: Any, **adams: Any) -> None:
        theta.mul_(left)
        Adam.update(theta, g, m, v, **adams)


@technique("optimizer", "optimizer", aliases=("adam-amsgrad",), lr=LR, beta1=BETA1, beta2=BETA2, eps=EPS)
class AMSGrad(Optimizer):
    """AMSGrad: Adam that divides by the largest second moment so far, so that its step sizes never grow.

        m, v  = as in Adam
        top   = max(top, v)
        theta = theta - lr * (m / (1 - b1^t)) / (sqrt(top / (1 - b2^t)) + eps)

    Paper: Reddi, Kale & Kumar 2018, On the convergence of Adam and beyond, Algorithm 2.

    Differs: 1. Both moments are bias-corrected, the second after the maximum, and eps is added, as in torch; the
    paper has neither.

    Pitfall: one huge gradient shortens a coordinate's steps for good.

    Helps: where rare informative gradients are forgotten by Adam; in practice seldom different from it. Not where one
    huge gradient may come: its maximum is never forgotten.

    >>> import torch
    >>> from trainsmith.optimizer import AMSGrad
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = AMSGrad([theta], lr=0.5)
    >>> theta.grad = torch.tensor([3.0])
    >>> optimizer.step()
    >>> round(theta.item(), 6)
    0.5
    """

    moments: ClassVar[tuple[str, ...]] = ("m", "v", "top")

    def __init__(
        self, params: Any, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps)

    @staticmethod
    def fused(
        t: int, theta: list[Tensor], g: list[Tensor], m: list[Tensor], v: list[Tensor], top: list[Tensor],
        **numbers: float,
    ) -> None:  # fmt: skip
        one_pass(t, theta, g, m, v, top, **numbers)

    @staticmethod
    def coefficients(t: int, *, lr: Any, beta1: Any, beta2: Any, eps: Any) -> dict[str, Any]:
        return Adam.coefficients(t, lr=lr, beta1=beta1, beta2=beta2, eps=eps)

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, m: Tensor, v: Tensor, top: Tensor, *, new1: Any, new2: Any, rate: Any, eps: Any
    ) -> None:
        m.lerp_(g, new1)
        v.lerp_(g * g, new2)
        torch.maximum(top, v, out=top)
        step_along(theta, m / root(top).add_(eps), rate)
