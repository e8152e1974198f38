"""What param groups and the state of an optimizer hold, as torch stores them."""

from collections.abc import Callable, Sequence
from typing import Any

from trainsmith.errors import InvalidInput

BETAS = ("beta1", "beta2")
SPARSE = "gradients must be dense; got a sparse one: build the layer with sparse=False."


def paired(numbers: dict[str, Any], defaults: dict[str, Any] | None = None) -> dict[str, Any]:
    """Numbers in which beta1 and beta2, if there are any, are `betas`, in place; one that is missing is the default."""
    if any(name in numbers for name in BETAS):
        before = numbers.get("betas") or (defaults or {}).get("betas") or (None, None)
        numbers["betas"] = tuple(numbers.pop(name, old) for name, old in zip(BETAS, before, strict=True))
    return numbers


def names_kept(state: dict[str, Any]) -> list[str]:
    """Of what is kept for a parameter, in the order of the rule's names."""
    return [name for name in state if name not in ("step", "trained")]


def check_state(state: dict[str, Any], rule: str, numbers: Sequence[str], kept: Callable[..., dict[str, Any]]) -> None:
    """Refuse a state that another rule stored, before it takes the place of what is there.

    numbers: the names of the rule's numbers. kept: kept(group, theta), names and shapes of what it keeps.
    """
    for group in state.get("param_groups", ()):
        has = {*group, *(BETAS if "betas" in group else ())}
        if missing := [name for name in numbers if name not in has]:
            raise InvalidInput(f"the state is not one of {rule}: it has no {missing[0]}.")
        for theta in group["params"]:
            own = state["state"].get(theta)
            if not own:
                continue
            shapes = [tuple(getattr(own[name], "shape", ())) for name in names_kept(own)]
            if "step" not in own or shapes != [*kept(group, theta).values()]:
                raise InvalidInput(f"the state is not one of {rule}: it keeps other tensors of a parameter.")
