"""Inputs made into float32 tensors of the usual layout, or refused in one sentence."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainsmith.data.mapped import stays_on_disk, written
from trainsmith.errors import InvalidInput, shown
from trainsmith.rows import PIECE

CHANNELS = (1, 3, 4)
"""How many channels an image may have for its layout to be recognized: grey, colour, colour with alpha."""
LAST_CHARACTER = 0x10FFFF


def as_array(values: Any, what: str, text: bool = False) -> np.ndarray:
    """`values` (numpy, torch, pandas, lists) as a numpy array that holds no Python objects.

    what: how the error calls it, such as "data: x". text: whether text is allowed. Raises InvalidInput for
    anything else than an array of numbers, booleans or allowed text.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise InvalidInput(f"{what} has masked values, of which nothing is known. Fill them or leave those rows out.")
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
    features: names of the columns, for the errors. A large memory map is read by pieces and written, as float32, to a
    file that the tensor is a map of. Raises InvalidInput for other shapes and for values that are not finite in 32
    bits.
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
    if not stays_on_disk(x):
        single = _single(x)
        _check_finite(_bad(single), single.shape, name, features)
        return torch.from_numpy(single)
    bad = np.zeros(int(np.prod(x.shape[1:])), np.int64)

    def checked() -> Iterator[np.ndarray]:
        for begin in range(0, len(x), each):
            part = _single(x[begin : begin + each])
            bad[:] += _bad(part)
            yield part

    each = max(1, PIECE // len(bad))
    found = written(checked(), x.shape)
    _check_finite(bad, x.shape, name, features)
    return found


def _single(x: np.ndarray) -> np.ndarray:
    """In float32; bytes of images from 0 to 1."""
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        single = np.array(x, dtype=np.float32, order="C")
    if x.ndim == 4 and x.dtype == np.uint8:
        single /= np.float32(255)
    return single


def _bad(x: np.ndarray) -> np.ndarray:
    """How many of each feature's numbers are not finite, (features,)."""
    finite = np.isfinite(x).reshape(len(x), int(np.prod(x.shape[1:])))
    return np.zeros(finite.shape[1], np.int64) if finite.all() else (~finite).sum(0)


def _check_finite(bad: np.ndarray, shape: tuple[int, ...], name: str, features: Sequence[str] | None) -> None:
    """Refuse examples of this shape if any of their numbers are bad (features,)."""
    if not bad.any():
        return
    first = int((bad > 0).argmax())
    if len(shape) == 4:
        where = f"at (channel, row, column) {tuple(map(int, np.unravel_index(first, shape[1:])))}"
    else:
        where = f"in column '{shown(features[first])}'" if features else f"in feature {first}"
    others = int((bad > 0).sum()) - 1
    more = f", and there are more in {others} other feature{'s' if others > 1 else ''}" if others else ""
    raise InvalidInput(
        f"{name}: x must be finite; {int(bad[first])} of {shape[0]} values {where} are NaN or infinite "
        f"in 32 bits{more}. Remove or fill them."
    )
