"""Class weights: how much an example of each class counts in the loss that is trained."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real

import numpy as np

from trainsmith.data.dataset import Dataset
from trainsmith.errors import InvalidInput, shown, unknown_name

BALANCED = "balanced"
ClassWeights = str | Mapping[str, float] | Sequence[float]


def with_class_weights(dataset: Dataset, given: ClassWeights) -> Dataset:
    """The same data, whose classes count with these weights in the cross-entropy that is trained, not in scores.

    given: "balanced", n / (k n_c) for a class with n_c of the n training examples of k classes, which is scikit-learn's
    class_weight="balanced"; or a number above 0 of each class, in the order of the classes; or by name, as a mapping or
    as text such as "rare=5,other=0.5", a class that is not named counting 1. Raises InvalidInput for anything else, and
    for a task that is not classification.
    """
    if dataset.task != "classification":
        alike = ", whose classes count alike already" if dataset.task == "balanced" else ""
        raise InvalidInput(
            f"class weights are for classification; the task of {dataset.name} is {dataset.task}{alike}."
        )
    if isinstance(given, str) and given.strip().lower() == BALANCED:
        return replace(dataset, class_weights=BALANCED)
    numbers = _in_order(dataset, given)
    for name, number in zip(dataset.classes, numbers, strict=True):
        _check(name, number)
    return replace(dataset, class_weights=tuple(map(float, numbers)))


def _in_order(dataset: Dataset, given: ClassWeights) -> list[float]:
    """A number of each class, in the order of the classes."""
    if isinstance(given, (str, Mapping)):
        named = _named(given) if isinstance(given, str) else {str(name): number for name, number in given.items()}
        for name in named:
            if name not in dataset.classes:
                raise unknown_name(f"class of {dataset.name}", name, dataset.classes)
        return [named.get(name, 1.0) for name in dataset.classes]
    if not isinstance(given, (Sequence, np.ndarray)) or len(given) != len(dataset.classes):
        count = f"{len(given)} numbers" if isinstance(given, (Sequence, np.ndarray)) else f"a {type(given).__name__}"
        raise InvalidInput(
            f"class weights must be 'balanced', numbers by name or one for each of the {len(dataset.classes)} classes "
            f"of {dataset.name}; got {count}."
        )
    numbers: list[float] = np.asarray(given).tolist()
    return numbers


def _named(text: str) -> dict[str, float]:
    """The numbers in a text such as "rare=5,other=0.5"."""
    found = {}
    for part in text.split(","):
        name, sign, number = part.rpartition("=")
        try:
            if not sign:
                raise ValueError
            found[name.strip()] = float(number)
        except ValueError as error:
            raise InvalidInput(
                f"class weights must be 'balanced' or class=number pairs separated by commas, such as rare=5; got "
                f"'{shown(text)}'."
            ) from error
    return found


def _check(name: str, number: object) -> None:
    if isinstance(number, bool) or not isinstance(number, Real) or not 0 < float(number) < math.inf:
        raise InvalidInput(f"the weight of class '{shown(name)}' must be a number above 0; got {shown(number)}.")
