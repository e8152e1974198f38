"""One optimizer step of a whole population, with every hyper-parameter one value a member."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainsmith.optimizer import Adam, Optimizer

Numbers = dict[str, list[float]]


class Update:
    """The rule of a population's members, applied to flat buffers (members, parameters).

    numbers: each hyper-parameter's values, one a member. A rule for which PyTorch has a single-pass CPU
    kernel runs it row by row: the same formula, rounded in another order, at a third of the memory traffic.
    """

    def __init__(self, rule: type[Optimizer], numbers: Numbers) -> None:
        self.rule = rule
        self.numbers = numbers
        self._columns = {n: torch.tensor(v, dtype=torch.float64)[:, None] for n, v in numbers.items()}

    def __call__(self, t: int, rate: float, theta: Tensor, g: Tensor, moments: Sequence[Tensor]) -> None:
        """Step t (from 1), with the learning rate multiplied by `rate`; theta and moments move in place."""
        kernel = KERNELS.get(self.rule) if theta.device.type == "cpu" else None
        if kernel is not None:
            kernel(t, rate, self.numbers, theta, g, *moments)
            return
        columns = {**self._columns, "lr": self._columns["lr"] * rate}
        coefficients = self.rule.coefficients(t, **columns)
        cast = {k: c.to(theta) if isinstance(c, Tensor) else c for k, c in coefficients.items()}
        self.rule.update(theta, g, *moments, **cast)


def _adam(t: int, rate: float, numbers: Numbers, theta: Tensor, g: Tensor, m: Tensor, v: Tensor) -> None:
    step = torch.tensor(float(t))
    rows = zip(theta.unbind(), g.unbind(), m.unbind(), v.unbind(), strict=True)
    for k, (w, dw, m_k, v_k) in enumerate(rows):
        torch._fused_adam_(
            [w], [dw], [m_k], [v_k], [], [step],
            lr=numbers["lr"][k] * rate, beta1=numbers["beta1"][k], beta2=numbers["beta2"][k],
            eps=numbers["eps"][k], weight_decay=0.0, amsgrad=False, maximize=False,
        )  # fmt: skip


KERNELS: dict[type[Optimizer], Callable[..., None]] = {Adam: _adam} if hasattr(torch, "_fused_adam_") else {}
