"""Dataset and its lock."""

import pickle

import numpy as np
import pytest
import torch

from trainsmith.data import Dataset, LockedTest, from_arrays, load


def test_the_lock_counts_who_opens_it_and_never_shows_its_data():
    x, y = torch.full((7, 2), 123.25), torch.full((7,), 456.5)
    test = LockedTest(x, y)
    assert (test.size, test.opened) == (7, 0)
    assert test.open()[0] is x
    assert test.open()[1] is y
    assert test.opened == 2
    assert repr(test) == "<LockedTest of 7 examples, opened 2 times>"


@pytest.mark.parametrize(
    ("shape", "y", "line"),
    [
        ((1500, 4), np.arange(1500) % 3, "d: 1,500 rows of 4 columns, 3 classes; 300 locked for the test"),
        ((50, 1), np.arange(50.0) / 7, "d: 50 rows of 1 column, a number to predict; 10 locked for the test"),
        ((50, 3, 8, 9), np.arange(50) % 2, "d: 50 images of 3×8×9, 2 classes; 10 locked for the test"),
    ],
)
def test_describe_is_one_line(shape, y, line):
    x = np.random.default_rng(0).normal(size=shape)
    data = from_arrays(x, y, "d")
    assert data.describe() == line
    assert data.input_shape == shape[1:]


def test_a_dataset_knows_its_outputs():
    assert load("digits").outputs == 10
    assert load("diabetes").outputs == 1
    assert load("digits").describe() == "digits: 1,797 images of 8×8, 10 classes; 360 locked for the test"


def test_a_dataset_survives_pickling():
    data = load("wine")
    data.test.open()
    copy = pickle.loads(pickle.dumps(data))
    assert isinstance(copy, Dataset)
    assert torch.equal(copy.x, data.x)
    assert torch.equal(copy.y, data.y)
    assert torch.equal(copy.test.open()[0], data.test.open()[0])
    assert (copy.describe(), copy.classes, copy.test.opened) == (data.describe(), data.classes, 2)


def test_a_dataset_cannot_be_changed_and_its_repr_holds_no_data():
    data = load("wine")
    with pytest.raises(AttributeError):
        data.name = "other"
    assert repr(data) == "<Dataset wine: classification, 142 development examples of (13,)>"
