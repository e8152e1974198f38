"""Optimizers whose steps are in proportion to each parameter's own norm: LARS and LAMB."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.adam_decayed import BETA1, BETA2
from trainsmith.optimizer.matrix import norm
from trainsmith.optimizer.rule import Optimizer, blocks, pulled, root, step_along

WEIGHT_DECAY = Hyperparameter("pull towards 0, beside the step before it is scaled", (1e-3, 1.0), "log", NON_NEGATIVE)


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter("step per unit of velocity", (0.1, 30.0), "log", POSITIVE, tuned=True),
    momentum=Hyperparameter("share of the velocity that is kept", (0.7, 0.995), "logit", FRACTION),
    trust=Hyperparameter("step of a parameter over its norm, at lr 1", (1e-4, 1e-2), "log", POSITIVE),
    weight_decay=Hyperparameter(WEIGHT_DECAY.meaning, (1e-6, 1e-2), "log", NON_NEGATIVE),
)
class LARS(Optimizer):
    """LARS: momentum with a learning rate for each parameter, in proportion to its norm over its gradient's.

        local = trust * |theta| / (|g| + weight_decay |theta|)
        v     = momentum * v + lr * local * (g + weight_decay * theta)
        theta = theta - v

    Paper: You, Gitman & Ginsburg 2017, Large batch training of convolutional networks, Algorithm 1.

    Differs: 1. Where |theta| or |g| is 0, local is 1, as in the authors' code. 2. It acts on every parameter that is
    given; the usual large-batch recipes leave biases and gains to plain momentum.

    Pitfall: lr is some hundred times that of momentum, because trust is part of the step; a bias that starts at 0
    takes its first step at that full lr.

    Helps: very large batches, where one learning rate no longer fits all layers. Not for biases that start at 0, whose
    first step has the full lr.

    >>> import torch
    >>> from trainsmith.optimizer import LARS
    >>> theta = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> theta.grad = torch.tensor([0.0, 1e-6])
    >>> LARS([theta], lr=1.0, trust=0.1, weight_decay=0.0).step()
    >>> theta.tolist()
    [3.0, 3.5]
    """

    per_tensor: ClassVar[bool] = True
    moments: ClassVar[tuple[str, ...]] = ("v",)

    def __init__(
        self, params: Any, lr: float = 1.0, momentum: float = 0.9, trust: float = 1e-3, weight_decay: float = 5e-4
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, trust=trust, weight_decay=weight_decay)

    @staticmethod
    def coefficients(t: int, *, lr: Any, momentum: Any, trust: Any, weight_decay: Any) -> dict[str, Any]:
        return {"rate": lr, "momentum": momentum, "trust": trust, "weight_decay": weight_decay}

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, v: Tensor, *, axes: int, rate: Any, momentum: Any, trust: Any, weight_decay: Any
    ) -> None:
        weight, gradient = norm(theta, axes), norm(g, axes)
        local = ratio(weight, gradient, trust * weight / (gradient + weight_decay * weight))
        step_along(v.mul_(momentum), pulled(g, theta, weight_decay), -local * rate)
        theta.sub_(v)


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter("step of a parameter over its norm", (1e-4, 1e-2), "log", POSITIVE, tuned=True),
    beta1=BETA1,
    beta2=BETA2,
    eps=Hyperparameter("added to the root, in units of the gradient", (1e-8, 1e-3), "log", NON_NEGATIVE),
    weight_decay=WEIGHT_DECAY,
)
class LAMB(Optimizer):
    """LAMB: AdamW's step, scaled for each parameter to the length of the parameter itself.

        r     = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) + weight_decay * theta     with Adam's m and v
        theta = theta - lr * |theta| / |r| * r

    Paper: You, Li, Reddi, Hseu, Kumar, Bhojanapalli, Song, Demmel, Keutzer & Hsieh 2020, Large batch optimization for
    deep learning: training BERT in 76 minutes, Algorithm 2, with the identity for phi.

    Differs: 1. Where |theta| or |r| is 0 the factor is 1, as in the authors' code. 2. It acts on every parameter that
    is given; the authors leave biases and gains unscaled and undecayed.

    Pitfall: a parameter that starts near 0 hardly moves, since its steps are in proportion to its norm.

    Helps: very large batches, where AdamW needs long warm-up. Not for weights that start near 0, which hardly move.

    >>> import torch
    >>> from trainsmith.optimizer import LAMB
    >>> theta = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> theta.grad = torch.tensor([0.0, 1.0])
    >>> LAMB([theta], lr=0.1, eps=0.0, weight_decay=0.0).step()
    >>> [round(x, 5) for x in theta.tolist()]
    [3.0, 3.5]
    """

    per_tensor: ClassVar[bool] = True
    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)

    @staticmethod
    def coefficients(t: int, *, lr: Any, beta1: Any, beta2: Any, eps: Any, weight_decay: Any) -> dict[str, Any]:
        correction2 = (1 - beta2**t) ** 0.5
        unbiased = correction2 / (1 - beta1**t)
        return {
            "new1": 1 - beta1,
            "new2": 1 - beta2,
            "unbiased": unbiased,
            "eps": eps * correction2,
            "rate": lr,
            "decay": weight_decay / unbiased,
        }

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, m: Tensor, v: Tensor,
        *, axes: int, new1: Any, new2: Any, unbiased: Any, eps: Any, rate: Any, decay: Any,
    ) -> None:  # fmt: skip
        def direction(theta: Tensor, g: Tensor, m: Tensor, v: Tensor) -> Tensor:
            m.lerp_(g, new1)
            v.lerp_(g * g, new2)
            r = m / root(v).add_(eps)  # the paper's over `unbiased`, which changes no direction
            step_along(r, theta, -decay)
            return r

        r = piecewise(direction, theta, g, m, v) if theta.ndim == axes else direction(theta, g, m, v)
        weight, length = norm(theta, axes), norm(r, axes)
        theta.addcmul_(r, ratio(weight, length, weight / length, unbiased) * rate, value=-1)


def piecewise(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """function(*tensors), which takes each number for itself, by pieces that fit into the caches."""
    parts = [list(part) for part in blocks(tensors)]
    if len(parts) == 1:
        return function(*tensors)
    whole = torch.empty_like(tensors[0])
    for into, part in zip(whole.view(-1).split(parts[0][0].numel()), parts, strict=True):
        into.copy_(function(*part))
    return whole


def ratio(weight: Tensor, length: Tensor, value: Tensor, otherwise: Any = 1.0) -> Tensor:
    """`value`, but `otherwise` for a member of which one of the two norms is 0."""
    return torch.where((weight == 0) | (length == 0), otherwise, value)
