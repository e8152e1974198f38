"""The data of the zoo: what networks are inspected on, and what is held back."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainsmith.data import load

DATA = Path(__file__).parents[3] / "shared" / "data"
MOST, HELD = 600, 400
FEWER = {"mnist": 300, "cifar10": 200}
"""Fewer examples of large pictures, so that the whole zoo takes minutes."""
WINDOW = 16
TABLES = ("wine", "breast-cancer", "diabetes")
IMAGES = ("digits", "mnist", "cifar10")


@dataclass(frozen=True)
class Examples:
    """Examples to train on and others held back. x (n, ...), y (n,); outputs: how many a network for them has."""

    name: str
    x: Tensor
    y: Tensor
    held: tuple[Tensor, Tensor]
    outputs: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.x.shape[1:])


DRAW = [0]
"""Which examples of a set are taken, and which held back: the zoo's halves have each their own."""


def examples(name: str, raw: bool = False) -> Examples:
    """The set of that name: digits, mnist, cifar10, wine, breast-cancer, diabetes or text.

    raw: tables and numbers to predict in their own units instead of standardized. text: 16 characters of
    Shakespeare, as numbers, to predict the kind of the next: letter, vowel, space or other.
    """
    return _text(DRAW[0]) if name == "text" else _drawn(name, raw, DRAW[0])


@functools.cache
def _drawn(name: str, raw: bool, draw: int) -> Examples:
    set_ = _loaded(name)
    order = torch.randperm(len(set_.x), generator=torch.Generator().manual_seed(draw))
    count = min(FEWER.get(name, MOST), len(order) * 2 // 3)
    first, rest = order[:count], order[count : count + HELD]
    x, y = set_.x, set_.y
    if name in TABLES and not raw:
        x = (x - x[first].mean(0)) / x[first].std(0)
    if set_.task == "regression" and not raw:
        y = (y - y[first].mean()) / y[first].std()
    return Examples(name, x[first], y[first], (x[rest], y[rest]), set_.outputs)


FROM_FILES = ("mnist", "cifar10", "text")


@functools.cache
def _loaded(name: str):
    return load(name, data_dir=DATA) if name in FROM_FILES else load(name)


@functools.cache
def _text(draw: int) -> Examples:
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")[:60_000].lower()
    letters = sorted(set(text))
    numbers = np.array([letters.index(c) for c in text])
    kind = np.array([1 if c in "aeiou" else 0 if c.isalpha() else 2 if c == " " else 3 for c in text])
    starts = np.random.default_rng(draw).permutation(len(text) - WINDOW)[: MOST + HELD]
    x = torch.from_numpy(np.stack([numbers[s : s + WINDOW] for s in starts]))
    y = torch.from_numpy(kind[starts + WINDOW])
    return Examples("text", x[:MOST], y[:MOST], (x[MOST:], y[MOST:]), 4)


def available(name: str) -> bool:
    """Whether the set's files are here; those of scikit-learn always are."""
    folder = {"text": "tinyshakespeare"}.get(name, name)
    return name not in FROM_FILES or (DATA / folder).is_dir()
