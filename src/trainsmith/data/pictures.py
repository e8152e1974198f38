"""Pictures (PNG, JPEG and whatever else Pillow reads) made into one array of bytes, or refused in one sentence."""

import io
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from trainsmith.errors import InvalidInput, shown

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


def read_pictures(sources: Iterable[bytes | Path], what: str, size: int | None = None) -> np.ndarray:
    """All pictures as uint8: (n, 1, h, w) if every one is grey, else (n, 3, h, w).

    sources: the encoded bytes, or the files. what: what errors call the collection. size: scale and crop each, at its
    centre, to size × size pixels; without it all must have one size. Transparency is dropped, palettes become colours.
    Raises InvalidInput for a picture that cannot be decoded, and for sizes that differ.
    """
    arrays: list[np.ndarray] = []
    for number, source in enumerate(sources):
        name = f"'{shown(source, 120)}'" if isinstance(source, Path) else f"{what}: picture {number}"
        arrays.append(_decode(source, name, size))
        if arrays[-1].shape[:2] != arrays[0].shape[:2]:
            first, other = ("×".join(map(str, a.shape[:2])) for a in (arrays[0], arrays[-1]))
            raise InvalidInput(
                f"{what}: pictures must have one size; the first has {first} pixels and {name} {other}. Give an image "
                "size (--image-size 32) to have them scaled and cropped."
            )
    if not arrays:
        raise InvalidInput(f"{what}: there are no pictures; files ending in {', '.join(SUFFIXES[:3])} are looked for.")
    if all(a.ndim == 2 for a in arrays):
        return np.stack(arrays)[:, None]
    return np.stack([a.transpose(2, 0, 1) if a.ndim == 3 else np.broadcast_to(a, (3, *a.shape)) for a in arrays])


def _decode(source: bytes | Path, name: str, size: int | None) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with (
            warnings.catch_warnings(action="ignore"),  # of damaged remarks beside the picture, which are not used
            Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened,
        ):
            grey = opened.mode in ("1", "L", "LA")
            if opened.mode.startswith(("I", "F")):
                raise InvalidInput(f"{name} has more than 8 bits a pixel; give such images as arrays in an .npz file.")
            image: Any = opened.convert("L" if grey else "RGB")
    except InvalidInput:
        raise
    except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
        reason = shown(error, 200) or type(error).__name__
        raise InvalidInput(f"{name} cannot be read as a picture: {reason}. Leave it out or write it anew.") from error
    if size is not None:
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)
