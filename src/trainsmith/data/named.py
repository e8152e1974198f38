"""The data sets known by name: four that come with scikit-learn; MNIST, CIFAR-10 and a text from their files."""

from os import PathLike

import numpy as np

from trainsmith.data.arrays import assemble
from trainsmith.data.cifar10 import cifar10
from trainsmith.data.dataset import Dataset
from trainsmith.data.mnist import read_mnist
from trainsmith.data.text import tiny_shakespeare
from trainsmith.errors import unknown_name

IN_FILES = ("cifar10", "mnist", "tinyshakespeare")
"""Those of NAMES that are read from files of one's own."""
NAMES = ("breast-cancer", "cifar10", "diabetes", "digits", "mnist", "tinyshakespeare", "wine")


def known_name(given: str) -> str | None:
    """The data set's name for `given` in any case, with -, _, a space or nothing between words; else None."""
    return {_bare(name): name for name in NAMES}.get(_bare(given))


def named(name: str, data_dir: str | PathLike[str] | None = None, context: int | None = None) -> Dataset:
    """The data set of that name.

    digits: 8×8 grey images in [0, 1]. mnist: 28×28 in [0, 1], with its own test part; see read_mnist for
    data_dir. cifar10: see cifar10. breast-cancer, wine: tables in their raw units. diabetes: a regression, raw units.
    tinyshakespeare: see tiny_shakespeare for data_dir and context.
    """
    known = known_name(name)
    if known is None:
        raise unknown_name("data set", name, NAMES)
    if known == "mnist":
        train, test = read_mnist(data_dir)
        return assemble(*train, known, test=test, task="classification")
    if known == "cifar10":
        return cifar10(data_dir)
    if known == "tinyshakespeare":
        return tiny_shakespeare(data_dir, context)
    from sklearn import datasets

    if known == "digits":
        digits = datasets.load_digits()
        return assemble((digits.images / 16).astype(np.float32), digits.target, known)
    if known == "diabetes":
        table = datasets.load_diabetes(scaled=False)
        return assemble(table.data, table.target, known, task="regression", features=table.feature_names)
    table = datasets.load_wine() if known == "wine" else datasets.load_breast_cancer()
    classes = [str(c) for c in table.target_names]
    return assemble(table.data, table.target, known, classes=classes, features=list(table.feature_names))


def _bare(name: str) -> str:
    return "".join(c for c in name.strip().lower() if c not in "-_ ")
