"""One optimizer step of a whole population, with every hyper-parameter one value a member."""

import contextlib
import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from trainsmith.optimizer import AdaGrad, Adam, AdamW, AMSGrad, Momentum, Nesterov, Optimizer, RMSprop
from trainsmith.population.layout import axes_in_memory, in_order
from trainsmith.population.unlocked import Inexpressible, script

Numbers = dict[str, list[float]]
Rate = float | list[float]
"""The factor on the learning rate in a step, of all members or of each."""
Beside = tuple[type[Any], Numbers] | None
"""What acts beside the rule, if anything, and its numbers."""
Tensors = list[Tensor]


class Update:
    """The rule of K members, applied to their stacked parameters (K, ...), one parameter after another.

    numbers: each hyper-parameter's values, one a member. kept: for each parameter, what the rule keeps of
    it from step to step, stacked likewise. clipping: what clips the gradients before, but for those at the places
    `spared`. averaging: what averages the weights after. outside: the places that are no hidden layers'. A rule for
    which PyTorch has a single-pass CPU kernel runs it member by member, as it does alone: the same formula, rounded in
    another order, at a third of the memory traffic.
    """

    def __init__(
        self,
        rule: type[Optimizer],
        numbers: Numbers,
        parameters: Tensors,
        gradients: Tensors,
        clipping: Beside = None,
        averaging: Beside = None,
        spared: Collection[int] = (),
        outside: Collection[int] = (),
    ) -> None:
        self.rule = rule
        self._clipped = [i for i in range(len(parameters)) if i not in spared]
        self.parameters, self.gradients = parameters, gradients
        kept = [(rule.kept_outside if i in outside else rule.kept)(p.shape[1:]) for i, p in enumerate(parameters)]
        self.kept = [
            [torch.zeros_like(p) if s == p.shape[1:] else p.new_zeros(len(p), *s) for s in shapes.values()]
            for p, shapes in zip(parameters, kept, strict=True)
        ]
        self.averages = [p.clone() for p in parameters] if averaging is not None else []
        self.done: tuple[int, Rate] = (0, 1.0)
        self._take(numbers, clipping, averaging)

    def _take(self, numbers: Numbers, clipping: Beside, averaging: Beside) -> None:
        self.numbers = numbers
        self._columns = _tensors(numbers)
        self._clip = functools.partial(clipping[0].clip, **_tensors(clipping[1])) if clipping is not None else None
        self._share = functools.partial(averaging[0].share, **_tensors(averaging[1])) if averaging is not None else None
        kernel = _kernel_of(self.rule, numbers, self.parameters, self.gradients)
        self._kernel = kernel(numbers, self.parameters, self.gradients, self.kept) if kernel is not None else None

    def __call__(self, t: int, rate: Rate, steps: int | None = None) -> None:
        """Step t (from 1), with the learning rate multiplied by `rate`; parameters and what is kept move in place.

        steps: the length of the training, where it is known.
        """
        self._move(t, rate)
        if self._share is not None:
            share = {"share": self._share(t, steps)}
            for average, theta in zip(self.averages, self.parameters, strict=True):
                average.lerp_(theta, _columns(share, theta)["share"])

    def _move(self, t: int, rate: Rate) -> None:
        rate = rate if self.rule.scheduled else 1.0
        self.done = (t, rate)
        if self._clip is not None:
            gradients, parameters = ([t[i] for i in self._clipped] for t in (self.gradients, self.parameters))
            self._clip(gradients, parameters, [p.ndim - 1 for p in parameters])
        if self._kernel is not None:
            self._kernel(t, rate)
            return
        coefficients = self._coefficients(t)
        for theta, g, kept in zip(self.parameters, self.gradients, self.kept, strict=True):
            axes = {"axes": theta.ndim - 1} if self.rule.per_tensor else {}
            self.rule.update(theta, g, *kept, **axes, **_columns(coefficients, theta))

    def _coefficients(self, t: int) -> dict[str, Any]:
        """The rule's coefficients of step t at the rates of the last step."""
        rate = self.done[1]
        factor = torch.tensor(rate, dtype=torch.float64) if isinstance(rate, list) else rate
        return self.rule.coefficients(t, **{**self._columns, "lr": self._columns["lr"] * factor})

    def evaluated(self) -> Tensors:
        """The weights to evaluate and export: the averages if they are averaged, else what the rule says."""
        if self.averages:
            return self.averages
        if self.rule.evaluated is None or self.done[0] == 0:
            return self.parameters
        coefficients = self._coefficients(self.done[0])
        pairs = zip(self.parameters, self.kept, strict=True)
        return [self.rule.evaluated(theta, *kept, **_columns(coefficients, theta)) for theta, kept in pairs]

    def keep(
        self,
        rows: Tensor,
        numbers: Numbers,
        parameters: Tensors,
        gradients: Tensors,
        clipping: Beside = None,
        averaging: Beside = None,
    ) -> None:
        """Go on with the members `rows` only."""
        self.parameters, self.gradients = parameters, gradients
        self.kept = [[select(m, rows) for m in kept] for kept in self.kept]
        self.averages = [select(a, rows) for a in self.averages]
        t, rate = self.done
        self.done = (t, [rate[k] for k in rows.tolist()] if isinstance(rate, list) else rate)
        self._take(numbers, clipping, averaging)


def _tensors(numbers: Numbers) -> dict[str, Tensor]:
    """Each number's values as a tensor (K,) in double precision."""
    return {n: torch.tensor(v, dtype=torch.float64) for n, v in numbers.items()}


def select(t: Tensor, rows: Tensor) -> Tensor:
    """The rows of a stacked tensor, copied, with their axes in memory as they were."""
    order = axes_in_memory(t)
    back = [order.index(axis) for axis in range(t.ndim)]
    return t.permute(order)[rows].permute(back)


def _columns(coefficients: dict[str, Any], theta: Tensor) -> dict[str, Any]:
    """Coefficients (K,) so that each multiplies every member of theta (K, ...) with the member's own value."""
    ones = (1,) * (theta.ndim - 1)
    return {k: c.to(theta).view(-1, *ones) if isinstance(c, Tensor) else c for k, c in coefficients.items()}


ADAM = """
def step(
    w: List[List[Tensor]], dw: List[List[Tensor]], m: List[List[Tensor]], v: List[List[Tensor]], steps: List[Tensor],
    lr: List[float], beta1: List[float], beta2: List[float], eps: List[float]
):
    none: List[Tensor] = []
    for k in range(len(lr)):
        torch._fused_adam_(
            w[k], dw[k], m[k], v[k], none, steps, lr=lr[k], beta1=beta1[k], beta2=beta2[k],
            weight_decay=0.0, eps=eps[k], amsgrad=False, maximize=False
        )
"""
"""One step of each member k, in TorchScript: stacks [tensors of member k] of weights, gradients and moments."""


class _Members:
    """A rule's own single-pass kernel, called for one member after another with its own numbers."""

    def __init__(
        self,
        numbers: Numbers,
        parameters: Tensors,
        gradients: Tensors,
        kept: Sequence[Tensors],
        run: Callable[..., None],
    ) -> None:
        stacks = (parameters, gradients, *([k[i] for k in kept] for i in range(len(kept[0]))))
        self.members = [[[in_order(t[k]).view(-1) for t in stack] for k in range(len(stack[0]))] for stack in stacks]
        self.numbers, self.run = numbers, run

    def _rates(self, rate: Rate) -> list[float]:
        lr = self.numbers["lr"]
        return [own * r for own, r in zip(lr, rate if isinstance(rate, list) else [rate] * len(lr), strict=True)]

    def __call__(self, t: int, rate: Rate) -> None:
        numbers = {**self.numbers, "lr": self._rates(rate)}
        for k, tensors in enumerate(zip(*self.members, strict=True)):
            self.run(t, *tensors, **{name: values[k] for name, values in numbers.items()})


class _Adam(_Members):
    """torch's fused Adam for all members in one call of TorchScript, where there is one."""

    def __init__(self, numbers: Numbers, parameters: Tensors, gradients: Tensors, kept: Sequence[Tensors]) -> None:
        super().__init__(numbers, parameters, gradients, kept, Adam.fused)
        self.script: Callable[..., None] | None = None
        with contextlib.suppress(Inexpressible):
            self.script = script(ADAM)

    def __call__(self, t: int, rate: Rate) -> None:
        if self.script is None:
            super().__call__(t, rate)
            return
        steps = [torch.tensor(float(t))] * len(self.members[0][0])
        self.script(*self.members, steps, self._rates(rate), *(self.numbers[n] for n in ("beta1", "beta2", "eps")))


def _kernel_of(
    rule: type[Optimizer], numbers: Numbers, parameters: Tensors, gradients: Tensors
) -> Callable[..., Any] | None:
    """What moves these members by a single-pass kernel.

    None where there is none, where it divides 0 by 0, or where a member's numbers lie with gaps between them.
    """
    kinds = {(p.device.type, p.dtype) for p in parameters}
    here = kinds in ({("cpu", torch.float32)}, {("cpu", torch.float64)}) and min(numbers.get("eps", [1.0])) > 0
    dense = all(in_order(t[0]).is_contiguous() for t in (*parameters, *gradients))
    return KERNELS.get(rule) if here and dense else None


KERNELS: dict[type[Optimizer], Callable[..., Callable[[int, Rate], None]]] = {
    Adam: _Adam,
    **{r: functools.partial(_Members, run=r.fused) for r in (Momentum, Nesterov, AdamW, AMSGrad, AdaGrad, RMSprop)},
}
"""By rule; plain gradient descent has the same bits, at the same speed, in one operation for all members."""
