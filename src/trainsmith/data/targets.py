"""Targets made into class indices or float32 numbers, or refused in one sentence."""

from typing import get_args

import numpy as np
import torch
from torch import Tensor

from trainsmith.data.dataset import Task
from trainsmith.errors import InvalidInput, shown, unknown_name

MOST_LEVELS = 20
"""Whole-number targets with more different values than this are taken as numbers to predict."""


def columns(y: np.ndarray, task: str | None, name: str) -> np.ndarray:
    """y as one value per example, (n,), or several numbers or labels, (n, k); (n, 1) becomes (n,).

    Raises InvalidInput for other shapes, for several values where the task has one, and for what is likely one-hot
    classes unless the task says that it is not.
    """
    if y.ndim == 2 and y.shape[1] == 1 and task != "multilabel":
        return y[:, 0]
    if y.ndim == 2 and y.shape[1] and y.dtype.kind in "biuf" and task in (None, "regression", "multilabel"):
        one_hot = is_binary(y) and bool((y.sum(1) == 1).all())
        if not (one_hot and task is None):
            return y
    if y.ndim != 1 or task == "multilabel":
        expected = "one value per example, shape (n,)" if task != "multilabel" else "0 or 1 for each label, (n, labels)"
        raise InvalidInput(
            f"{name}: y must have {expected}; got shape {y.shape}. For one-hot classes use y.argmax(1); several "
            "numbers or labels an example are for tasks regression and multilabel."
        )
    return y


def is_binary(y: np.ndarray) -> bool:
    """Whether all values are 0 or 1."""
    return bool(((y == 0) | (y == 1)).all())


def choose_task(y: np.ndarray, task: str | None, name: str) -> Task:
    """The task that was asked for, else classification for text, booleans and few whole numbers.

    Few are at most 20 different ones; whole numbers stored as floats count. Any other numbers are a regression's
    targets; of several an example, (n, k), all 0 or 1 are labels. Raises InvalidInput for an unknown task and for one
    that y does not allow.
    """
    whole = _is_whole(y)
    if task is None and y.ndim == 2:
        return "multilabel" if is_binary(y) else "regression"
    if task is None:
        few = y.dtype.kind == "U" or (whole and len(np.unique(y)) <= MOST_LEVELS)
        return "classification" if few else "regression"
    known = [t for t in get_args(Task) if t != "language"]  # which is of texts
    chosen: Task | None = next((t for t in known if t == str(task).strip().lower()), None)
    if chosen is None:
        raise unknown_name("task", str(task), known)
    if chosen == "regression" and y.dtype.kind == "U":
        raise InvalidInput(f"{name}: a regression needs numbers as targets; got text. Use task classification.")
    if chosen == "multilabel" and not is_binary(y):
        raise InvalidInput(f"{name}: labels must be 0 or 1, one for each label; got other values. Check y.")
    if chosen in ("classification", "balanced") and not whole:
        raise InvalidInput(
            f"{name}: a classification needs whole numbers or text as targets; got fractions. "
            "Use task regression, or give class numbers."
        )
    return chosen


def _is_whole(y: np.ndarray) -> bool:
    return y.dtype.kind in "biuU" or bool((y == np.floor(y)).all())


def check_finite(y: np.ndarray, name: str) -> None:
    """Refuse NaN and infinite targets."""
    if y.dtype.kind == "f" and y.size:
        with np.errstate(over="ignore"):
            bad = int((~np.isfinite(y.astype(np.float32))).reshape(len(y), -1).any(1).sum())
        if bad:
            raise InvalidInput(
                f"{name}: y must be finite; {bad} of {len(y)} targets are NaN or infinite in 32 bits. "
                "Remove those examples."
            )


def encode_classes(y: np.ndarray, name: str, least: int) -> tuple[Tensor, tuple[str, ...]]:
    """Class indices (n,) int64 in the order of the sorted labels, and the labels as text.

    least: how many examples each class must have. Raises InvalidInput for a single class and rarer ones.
    """
    levels, indices, counts = np.unique(y, return_inverse=True, return_counts=True)
    classes = tuple(_label(level) for level in levels)
    if len(classes) == 1:
        raise InvalidInput(
            f"{name}: a classification needs at least two classes; y holds a single class, '{shown(classes[0])}'. "
            "Check which values are the targets."
        )
    rare = np.flatnonzero(counts < least)
    if len(rare):
        more = f", and {len(rare) - 1} more classes have too few" if len(rare) > 1 else ""
        raise InvalidInput(
            f"{name}: each class needs at least {least} examples, one for each part of the data; class "
            f"'{shown(classes[rare[0]])}' has {counts[rare[0]]}{more}. Leave rare classes out, or use task regression "
            "if the targets are numbers."
        )
    return torch.from_numpy(indices.astype(np.int64)), classes


def encode_like(y: np.ndarray, classes: tuple[str, ...], name: str) -> Tensor:
    """Class indices (n,) int64 of a test part's labels. Raises InvalidInput for a label not in `classes`."""
    levels, indices = np.unique(y, return_inverse=True)
    place = {label: i for i, label in enumerate(classes)}
    unseen = [label for label in map(_label, levels) if label not in place]
    if unseen:
        raise InvalidInput(
            f"{name}: the test part holds class '{shown(unseen[0])}', which the training part does not; "
            "give both parts the same labels."
        )
    order = np.array([place[_label(level)] for level in levels], np.int64)
    return torch.from_numpy(order[indices])


def encode_labels(y: np.ndarray, name: str) -> Tensor:
    """Labels (n, k) float32. Raises InvalidInput for a label that is always 0 or always 1."""
    targets = torch.from_numpy(y.astype(np.float32))
    if constant := [k for k in range(y.shape[1]) if bool((targets[:, k] == targets[0, k]).all())]:
        raise InvalidInput(
            f"{name}: each label must be 0 for some examples and 1 for others; label {constant[0]} is always "
            f"{int(y[0, constant[0]])}. Leave it out."
        )
    return targets


def encode_numbers(y: np.ndarray, name: str) -> Tensor:
    """Targets (n,) or (n, k) float32. Raises InvalidInput if all are equal: there is nothing to predict."""
    targets = torch.from_numpy(y.astype(np.float32))
    if targets.ndim == 2 and (equal := [k for k, t in enumerate(targets.T) if bool((t == t[0]).all())]):
        raise InvalidInput(f"{name}: a regression needs targets that differ; number {equal[0]} is always the same.")
    if bool((targets == targets[0]).all()):
        raise InvalidInput(
            f"{name}: a regression needs targets that differ; all are {float(targets[0]):g}. "
            "Check which values are the targets."
        )
    return targets


def _label(level: np.generic) -> str:
    """The class's name; 1.0 and 1 are the same class."""
    value = level.item()
    return str(int(value)) if isinstance(value, float) else str(value)
