"""Inputs made into float32 tensors of the usual layout, or refused in one sentence."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainsmith.errors import InvalidInput, shown

CHANNELS = (1, 3, 4)
"""How many channels an image may have for its layout to be recognized: grey, colour, colour with alpha."""
LAST_CHARACTER = 0x10FFFF


def as_array(values: Any, what: str, text: bool = False) -> np.ndarray:
    """`values` (numpy, torch, pandas, lists) as a numpy array that holds no Python objects.

    what: how the error calls it, such as "data: x". text: whether text is allowed. Raises InvalidInput for
    anything else than an array of numbers, booleans or allowed text.
    """
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
        array = np.asarray(values)
    except (TypeError, ValueError) as error:  # a sparse tensor, rows of different lengths
        raise InvalidInput(f"{what} must be a dense array with rows of one length; got {shown(error, 200)}") from error
    if array.dtype.kind == "O" and array.size and all(isinstance(v, str) for v in array.flat):
        array = array.astype(str)  # text columns of pandas
    if array.dtype.kind not in ("biufU" if text else "biuf"):
        came = "text" if array.dtype.kind == "U" else f"values of type {array.dtype}"
        raise InvalidInput(
            f"{what} must be an array of numbers{' or text' if text else ''}; got {came}. "
            "Convert them first, for instance with .astype('float32')."
        )
    if array.dtype.kind == "U" and not _is_unicode(array):
        raise InvalidInput(f"{what} holds text with code points that are no characters. Write the data anew.")
    return array


def _is_unicode(text: np.ndarray) -> bool:
    """Whether every 32-bit word of the text is a character; surrogates, halves of one, are not."""
    points = np.ascontiguousarray(text).astype(text.dtype.newbyteorder("=")).view(np.uint32)
    return not bool((points > LAST_CHARACTER).any() or ((points >= 0xD800) & (points <= 0xDFFF)).any())


def examples(x: np.ndarray, name: str, features: Sequence[str] | None = None) -> Tensor:
    """x as float32: tables (n, columns), images (n, channels, height, width).

    Images without channels, (n, h, w), get one; (n, h, w, c) with c of 1, 3 or 4 becomes (n, c, h, w) unless
    the second axis could be the channels too. uint8 images are divided by 255; nothing else is scaled.
    features: names of the columns, for the errors. Raises InvalidInput for other shapes and for values that
    are not finite in float32.
    """
    if x.ndim not in (2, 3, 4) or 0 in x.shape[1:]:
        raise InvalidInput(
            f"{name}: x must be a table (n, columns) or images (n, h, w), (n, c, h, w) or (n, h, w, c); "
            f"got shape {x.shape}. Reshape it to one of these."
        )
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in CHANNELS and x.shape[1] not in CHANNELS:
        x = x.transpose(0, 3, 1, 2)
    with np.errstate(over="ignore"):  # what becomes infinite is refused below
        single = np.array(x, dtype=np.float32, order="C")
    if x.ndim == 4 and x.dtype == np.uint8:
        single /= np.float32(255)
    _check_finite(single, name, features)
    return torch.from_numpy(single)


def _check_finite(x: np.ndarray, name: str, features: Sequence[str] | None) -> None:
    finite = np.isfinite(x)
    if finite.all():
        return
    bad = (~finite).reshape(len(x), -1)
    first = int(bad.any(axis=0).argmax())
    if x.ndim == 4:
        where = f"at (channel, row, column) {tuple(map(int, np.unravel_index(first, x.shape[1:])))}"
    else:
        where = f"in column '{shown(features[first])}'" if features else f"in feature {first}"
    others = int(bad.any(axis=0).sum()) - 1
    more = f", and there are more in {others} other feature{'s' if others > 1 else ''}" if others else ""
    raise InvalidInput(
        f"{name}: x must be finite; {int(bad[:, first].sum())} of {len(x)} values {where} are NaN or infinite "
        f"in 32 bits{more}. Remove or fill them."
    )
