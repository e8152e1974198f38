"""A Dataset from arrays, with every check that keeps a study from failing later."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainsmith.data.dataset import Dataset, Kind, LockedTest, Task
from trainsmith.data.examples import as_array, examples
from trainsmith.data.split import CLASSES, SHARE, held_out, lock
from trainsmith.data.targets import (
    check_finite,
    choose_task,
    columns,
    encode_classes,
    encode_labels,
    encode_like,
    encode_numbers,
)
from trainsmith.errors import InvalidInput

LEAST_EXAMPLES = 20


def from_arrays(x: Any, y: Any, name: str = "data", task: str | None = None) -> Dataset:
    """A Dataset from numpy arrays, torch tensors or lists; a fifth of it is locked for the test.

    x: a table (n, columns), or images (n, h, w), (n, c, h, w) or (n, h, w, c); uint8 images are divided by
    255. y: (n,) class labels (whole numbers, booleans, text) or numbers, or (n, k) numbers or labels of 0 and 1.
    task: "classification", "balanced" (classes count alike, however rare), "regression", "multilabel" or
    "autoencoding" (the inputs are the targets); by default text, booleans and at most 20 different whole numbers are
    classes, and of several values an example only 0 and 1 are labels. Raises
    InvalidInput for anything a network cannot be trained on. Needs 20 examples, and 3 of each class.
    """
    return assemble(x, y, name, task=task)


def assemble(
    x: Any,
    y: Any,
    name: str,
    *,
    source: str | None = None,
    task: str | None = None,
    test: tuple[Any, Any] | None = None,
    classes: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    unlabelled: Any = None,
) -> Dataset:
    """A Dataset as in from_arrays, with more said about it.

    source: what errors call the data (default: its name). test: the test part's own x and y, where the data
    come with one. classes: the classes' names in the order of their labels. features: the columns' names. unlabelled:
    inputs of further examples, without targets.
    """
    source = source or name
    task = None if task is None else str(task).strip().lower()
    if task == "autoencoding":
        given = assemble(x, y, name, source=source, test=test, features=features, unlabelled=unlabelled)
        return given.autoencoding()
    inputs, values = _pair(x, y, source, features, task)
    if len(inputs) < LEAST_EXAMPLES:
        raise InvalidInput(
            f"{source}: at least {LEAST_EXAMPLES} examples are needed; got {len(inputs)}. Give more data."
        )
    chosen = choose_task(values, task, source)
    kind: Kind = "image" if inputs.ndim > 2 else "table"
    if kind == "image":
        _check_alike(x, {"test part": None if test is None else test[0], "unlabelled examples": unlabelled}, source)
    parts = 3 if test is None else 2
    if chosen in CLASSES:
        targets, labels = encode_classes(values, source, parts)
    elif chosen == "multilabel":
        targets, labels = encode_labels(values, source), ()
    else:
        targets, labels = encode_numbers(values, source), ()
    if test is None:
        inputs, targets, locked = lock(inputs, targets, chosen, name=source)
    else:
        locked = _given_test(test, inputs, targets, labels, chosen, source, features)
    held_out(targets, chosen, SHARE, source)  # a split that cannot be drawn is refused now, not in a worker
    further = None if unlabelled is None else _unlabelled(unlabelled, inputs, source, features)
    return Dataset(name, kind, chosen, inputs, targets, tuple(classes or labels), locked, unlabelled=further)


def _check_alike(x: Any, parts: Mapping[str, Any], source: str) -> None:
    """Refuse images of bytes, which are scaled, beside images of other numbers, which are not."""
    for name, other in parts.items():
        if other is not None and _of_bytes(other) != _of_bytes(x):
            raise InvalidInput(
                f"{source}: images of uint8 are divided by 255, others are taken as they are; x and the {name} must "
                "both be of uint8, or neither."
            )


def _of_bytes(x: Any) -> bool:
    return str(getattr(x, "dtype", "")).endswith("uint8")


def _unlabelled(x: Any, inputs: Tensor, source: str, features: Sequence[str] | None) -> Tensor:
    found = examples(as_array(x, f"{source}: the unlabelled examples"), f"{source}, unlabelled examples", features)
    if found.shape[1:] != inputs.shape[1:] or len(found) == 0:
        raise InvalidInput(
            f"{source}: the unlabelled examples must have the shape {tuple(inputs.shape[1:])} of the others; got "
            f"{len(found)} of shape {tuple(found.shape[1:])}."
        )
    return found


def _pair(x: Any, y: Any, source: str, features: Sequence[str] | None, task: str | None) -> tuple[Tensor, np.ndarray]:
    """x as a tensor and y as an array (n,) or (n, k): finite, of one length."""
    inputs, values = as_array(x, f"{source}: x"), columns(as_array(y, f"{source}: y", text=True), task, source)
    if inputs.ndim and len(inputs) != len(values):
        raise InvalidInput(
            f"{source}: x and y must have one entry per example; x has {len(inputs)} and y {len(values)}. "
            "Check that they belong together."
        )
    check_finite(values, source)
    return examples(inputs, source, features), values


def _given_test(
    test: tuple[Any, Any],
    inputs: Tensor,
    targets: Tensor,
    labels: tuple[str, ...],
    task: Task,
    source: str,
    features: Sequence[str] | None,
) -> LockedTest:
    x, values = _pair(*test, f"{source}, test part", features, task)
    if x.shape[1:] != inputs.shape[1:] or len(x) == 0:
        raise InvalidInput(
            f"{source}: the test part must hold examples of shape {tuple(inputs.shape[1:])} like the rest; "
            f"got {len(x)} of shape {tuple(x.shape[1:])}."
        )
    if choose_task(values, task, f"{source}, test part") in CLASSES:
        return LockedTest(x, encode_like(values, labels, source))
    if values.shape[1:] != targets.shape[1:]:
        raise InvalidInput(
            f"{source}: both parts must have as many numbers or labels an example; the test part's y has shape "
            f"{values.shape}, the other's {tuple(targets.shape)}."
        )
    if task == "multilabel":
        return LockedTest(x, torch.from_numpy(values.astype(np.float32)))
    return LockedTest(x, encode_numbers(values, f"{source}, test part"))
