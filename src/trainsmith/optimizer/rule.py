"""An update rule, written once for one tensor, as an ordinary PyTorch optimizer.

A rule is two functions of values. `coefficients` turns the hyper-parameters and the step number into the
numbers of this step, in double precision; `update` moves a tensor and its moments in place. Both are
written for one network and work unchanged on a population, where each coefficient is a column with one
value a member.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, overload

import torch
from torch import Tensor


class Optimizer(torch.optim.Optimizer):
    """The ordinary PyTorch optimizer around a rule: param groups, state_dict and schedulers as usual.

    moments: the names of the tensors the rule keeps for each parameter, zero at the start.
    coefficients: coefficients(t, **hyperparameters) gives the numbers of step t (from 1) as a dict: floats,
    or float64 tensors with one value a member. update: update(theta, g, *moments, **coefficients) moves theta
    and the moments in place, given the gradient g, which it leaves as it is.
    """

    moments: ClassVar[tuple[str, ...]] = ()
    coefficients: ClassVar[Callable[..., dict[str, Any]]]
    update: ClassVar[Callable[..., None]]

    _numbers: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        # not self.defaults: torch adds entries of its own to it when an optimizer is loaded
        cls._numbers = tuple(inspect.signature(cls.coefficients).parameters)[1:]

    def __init__(self, params: Iterable[Any], **hyperparameters: float) -> None:
        super().__init__(params, hyperparameters)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step on every parameter that has a gradient; `closure`, if given, recomputes the loss first, which is
        returned. (torch calls that loss a float; it is a scalar tensor in every training loop.)
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            numbers = {key: group[key] for key in self._numbers}
            for theta in group["params"]:
                if theta.grad is None:
                    continue
                state = self.state[theta]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.float32)
                    state.update((name, torch.zeros_like(theta)) for name in self.moments)
                state["step"] += 1
                coefficients = self.coefficients(int(state["step"]), **numbers)
                self.update(theta, theta.grad, *(state[name] for name in self.moments), **coefficients)
        return loss


def root(v: Tensor) -> Tensor:
    """sqrt(v) for v >= 0, at full speed also where v is zero or subnormal.

    Below the smallest normal number the root is that number's (1.1e-19 in float32), which any epsilon in
    use outweighs; on CPUs the plain square root of zeros is some ten times slower than that of other numbers.
    """
    return v.clamp_min(torch.finfo(v.dtype).tiny).sqrt_()
