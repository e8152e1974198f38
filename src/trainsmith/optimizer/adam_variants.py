"""Adam with Nesterov momentum, with a rectified start, and with a maximum for its second moment."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import NON_NEGATIVE, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.adam_decayed import BETA1, BETA2, EPS, LR, WEIGHT_DECAY
from trainsmith.optimizer.rule import Optimizer, decay, root, step_along, step_over

RECTIFIED_ABOVE = 5.0
"""RAdam adapts its steps once its approximated simple moving average is longer than this."""
TERMS = 55
"""Of NAdam's series: term k is below 2^-k."""


@technique(
    "optimizer",
    "optimizer",
    aliases=("nesterov-adam", "nadamw"),
    lr=LR,
    beta1=BETA1,
    beta2=BETA2,
    eps=EPS,
    momentum_decay=Hyperparameter("how fast the momentum rises from beta1 / 2", (1e-3, 1e-1), "log", NON_NEGATIVE),
    weight_decay=WEIGHT_DECAY,
)
class NAdam(Optimizer):
    """NAdam: Adam whose first moment looks one step ahead, as Nesterov's momentum does.

        mu_t  = b1 (1 - 0.96^(t * momentum_decay) / 2)
        m, v  = as in Adam
        look  = (1 - mu_t) / (1 - mu_1 ... mu_t) g + mu_(t+1) / (1 - mu_1 ... mu_(t+1)) m
        theta = theta - lr * weight_decay * theta
        theta = theta - lr * look / (sqrt(v / (1 - b2^t)) + eps)

    Paper: Dozat 2016, Incorporating Nesterov momentum into Adam, Algorithm 2, with its schedule of the momentum.

    Differs: 1. m is averaged with the constant b1 and only its use follows mu_t, as in torch. 2. Keras has
    momentum_decay 1, and optax' nadam no schedule at all: with the same gradients their first steps are 1.06 and
    1.47 lr. 3. weight_decay is decoupled and 0 by default; with it the rule is known as NAdamW. 4. The product of the
    mu is evaluated as a power series, not step by step: a scheduler that moves b1 moves that of all steps.

    Pitfall: three algorithms go by this name; a published learning rate belongs to one of them.

    Helps: often a little ahead of Adam at the same cost; NAdamW is a strong classical baseline. Not with a schedule of
    the momentum, of which it has its own.

    >>> import torch
    >>> from trainsmith.optimizer import NAdam
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.tensor([3.0])
    >>> NAdam([theta], lr=0.1).step()
    >>> round((1 - theta.item()) / 0.1, 2)
    1.06
    """

    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        momentum_decay: float = 4e-3,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, lr=lr, beta1=beta1, beta2=beta2, eps=eps, momentum_decay=momentum_decay, weight_decay=weight_decay
        )

    @staticmethod
    def coefficients(
        t: int, *, lr: Any, beta1: Any, beta2: Any, eps: Any, momentum_decay: Any, weight_decay: Any
    ) -> dict[str, Any]:
        mu, ahead = (beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
        product = beta1**t * _halved(t, momentum_decay)
        correction2 = (1 - beta2**t) ** 0.5
        return {
            "new1": 1 - beta1,
            "new2": 1 - beta2,
            "of_gradient": lr * correction2 * (1 - mu) / (1 - product),
            "of_moment": lr * correction2 * ahead / (1 - product * ahead),
            "eps": eps * correction2,
            "left": 1 - lr * weight_decay,
        }

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, m: Tensor, v: Tensor,
        *, new1: Any, new2: Any, of_gradient: Any, of_moment: Any, eps: Any, left: Any,
    ) -> None:  # fmt: skip
        m.lerp_(g, new1)
        v.lerp_(g * g, new2)
        direction = m * of_moment
        step_along(direction, g, -of_gradient)
        decay(theta, left)
        theta.addcdiv_(direction, root(v).add_(eps), value=-1)


def _halved(t: int, decay: Any) -> Any:
    """The product of (1 - 0.96^(i decay) / 2) over i = 1 ... t, for any t at the same cost.

    Its logarithm is minus the sum over k of 1 / (k 2^k) times the geometric series of q^k, q = 0.96^decay.
    """
    k = torch.arange(1, TERMS + 1, dtype=torch.float64)
    rate = math.log(0.96) * k * (torch.as_tensor(decay, dtype=torch.float64)[..., None].cpu() + 1e-300)
    series = torch.exp(rate) * torch.expm1(rate * t) / torch.expm1(rate)
    product = torch.exp(-(series / (k * 2**k)).sum(-1))
    return product.to(decay.device) if isinstance(decay, Tensor) else float(product)


@technique("optimizer", "optimizer", aliases=("rectified-adam",), lr=LR, beta1=BETA1, beta2=BETA2, eps=EPS)
class RAdam(Optimizer):
    """RAdam: Adam that moves by its mean gradient alone until its second moment has seen enough to be trusted.

        rho   = 2 / (1 - b2) - 1,  rho_t = rho - 2 t b2^t / (1 - b2^t)
        r_t^2 = (rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)
        theta = theta - lr * (m / (1 - b1^t)) * r_t / sqrt(v / (1 - b2^t))      where rho_t > 5
        theta = theta - lr * (m / (1 - b1^t))                                   before

    Paper: Liu, Jiang, He, Chen, Liu, Gao & Han 2020, On the variance of the adaptive learning rate and beyond,
    Algorithm 2.

    Differs: 1. It adapts where rho_t > 5, as in the authors' code and torch; the paper has 4. 2. eps is added to
    sqrt(v) before its correction, as in torch; the paper has none.

    Pitfall: the first steps (5 at b2 0.999) are plain momentum at Adam's lr, and nearly stand still.

    Helps: in place of a warm-up of Adam. Not beside a warm-up, whose place it takes.

    >>> import torch
    >>> from trainsmith.optimizer import RAdam
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.tensor([2.0])
    >>> RAdam([theta], lr=0.25).step()
    >>> round(theta.item(), 6)
    0.5
    """

    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def __init__(
        self, params: Any, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps)

    @staticmethod
    def coefficients(t: int, *, lr: Any, beta1: Any, beta2: Any, eps: Any) -> dict[str, Any]:
        rho = 2 / (1 - beta2) - 1
        now = rho - 2 * t * beta2**t / (1 - beta2**t)
        adapts = (now > RECTIFIED_ABOVE) * 1.0
        squared = adapts * (now - 4) * (now - 2) * rho / ((rho - 4) * (rho - 2) * now + 1e-300)
        rate = lr / (1 - beta1**t)
        return {
            "new1": 1 - beta1,
            "new2": 1 - beta2,
            "adapted": rate * abs(squared) ** 0.5 * (1 - beta2**t) ** 0.5,
            "plain": rate * (1 - adapts),
            "eps": eps,
        }

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, m: Tensor, v: Tensor, *, new1: Any, new2: Any, adapted: Any, plain: Any, eps: Any
    ) -> None:
        m.lerp_(g, new1)
        v.lerp_(g * g, new2)
        step_over(theta, m, root(v).add_(eps), adapted)
        if isinstance(plain, Tensor) or plain != 0:
            step_along(theta, m, plain)


@technique(
    "optimizer",
    "optimizer",
    lr=LR,
    beta1=BETA1,
    beta2=BETA2,
    eps=Hyperparameter("added to the gradient's size, in its units", (1e-10, 1e-3), "log", POSITIVE),
)
class Adamax(Optimizer):
    """Adamax: Adam with a decaying maximum of the gradient's size in place of its root mean square.

        m     = b1 m + (1 - b1) g
        u     = max(b2 u, |g| + eps)
        theta = theta - lr / (1 - b1^t) * m / u

    Paper: Kingma & Ba 2015, Adam: A Method for Stochastic Optimization, Algorithm 2.

    Differs: 1. eps stands inside the maximum, as in torch; the paper has none and divides 0 by 0 where a gradient is
    always 0.

    Pitfall: u needs no bias correction; with one, as for Adam's v, the first steps are wrong.

    Helps: gradients with rare large values, such as embeddings'. Not where one huge gradient may come: it shortens
    about 1 / (1 - b2) steps.

    >>> import torch
    >>> from trainsmith.optimizer import Adamax
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.tensor([2.0])
    >>> Adamax([theta], lr=0.25).step()
    >>> round(theta.item(), 6)
    0.75
    """

    moments: ClassVar[tuple[str, ...]] = ("m", "u")

    def __init__(
        self, params: Any, lr: float = 2e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps)

    @staticmethod
    def coefficients(t: int, *, lr: Any, beta1: Any, beta2: Any, eps: Any) -> dict[str, Any]:
        return {"new1": 1 - beta1, "old2": beta2, "rate": lr / (1 - beta1**t), "eps": eps}

    @staticmethod
    def update(theta: Tensor, g: Tensor, m: Tensor, u: Tensor, *, new1: Any, old2: Any, rate: Any, eps: Any) -> None:
        m.lerp_(g, new1)
        torch.maximum(u.mul_(old2), g.abs().add_(eps), out=u)
        step_over(theta, m, u, rate)
