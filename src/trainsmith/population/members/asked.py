"""What a user gives a population to train with, checked before anything is trained."""

import copy
import operator
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput, shown
from trainsmith.population.members.objective import CrossEntropy


def batch(x: Any, y: Any, members: int, each: bool, unlabelled: bool, classes: bool) -> tuple[Tensor, Tensor]:
    """x and y (n, ...), or (members, n, ...) for one batch each.

    unlabelled: whether x may have examples that y does not speak of behind the others. classes: whether whole numbers
    in y are indices of classes, of whatever whole type they are. Raises InvalidInput.
    """
    for name, t in (("x", x), ("y", y)):
        if not isinstance(t, Tensor):
            raise InvalidInput(f"{name} must be a tensor; got {type(t).__name__}: try torch.as_tensor({name}).")
    count = x.shape[:2] if each else x.shape[:1]
    if unlabelled and y.shape[: len(count) - 1] == count[:-1] and y.shape[len(count) - 1] < count[-1]:
        count = y.shape[: len(count)]
    if len(count) <= each or y.shape[: len(count)] != count or (each and len(x) != members):
        wanted = f"({members}, n, ...)" if each else "(n, ...)"
        raise InvalidInput(
            f"x and y must both be {wanted}; got {tuple(x.shape)} and {tuple(y.shape)}."
            + ("" if each or len(x.shape) == 0 or len(x) != members else " For one batch a member say each=True.")
        )
    if count[-1] < 2:
        raise InvalidInput(f"a batch needs at least two examples; got {count[-1]}.")
    return x, y.long() if classes and not y.is_floating_point() else y


def check_classes(loss: nn.Module, y: Tensor, outputs: int) -> None:
    """Raises InvalidInput for indices of classes in y (n,) that a network with so many outputs has not."""
    if not isinstance(loss, CrossEntropy) or y.ndim != 1 or not len(y):
        return
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= outputs:
        raise InvalidInput(
            f"targets must be classes from 0 to {outputs - 1}, of which the network has an output each; got {low} to "
            f"{high}."
        )


def usable_device(given: Any) -> torch.device:
    """A device that this torch and this machine have. Raises InvalidInput for another."""
    try:
        wanted = torch.device(given)
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise InvalidInput(
            f"device must be one that torch has here, such as 'cpu', or 'cuda' where a GPU and a build of torch for it "
            f"are; got {given!r}: {shown(error, 120)}"
        ) from error
    return wanted


def number(name: str, value: Any) -> float:
    """A number of whatever kind. Raises InvalidInput for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be a number, or one for each member; got {value!r}.") from error


def places(which: Any, members: int) -> set[int]:
    """Places of members: a list, array or tensor of whole numbers. Raises InvalidInput for none, and for others."""
    listed = which.tolist() if hasattr(which, "tolist") else which
    try:
        given = list(listed)
        chosen = {operator.index(k) for k in given}
    except TypeError:
        raise InvalidInput(f"members are kept by a list of their places, such as [0, 2]; got {which!r}.") from None
    if any(isinstance(k, bool) for k in given):
        raise InvalidInput("members are kept by their places, not by a mask: try mask.nonzero().flatten().")
    if unknown := sorted(k for k in chosen if not 0 <= k < members):
        raise InvalidInput(f"there are {members} members, 0 to {members - 1}; got {unknown}.")
    if not chosen:
        raise InvalidInput("no member is to be kept: name at least one, or stop training.")
    return chosen


def check_real(network: nn.Module) -> None:
    """Raises InvalidInput for complex weights, for which the rules have no square."""
    for name, p in network.named_parameters():
        if p.is_complex():
            raise InvalidInput(
                f"the rules train real numbers, and the parameter {name} is complex: keep torch.view_as_real of it as "
                "the parameter, and call torch.view_as_complex in forward."
            )


def check_hooks(network: nn.Module) -> None:
    """Raises InvalidInput for hooks on the gradients of parameters, which no copy has."""
    for name, p in network.named_parameters():
        if p._backward_hooks or getattr(p, "_post_accumulate_grad_hooks", None):
            raise InvalidInput(
                f"the parameter {name} has a hook on its gradient, which is not called while members train: let the "
                "forward pass say it, e.g. by w * mask + (w * (1 - mask)).detach() for a weight that trains in part."
            )


def copied(network: nn.Module) -> nn.Module:
    """A copy. Raises InvalidInput for a network that does not allow one, or whose copy would lack its hooks."""
    check_hooks(network)
    try:
        return copy.deepcopy(network)
    except Exception as error:  # it is the user's code
        raise InvalidInput(
            f"the network must allow copy.deepcopy: {shown(error, 120)}. Where torch.nn.utils.weight_norm or "
            "spectral_norm is the reason, torch.nn.utils.parametrizations has both."
        ) from error
