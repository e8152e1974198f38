"""An optimizer's rule with constraints on the weights around its step, so that members have their own."""

import functools
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from trainsmith.catalogue import Technique
from trainsmith.optimizer import Optimizer


@functools.cache
def constrained(rule: type[Optimizer], constraints: tuple[Technique, ...]) -> type[Optimizer]:
    """`rule` with every weight (two axes or more) constrained before and after each update.

    Its numbers are the rule's own, and each constraint's under their full names, such as "max-norm.limit". Equal
    choices give the same class.
    """
    added = tuple(f"{c.name}.{h.name}" for c in constraints for h in c.hyperparameters)

    class Constrained(rule):  # type: ignore[misc, valid-type]
        per_tensor = True
        fused = None

        def __init__(self, params: Any, **numbers: float) -> None:
            Optimizer.__init__(self, params, **numbers)

        @staticmethod
        def coefficients(t: int, **numbers: Any) -> dict[str, Any]:
            own = {name: numbers[name] for name in rule._numbers}
            return {**rule.coefficients(t, **own), **{name: numbers[name] for name in added}, ".lr": numbers["lr"]}

        @staticmethod
        def update(theta: Tensor, g: Tensor, *kept: Tensor, axes: int, **coefficients: Any) -> None:
            lr = coefficients.pop(".lr")
            own = [_own(c, coefficients) for c in constraints]
            own_axes = {"axes": axes} if rule.per_tensor else {}
            if axes < 2:
                rule.update(theta, g, *kept, **own_axes, **coefficients)
                return
            for c, numbers in zip(constraints, own, strict=True):
                c.make.before_step(theta, axes=axes, lr=lr, **numbers)  # type: ignore[attr-defined]
            rule.update(theta, g, *kept, **own_axes, **coefficients)
            for c, numbers in zip(constraints, own, strict=True):
                c.make.after_step(theta, axes=axes, lr=lr, **numbers)  # type: ignore[attr-defined]

    Constrained._numbers = (*rule._numbers, *added)  # what the base class reads off the signature does not have them
    Constrained.__name__ = Constrained.__qualname__ = f"{rule.__name__}With{len(constraints)}Constraints"
    return Constrained


def _own(constraint: Technique, coefficients: dict[str, Any]) -> dict[str, Any]:
    """The constraint's numbers by their own names, taken out of the coefficients."""
    return {h.name: coefficients.pop(f"{constraint.name}.{h.name}") for h in constraint.hyperparameters}


def clashing(rule: type[Optimizer], around: Sequence[Technique]) -> dict[str, str]:
    """The constraints, averages and schedules that cannot be put around this rule, with the reason."""
    reasons = {} if rule.scheduled else {"schedule": f"{rule.__name__} wants a constant learning rate"}
    if rule.evaluated is not None:
        reasons["constraint"] = f"{rule.__name__} evaluates other weights than it trains, which it would not reach"
        reasons["average"] = f"{rule.__name__} averages the weights itself"
    return {t.name: reasons[t.role] for t in around if t.role in reasons}
