"""Inputs of activation functions that join several numbers into one."""

from torch import Tensor

from trainsmith.errors import InvalidInput


def check_parts(x: Tensor, count: int, axis: int, owner: str) -> None:
    """Raises InvalidInput where x cut along `axis` into `count` equal parts leaves a rest."""
    if not -x.ndim <= axis < x.ndim or x.shape[axis] % count:
        raise InvalidInput(
            f"{owner} joins {count} inputs into one output along axis {axis}, whose size must be a multiple of "
            f"{count}; got shape {tuple(x.shape)}. Make the layer before it {count} times as wide."
        )


def parts(x: Tensor, count: int, axis: int, owner: str) -> tuple[Tensor, ...]:
    """x cut along `axis` into `count` equal parts, in their order. Raises InvalidInput where that leaves a rest."""
    check_parts(x, count, axis, owner)
    return x.chunk(count, axis)
