"""Which examples an augmentation takes, in the words of what it says where it is given others."""

from torch import Tensor


def needs_batch(what: str, x: Tensor) -> str:
    """Of x without an axis of examples before that of units, such as one example by itself."""
    return f"{what} needs a batch (n, units, ...); got shape {tuple(x.shape)}. Of one example take x[None]."


def needs_images(what: str, x: Tensor) -> str:
    """Of x that is no batch of images, such as one image without the axis of the batch."""
    return f"{what} needs images (n, channels, height, width); got shape {tuple(x.shape)}. Of one image take x[None]."


def needs_floats(what: str, x: Tensor) -> str:
    """Of x with whole numbers, into which the results of a calculation would not fit."""
    return (
        f"{what} calculates with examples and needs floating-point numbers; got {x.dtype}. Make them such before, as "
        "by x.float() / 255 of images in uint8."
    )
