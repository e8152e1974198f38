"""The data sets known by name."""

import numpy as np
import pytest
import torch
from sklearn import datasets

from trainsmith.data import load


@pytest.mark.parametrize(
    ("name", "kind", "shape", "total", "classes"),
    [
        ("digits", "image", (1, 8, 8), 1797, 10),
        ("breast-cancer", "table", (30,), 569, 2),
        ("wine", "table", (13,), 178, 3),
        ("diabetes", "table", (10,), 442, 0),
    ],
)
def test_shapes_and_sizes(name, kind, shape, total, classes):
    data = load(name)
    assert (data.name, data.kind, data.input_shape, len(data.classes)) == (name, kind, shape, classes)
    assert len(data.x) + data.test.size == total
    assert data.test.size == int(np.ceil(total / 5))
    assert data.test.opened == 0
    assert data.task == ("classification" if classes else "regression")


def test_digits_keep_image_and_label_together():
    data, raw = load("digits"), datasets.load_digits()
    assert data.x.min() == 0
    assert data.x.max() == 1
    known = {tuple(image.ravel().astype(int)): label for image, label in zip(raw.images, raw.target, strict=True)}
    assert all(known[tuple((16 * x).int().ravel().tolist())] == int(y) for x, y in zip(data.x, data.y, strict=True))


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("wine", datasets.load_wine),
        ("breast-cancer", datasets.load_breast_cancer),
        ("diabetes", lambda: datasets.load_diabetes(scaled=False)),
    ],
)
def test_tables_are_in_raw_units_and_keep_their_targets(name, raw):
    data, bunch = load(name), raw()
    x, y = torch.cat([data.x, data.test.open()[0]]), torch.cat([data.y, data.test.open()[1]])
    got = np.column_stack([x.numpy(), y.numpy()])
    wanted = np.column_stack([bunch.data, bunch.target]).astype(np.float32)
    np.testing.assert_array_equal(got[np.lexsort(got.T)], wanted[np.lexsort(wanted.T)])


def test_class_names_are_the_sets_own():
    assert load("breast-cancer").classes == ("malignant", "benign")
    assert load("digits").classes == tuple("0123456789")


@pytest.mark.parametrize("spelling", ["Breast_Cancer", "breast cancer", "BREASTCANCER", " breast-cancer "])
def test_names_are_read_tolerantly(spelling):
    assert load(spelling).name == "breast-cancer"
