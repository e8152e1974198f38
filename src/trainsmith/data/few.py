"""Few labels: all but some of a run's training labels hidden, to learn from the other examples without them."""

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trainsmith.data.dataset import Dataset
from trainsmith.data.split import CLASSES, split
from trainsmith.errors import InvalidInput, integer

LABELLED = ("classification", "balanced", "regression", "multilabel")
"""Tasks whose targets can be hidden."""


def with_labels(dataset: Dataset, labels: int) -> Dataset:
    """The same data, of whose training part only so many examples keep their label in each run.

    Raises InvalidInput for fewer than the classes there are, for more than a run trains on, and for a task without
    labels.
    """
    if dataset.task not in LABELLED:
        raise InvalidInput(
            f"labels can be hidden where there are labels; the task of {dataset.name} is {dataset.task}."
        )
    least = len(dataset.classes) if dataset.task in CLASSES else 2
    most = len(split(dataset, 0)[0])
    count = integer(labels)
    if count is None or not least <= count <= most:
        told = f"{least}, one a class," if dataset.task in CLASSES else str(least)
        raise InvalidInput(
            f"labels must be a whole number from {told} to the {most} examples that a run on {dataset.name} trains on; "
            f"got {labels!r}."
        )
    return replace(dataset, labels=count)


def labelled(dataset: Dataset, train: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Those of the training examples `train` whose labels the seed leaves to be seen, in ascending order.

    They are drawn at random; classes get as many each, within one, as far as they have them.
    """
    if not 0 < dataset.labels < len(train):
        return train
    key = int.from_bytes(hashlib.blake2b(f"{seed}/labels".encode(), digest_size=8).digest(), "little")
    order = np.random.Generator(np.random.Philox(key=key)).permutation(train)
    if dataset.task not in CLASSES:
        return np.sort(order[: dataset.labels])
    classes = dataset.y.numpy()[order]
    place = np.zeros(len(order), np.int64)
    for c in np.unique(classes):
        place[classes == c] = np.arange((classes == c).sum())
    return np.sort(order[np.argsort(place, kind="stable")[: dataset.labels]])
