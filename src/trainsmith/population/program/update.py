"""One optimizer step of a whole population, with every hyper-parameter one value a member."""

import functools
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from trainsmith.optimizer import Optimizer
from trainsmith.population.program.kernels import Kernel, Rate, kernel_of
from trainsmith.population.program.layout import axes_in_memory

Numbers = dict[str, list[float]]
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
        self._kernel = kernel_of(self.rule, numbers, self.parameters, self.gradients, self.kept)

    def __call__(self, t: int, rate: Rate, steps: int | None = None) -> None:
        """Step t (from 1), with the learning rate multiplied by `rate`; parameters and what is kept move in place.

        steps: the length of the training, where it is known.
        """
        self._move(t, rate)
        if self._share is not None:
            share = {"share": self._share(t, steps)}
            for average, theta in zip(self.averages, self.parameters, strict=True):
                average.lerp_(theta, _columns(share, theta)["share"])

    @property
    def alone(self) -> Kernel | None:
        """The kernel, where it is all that happens in a step, and TorchScript has it."""
        beside = self._clip is not None or self._share is not None
        return self._kernel if self._kernel is not None and self._kernel.moves is not None and not beside else None

    def took(self, t: int, rate: Rate) -> Rate:
        """Note that step t is taken at such rates; the factor that the rule goes by."""
        self.done = (t, rate if self.rule.scheduled else 1.0)
        return self.done[1]

    def _move(self, t: int, rate: Rate) -> None:
        rate = self.took(t, rate)
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
