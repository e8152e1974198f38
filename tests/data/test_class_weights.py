"""Class weights: how they are said, and what is refused."""

import numpy as np
import pytest

from trainsmith.data import from_arrays, load, with_class_weights
from trainsmith.errors import InvalidInput

X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
DATA = from_arrays(X, np.array(["a=b", "common", "rare"])[np.arange(60) % 3], "three")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("balanced", "balanced"),
        (" Balanced ", "balanced"),
        ("rare=5", (1.0, 1.0, 5.0)),
        (" rare = 5 , common=.5, a=b=2", (2.0, 0.5, 5.0)),
        ({"rare": 3, "common": 0.5}, (1.0, 0.5, 3.0)),
        ({"rare": np.int64(3), "common": np.float32(0.5)}, (1.0, 0.5, 3.0)),
        ([1, 2, 3], (1.0, 2.0, 3.0)),
        (np.array([1, 2, 3], np.float32), (1.0, 2.0, 3.0)),
        ({}, (1.0, 1.0, 1.0)),
    ],
)
def test_weights_are_said_by_name_or_in_the_order_of_the_classes(given, found):
    assert with_class_weights(DATA, given).class_weights == found


def test_classes_that_are_numbers_are_named_by_them():
    assert with_class_weights(load("digits"), {7: 2.0}).class_weights[6:9] == (1.0, 2.0, 1.0)


def test_they_are_told_with_the_data():
    assert with_class_weights(DATA, "balanced").describe().endswith("locked for the test; class weights balanced")
    assert with_class_weights(DATA, "rare=0.5").describe().endswith("; class weights 1, 1, 0.5")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("rar=5", "unknown class of three 'rar': did you mean rare"),
        ("rare=0", "the weight of class 'rare' must be a number above 0; got 0"),
        ("rare=nan", "must be a number above 0; got nan"),
        ("rare=inf", "must be a number above 0; got inf"),
        ("rare", "or class=number pairs separated by commas, such as rare=5; got 'rare'"),
        ("rare=much", "got 'rare=much'"),
        ("", "or class=number pairs"),
        ({"rare": "5"}, "the weight of class 'rare' must be a number above 0; got 5"),
        ({"rare": True}, "must be a number above 0; got True"),
        ([1, 2], "one for each of the 3 classes of three; got 2 numbers"),
        (3, "got a int"),
    ],
)
def test_what_is_no_weight_is_refused(given, said):
    with pytest.raises(InvalidInput, match=said):
        with_class_weights(DATA, given)


@pytest.mark.parametrize("task", ["balanced", "autoencoding"])
def test_other_tasks_have_none(task):
    with pytest.raises(InvalidInput, match=f"class weights are for classification; the task of wine is {task}"):
        with_class_weights(load("wine", task=task), "balanced")
