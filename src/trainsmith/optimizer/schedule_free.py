"""Schedule-Free learning: an average of the iterates in the place of a learning-rate schedule.

Gradients are taken at y, z moves by them, and x averages z. The parameters hold y while training and x for
evaluation. What is kept is d = z - x, 0 at the start, from which z = y + beta d and x = y - (1 - beta) d: nothing
is divided by beta or 1 - beta to find them.
"""

from typing import Any, ClassVar

from torch import Tensor

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, POSITIVE, Hyperparameter, Interval, technique
from trainsmith.optimizer.adam_decayed import BETA2, EPS
from trainsmith.optimizer.rule import Optimizer, pulled, root, step_along

WARMUP = Hyperparameter(
    "steps in which lr rises linearly", (1.0, 1000.0), "log", Interval(1, float("inf"), False, True)
)
WEIGHT_DECAY = Hyperparameter("share of a weight lost per step, in units of lr", (1e-4, 1.0), "log", NON_NEGATIVE)


def averaged(theta: Tensor, d: Tensor, *moments: Tensor, beta: Any, **others: Any) -> Tensor:
    """x = y - (1 - beta) d, what is evaluated."""
    return theta - d * (1 - beta)


def averaging(t: int, lr: Any, warmup: Any, beta: Any, weight_decay: Any) -> dict[str, Any]:
    """The numbers of step t: what its lr and the weight c_t of z_t+1 in the average come to for y and d.

    c_t = gamma_t^2 / (gamma_1^2 + ... + gamma_t^2), with gamma_i = lr * min(1, i / warmup), the sum in closed form.
    """
    rising = warmup // 1
    rising = (rising + t - abs(rising - t)) / 2  # the smaller of the two, for floats and for columns
    total = rising * (rising + 1) * (2 * rising + 1) / (6 * warmup**2) + (t - rising)
    share = (t + warmup - abs(t - warmup)) / 2 / warmup
    c, rate = share**2 / total, lr * share
    return {
        "beta": beta,
        "weight_decay": weight_decay,
        "left": 1 - c,
        "of_d": beta * c,
        "of_y": rate * (1 - beta * (1 - c)),
        "of_z": rate * (1 - c),
    }


def move(theta: Tensor, d: Tensor, step: Tensor, left: Any, of_d: Any, of_y: Any, of_z: Any) -> None:
    """Move y and d, z by -gamma step: z = z - gamma step, x = (1 - c) x + c z, y = (1 - beta) z + beta x."""
    step_along(theta, d, -of_d)
    step_along(theta, step, of_y)
    step_along(d.mul_(left), step, of_z)


@technique(
    "optimizer",
    "optimizer",
    name="schedule-free-sgd",
    aliases=("schedulefreesgd", "sgd-schedule-free"),
    lr=Hyperparameter("step of z per unit of gradient", (1e-2, 10.0), "log", POSITIVE, tuned=True),
    momentum=Hyperparameter("share of x in the point of the gradient", (0.8, 0.98), "logit", FRACTION),
    warmup=WARMUP,
    weight_decay=WEIGHT_DECAY,
)
class ScheduleFreeSGD(Optimizer):
    """Schedule-Free SGD: gradient descent at a constant rate whose running average is what is evaluated.

        y       = (1 - momentum) z + momentum x                       g is the gradient at y
        gamma_t = lr min(1, t / warmup)
        z       = z - gamma_t (g + weight_decay y)
        x       = (1 - c_t) x + c_t z,   c_t = gamma_t^2 / (gamma_1^2 + ... + gamma_t^2)

    Paper: Defazio, Yang, Mehta, Mishchenko, Khaled & Cutkosky 2024, The road less scheduled, section 2, with the
    warm-up of its Algorithm 1.

    Differs: 1. What is kept is z - x, not z. 2. The weights c_t follow the rule's own warm-up, in closed form; a
    learning rate that is changed from outside moves z but not c_t.

    Pitfall: evaluate and export after `optimizer.eval()`, which puts x into the parameters, and go on training after
    `optimizer.train()`. Running statistics of batch normalization were taken at y: recompute them at x.

    Helps: where the length of the training is not known beforehand; there is no schedule to choose. Not beside a
    falling rate, nor where weights are evaluated without a call of `eval`.

    >>> import torch
    >>> from trainsmith.optimizer import ScheduleFreeSGD
    >>> theta = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = ScheduleFreeSGD([theta], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     theta.grad = torch.tensor([1.0])
    ...     optimizer.step()
    >>> optimizer.eval()
    >>> theta.item()
    0.625
    """

    linear: ClassVar[bool] = True
    moments: ClassVar[tuple[str, ...]] = ("d",)
    evaluated = staticmethod(averaged)
    scheduled = False

    def __init__(
        self, params: Any, lr: float = 1.0, momentum: float = 0.9, warmup: float = 1.0, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, warmup=warmup, weight_decay=weight_decay)

    @staticmethod
    def coefficients(t: int, *, lr: Any, momentum: Any, warmup: Any, weight_decay: Any) -> dict[str, Any]:
        return averaging(t, lr, warmup, momentum, weight_decay)

    @staticmethod
    def update(theta: Tensor, g: Tensor, d: Tensor, *, weight_decay: Any, beta: Any, **averages: Any) -> None:
        move(theta, d, pulled(g, theta, weight_decay), **averages)


@technique(
    "optimizer",
    "optimizer",
    name="schedule-free-adamw",
    aliases=("schedulefreeadamw", "schedule-free", "adamw-schedule-free"),
    lr=Hyperparameter("step of a coordinate of z, in units of theta", (3e-4, 5e-2), "log", POSITIVE, tuned=True),
    beta1=Hyperparameter("share of x in the point of the gradient", (0.8, 0.98), "logit", FRACTION),
    beta2=BETA2,
    eps=EPS,
    warmup=WARMUP,
    weight_decay=WEIGHT_DECAY,
)
class ScheduleFreeAdamW(Optimizer):
    """Schedule-Free AdamW: AdamW at a constant rate, its first moment replaced by an average that is evaluated.

        y       = (1 - b1) z + b1 x                                   g is the gradient at y
        v       = b2 v + (1 - b2) g^2
        gamma_t = lr min(1, t / warmup)
        z       = z - gamma_t (g / (sqrt(v / (1 - b2^t)) + eps) + weight_decay y)
        x       = (1 - c_t) x + c_t z,   c_t = gamma_t^2 / (gamma_1^2 + ... + gamma_t^2)

    Paper: Defazio, Yang, Mehta, Mishchenko, Khaled & Cutkosky 2024, The road less scheduled, Algorithm 1.

    Differs: 1. v is bias-corrected where it is used, as in the authors' current code; the paper puts the factor
    sqrt(1 - b2^t) into gamma_t and so into c_t. 2. What is kept is z - x, not z. 3. The weights c_t follow the rule's
    own warm-up, in closed form; a learning rate that is changed from outside moves z but not c_t.

    Pitfall: evaluate and export after `optimizer.eval()`, which puts x into the parameters, and go on training after
    `optimizer.train()`. Running statistics of batch normalization were taken at y: recompute them at x.

    Helps: AdamW's place where no schedule is wanted; it won AlgoPerf's self-tuning track in 2024. Not beside a falling
    rate, nor where weights are evaluated without a call of `eval`.

    >>> import torch
    >>> from trainsmith.optimizer import ScheduleFreeAdamW
    >>> net = torch.nn.Linear(3, 1)
    >>> optimizer = ScheduleFreeAdamW(net.parameters(), lr=1e-2)
    >>> net(torch.ones(5, 3)).sum().backward()
    >>> optimizer.step()
    >>> with optimizer.evaluating():
    ...     answer = net(torch.ones(1, 3))
    """

    moments: ClassVar[tuple[str, ...]] = ("d", "v")
    evaluated = staticmethod(averaged)
    scheduled = False

    def __init__(
        self,
        params: Any,
        lr: float = 2.5e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        warmup: float = 1.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps, warmup=warmup, weight_decay=weight_decay)

    @staticmethod
    def coefficients(
        t: int, *, lr: Any, beta1: Any, beta2: Any, eps: Any, warmup: Any, weight_decay: Any
    ) -> dict[str, Any]:
        correction = (1 - beta2**t) ** 0.5
        averages = averaging(t, lr, warmup, beta1, weight_decay)
        return {**averages, "new": 1 - beta2, "unbiased": correction, "eps": eps * correction}

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, d: Tensor, v: Tensor,
        *, new: Any, unbiased: Any, eps: Any, weight_decay: Any, beta: Any, **averages: Any,
    ) -> None:  # fmt: skip
        v.lerp_(g * g, new)
        step = (g * unbiased).div_(root(v).add_(eps))
        move(theta, d, pulled(step, theta, weight_decay), **averages)
