"""Gradient descent, plain and with momentum."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import FRACTION, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.rule import Optimizer, step_along

MOMENTUM_LR = Hyperparameter("step per unit of velocity", (1e-3, 1.0), "log", POSITIVE, tuned=True)
MOMENTUM = Hyperparameter("share of the velocity that is kept", (0.7, 0.995), "logit", FRACTION)


@technique(
    "optimizer",
    "optimizer",
    aliases=("gradient-descent",),
    lr=Hyperparameter("step per unit of gradient", (1e-3, 3.0), "log", POSITIVE, tuned=True),
)
class SGD(Optimizer):
    """SGD: a step against the gradient of a batch.

        theta = theta - lr * g

    Paper: Robbins & Monro 1951, A stochastic approximation method, section 2; Goodfellow, Bengio & Courville 2016,
    Deep Learning, Algorithm 8.1.

    Differs: nothing known.

    Pitfall: its learning rate has the unit theta^2 / loss, and no default fits every problem.

    Helps: as the thing to compare with; well tuned and long enough it generalizes well. Not where gradients differ much
    in size between layers.

    >>> import torch
    >>> from trainsmith.optimizer import SGD
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.tensor([2.0])
    >>> SGD([theta], lr=0.25).step()
    >>> theta.item()
    0.5
    """

    linear: ClassVar[bool] = True

    def __init__(self, params: Any, lr: float = 1e-2) -> None:
        super().__init__(params, lr=lr)

    @staticmethod
    def fused(t: int, theta: list[Tensor], g: list[Tensor], *, lr: float) -> None:
        torch._foreach_add_(theta, g, alpha=-lr)

    @staticmethod
    def coefficients(t: int, *, lr: Any) -> dict[str, Any]:
        return {"rate": lr}

    @staticmethod
    def update(theta: Tensor, g: Tensor, *, rate: Any) -> None:
        step_along(theta, g, rate)


@technique("optimizer", "optimizer", aliases=("heavy-ball",), lr=MOMENTUM_LR, momentum=MOMENTUM)
class Momentum(Optimizer):
    """Momentum: the gradient accelerates a velocity, and the velocity moves the weights.

        v     = momentum * v + g
        theta = theta - lr * v

    Paper: Polyak 1964, Some methods of speeding up the convergence of iteration methods (the heavy ball); in the
    words of Sutskever, Martens, Dahl & Hinton 2013, On the importance of initialization and momentum in deep learning,
    equations 1 and 2.

    Differs: 1. lr stands outside the velocity, as in torch; Polyak, Sutskever and Keras have it inside. The path is the
    same while lr is constant.

    Pitfall: at momentum 0.9 a step is up to ten times as long as SGD's at the same lr.

    Helps: narrow valleys of the loss; with a schedule it is the classic choice for convolutional networks. Not at the
    lr that was found for sgd: its steps are 1 / (1 - momentum) times as long.

    >>> import torch
    >>> from trainsmith.optimizer import Momentum
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = Momentum([theta], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     theta.grad = torch.tensor([1.0])
    ...     optimizer.step()
    >>> theta.item()
    0.375
    """

    linear: ClassVar[bool] = True
    moments: ClassVar[tuple[str, ...]] = ("v",)

    def __init__(self, params: Any, lr: float = 1e-2, momentum: float = 0.9) -> None:
        super().__init__(params, lr=lr, momentum=momentum)

    @staticmethod
    def fused(t: int, theta: list[Tensor], g: list[Tensor], v: list[Tensor], *, lr: float, momentum: float) -> None:
        one_pass(theta, g, v, lr=lr, momentum=momentum, nesterov=False)

    @staticmethod
    def coefficients(t: int, *, lr: Any, momentum: Any) -> dict[str, Any]:
        return {"rate": lr, "momentum": momentum}

    @staticmethod
    def update(theta: Tensor, g: Tensor, v: Tensor, *, rate: Any, momentum: Any) -> None:
        v.mul_(momentum).add_(g)
        step_along(theta, v, rate)


@technique("optimizer", "optimizer", aliases=("nag",), lr=MOMENTUM_LR, momentum=MOMENTUM)
class Nesterov(Optimizer):
    """Nesterov: momentum whose gradient is taken where the velocity is about to lead.

        v     = momentum * v + g
        theta = theta - lr * (g + momentum * v)

    Paper: Nesterov 1983, A method of solving a convex programming problem with convergence rate O(1/k^2); in the form
    of Sutskever, Martens, Dahl & Hinton 2013, On the importance of initialization and momentum in deep learning,
    equations 3 and 4.

    Differs: 1. Our theta is Sutskever's look-ahead point theta + momentum * velocity, as in torch: the same path for
    constant lr and momentum, seen from there.

    Pitfall: the theoretical gain is for smooth convex problems with exact gradients.

    Helps: slightly faster and more stable than momentum at high momentum. Not at low momentum, where it is momentum.

    >>> import torch
    >>> from trainsmith.optimizer import Nesterov
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> theta.grad = torch.tensor([1.0])
    >>> Nesterov([theta], lr=0.25, momentum=0.5).step()
    >>> theta.item()
    0.625
    """

    linear: ClassVar[bool] = True
    moments: ClassVar[tuple[str, ...]] = ("v",)

    def __init__(self, params: Any, lr: float = 1e-2, momentum: float = 0.9) -> None:
        super().__init__(params, lr=lr, momentum=momentum)

    @staticmethod
    def fused(t: int, theta: list[Tensor], g: list[Tensor], v: list[Tensor], *, lr: float, momentum: float) -> None:
        one_pass(theta, g, v, lr=lr, momentum=momentum, nesterov=True)

    @staticmethod
    def coefficients(t: int, *, lr: Any, momentum: Any) -> dict[str, Any]:
        return {"rate": lr, "momentum": momentum}

    @staticmethod
    def update(theta: Tensor, g: Tensor, v: Tensor, *, rate: Any, momentum: Any) -> None:
        v.mul_(momentum).add_(g)
        step_along(theta, v * momentum + g, rate)


def one_pass(
    theta: list[Tensor], g: list[Tensor], v: list[Tensor], *, lr: float, momentum: float, nesterov: bool
) -> None:
    """torch's fused momentum, on many parameters; it takes no velocity where none is kept."""
    if momentum == 0:
        torch._foreach_copy_(v, g)
        torch._foreach_add_(theta, g, alpha=-lr)
        return
    torch._fused_sgd_(
        theta, g, v, weight_decay=0.0, momentum=momentum, lr=lr, dampening=0.0, nesterov=nesterov, maximize=False,
        is_first_step=False,
    )  # fmt: skip
