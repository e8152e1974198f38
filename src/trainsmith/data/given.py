"""A Dataset from whatever a Python user has: a name, arrays, a torch Dataset, a Hugging Face dataset."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset

from trainsmith.data.arrays import assemble, from_arrays
from trainsmith.data.dataset import Dataset
from trainsmith.data.examples import as_array
from trainsmith.data.load import load
from trainsmith.data.parquet import from_frames
from trainsmith.errors import InvalidInput, unknown_name

PARTS = TRAIN, TEST, UNLABELLED = "train", "test", "unlabelled"


def as_dataset(data: Any) -> Dataset:
    """`data` as a Dataset.

    A Dataset; a name or a path, see load; a pair (x, y) of arrays; a torch.utils.data.Dataset with a length, whose
    items are (input, target), inputs being tensors, arrays or Pillow images of one shape; a `datasets.Dataset` of
    Hugging Face; or a mapping (a `DatasetDict` is one) with one of these under "train" and perhaps one under "test",
    which becomes the locked test part. Beside those, "unlabelled" may hold inputs without targets: an array, or a torch
    Dataset whose items are inputs or begin with them. Raises InvalidInput for anything else.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, (str, PathLike)):
        return load(data)
    if isinstance(data, tuple) and len(data) == 2:
        return from_arrays(*data)
    if isinstance(data, Mapping):
        return _of_parts(data)
    return _of_parts({TRAIN: data})


def _of_parts(parts: Mapping[Any, Any]) -> Dataset:
    if TRAIN not in parts:
        raise InvalidInput(f"data in parts must have one named '{TRAIN}'; got {', '.join(map(str, parts)) or 'none'}.")
    if unknown := [str(part) for part in parts if part not in PARTS]:
        hint = " Each seed draws its own validation part from 'train'; give those examples there." * (
            "val" in unknown[0]
        )
        raise InvalidInput(f"{unknown_name('part of the data', unknown[0], PARTS)}{hint}")
    train, test, unlabelled = parts[TRAIN], parts.get(TEST), _inputs(parts.get(UNLABELLED))
    if _is_hugging_face(train):
        if unlabelled is not None:
            raise InvalidInput("unlabelled examples go with arrays and torch Datasets; got a Hugging Face dataset.")
        names = {n: f.names for n, f in train.features.items() if getattr(f, "names", None)}
        title = getattr(train.info, "dataset_name", None) or "data"
        return from_frames(_frame(train), None if test is None else _frame(test), title, title, classes=names)
    x, y = _pair(train, TRAIN)
    classes = getattr(train, "classes", None)
    known = [str(c) for c in classes] if classes and len(np.unique(y)) == len(classes) else None
    given = None if test is None else _pair(test, TEST)
    name = type(train).__name__ if not isinstance(train, tuple) else "data"
    return assemble(x, y, name, test=given, classes=known, unlabelled=unlabelled)


def _inputs(data: Any) -> Any:
    """Unlabelled inputs as one array; None stays."""
    if not isinstance(data, TorchDataset):
        return data
    items = [data[i] for i in range(_length(data))]
    inputs = [i[0] if isinstance(i, (tuple, list)) and i else i for i in items]
    return _stacked([_input(x, "an unlabelled input") for x in inputs], UNLABELLED)


def _is_hugging_face(data: Any) -> bool:
    return hasattr(data, "to_pandas") and hasattr(data, "features") and hasattr(data, "info")


def _frame(data: Any) -> Any:
    from datasets import Image

    for name, feature in data.features.items():
        if isinstance(feature, Image):
            data = data.cast_column(name, Image(decode=False))  # the files' bytes, which pictures.py reads
    return data.to_pandas()


def _pair(data: Any, part: str) -> tuple[Any, Any]:
    """x and y of a part: a pair of arrays, or the items of a torch Dataset."""
    if isinstance(data, tuple) and len(data) == 2:
        return data
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        raise InvalidInput(
            "of a data frame say which columns are the inputs and which the targets: (frame[inputs], frame[target]); "
            "or write it to a .csv or .parquet file, of which text is read too."
        )
    if not (isinstance(data, TorchDataset) or (hasattr(data, "__getitem__") and hasattr(data, "__len__"))):
        raise InvalidInput(
            "the data must be a name, a path, a pair (x, y) of arrays, a torch Dataset with a length or a Hugging Face "
            f"dataset; got {type(data).__name__}."
        )
    items = [_item(data[i], i, part) for i in range(_length(data))]
    y = as_array([y for _, y in items], f"the targets of the {part} part", text=True)
    return _stacked([x for x, _ in items], part), y


def _length(data: Any) -> int:
    if isinstance(data, IterableDataset):
        raise InvalidInput(f"examples are looked up by number, which {type(data).__name__}, an IterableDataset, lacks.")
    try:
        return len(data)
    except (TypeError, NotImplementedError) as error:
        raise InvalidInput(f"a torch Dataset must have a length; {type(data).__name__} has none.") from error


def _stacked(inputs: list[np.ndarray], part: str) -> np.ndarray:
    """The inputs of a part as one array: some, and of one shape."""
    shapes = {x.shape for x in inputs}
    if len(shapes) > 1:
        raise InvalidInput(f"the inputs of the {part} part must have one shape; got {_some(shapes)}. Transform them.")
    if not inputs:
        raise InvalidInput(f"the {part} part is empty.")
    return np.stack(inputs)


def _item(item: Any, number: int, part: str) -> tuple[np.ndarray, Any]:
    if not (isinstance(item, (tuple, list)) and len(item) == 2):
        raise InvalidInput(
            f"each item of a torch Dataset must be a pair (input, target); item {number} of the {part} part is a "
            f"{type(item).__name__}{f' of {len(item)}' if isinstance(item, (tuple, list)) else ''}."
        )
    x, y = item
    return _input(x, f"the input of item {number} of the {part} part"), y.tolist() if hasattr(y, "tolist") else y


def _input(x: Any, what: str) -> np.ndarray:
    """One input as an array; a picture with a palette in its colours."""
    return as_array(x.convert("RGB") if getattr(x, "mode", "") == "P" else x, what)


def _some(shapes: set[tuple[int, ...]]) -> str:
    listed = sorted(map(str, shapes))
    return ", ".join(listed[:3]) + (" and others" if len(listed) > 3 else "")
