"""What targets may look like for each task, and what is refused."""

import numpy as np
import pytest
import torch

from trainsmith.data import from_arrays, load
from trainsmith.errors import InvalidInput
from trainsmith.question import Question

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
LABELS = RNG.integers(0, 2, (60, 4))
NUMBERS = RNG.normal(size=(60, 2))


def test_labels_and_numbers_are_told_apart():
    labels, numbers = from_arrays(X, LABELS), from_arrays(X, NUMBERS)
    assert (labels.task, labels.outputs, tuple(labels.y.shape)) == ("multilabel", 4, (48, 4))
    assert labels.y.dtype == torch.float32
    assert (numbers.task, numbers.outputs, tuple(numbers.test.open()[1].shape)) == ("regression", 2, (12, 2))
    assert "4 labels, any number of them right; 12 locked" in labels.describe()
    assert "2 numbers to predict" in numbers.describe()


def test_one_hot_rows_are_labels_only_when_that_is_said():
    one_hot = np.eye(3)[np.arange(60) % 3]
    with pytest.raises(InvalidInput, match=r"use y.argmax\(1\)"):
        from_arrays(X, one_hot)
    assert from_arrays(X, one_hot, task="multilabel").outputs == 3


def test_autoencoding_takes_its_inputs_as_targets_in_both_parts():
    data = load("digits", task="autoencoding")
    assert (data.task, data.outputs, data.classes) == ("autoencoding", 64, ())
    assert torch.equal(data.y, data.x.flatten(1))
    x, y = data.test.open()
    assert torch.equal(y, x.flatten(1))
    assert torch.equal(x, load("digits").test.open()[0])
    assert "the examples themselves to reconstruct" in data.describe()


def test_balanced_classification_has_the_same_parts_as_the_usual():
    usual, balanced = load("wine"), load("wine", task="balanced")
    assert (balanced.task, balanced.classes, balanced.outputs) == ("balanced", usual.classes, 3)
    assert torch.equal(usual.y, balanced.y)


@pytest.mark.parametrize("task", ["multilabel", "regression", "autoencoding"])
def test_a_test_part_of_its_own(tmp_path, task):
    y = {"multilabel": LABELS, "regression": NUMBERS, "autoencoding": LABELS[:, 0]}[task]
    np.savez(tmp_path / "own.npz", x=X, y=y, x_test=X[:9], y_test=y[:9])
    data = load(tmp_path / "own.npz", task=task)
    _, locked = data.test.open()
    expected = X[:9] if task == "autoencoding" else y[:9]
    np.testing.assert_array_equal(locked.numpy(), expected.astype(np.float32))
    assert len(data.x) == 60


BAD = {
    "labels of 2": (LABELS * 2, "multilabel", "labels must be 0 or 1"),
    "one label always": (np.c_[LABELS, np.ones(60, int)], None, "label 4 is always 1"),
    "one number always": (np.c_[NUMBERS, np.ones(60)], None, "number 2 is always the same"),
    "one axis": (LABELS[:, 0], "multilabel", r"0 or 1 for each label, \(n, labels\); got shape \(60,\)"),
    "classes in columns": (LABELS, "classification", "must have one value per example"),
    "three axes": (np.zeros((60, 2, 2)), None, "must have one value per example"),
    "text": (LABELS.astype(str), None, "must have one value per example"),
    "nan": (np.where(np.arange(120).reshape(60, 2) == 7, np.nan, NUMBERS), None, "1 of 60 targets are NaN"),
    "fractions balanced": (NUMBERS[:, 0], "balanced", "needs whole numbers or text"),
}


@pytest.mark.parametrize("name", BAD)
def test_targets_that_do_not_fit_the_task_are_refused(name):
    y, task, words = BAD[name]
    with pytest.raises(InvalidInput, match=words):
        from_arrays(X, y, task=task)


def test_parts_of_different_widths_are_refused(tmp_path):
    np.savez(tmp_path / "own.npz", x=X, y=LABELS, x_test=X[:9], y_test=LABELS[:9, :3])
    with pytest.raises(InvalidInput, match="as many numbers or labels"):
        load(tmp_path / "own.npz")
    np.savez(tmp_path / "odd.npz", x=X, y=LABELS, x_test=X[:9], y_test=3 * LABELS[:9])
    with pytest.raises(InvalidInput, match="labels must be 0 or 1"):
        load(tmp_path / "odd.npz", task="multilabel")


def test_another_task_is_another_question_to_a_study():
    usual, balanced = (Question().record("mlp", load("wine", task=task)) for task in (None, "balanced"))
    assert usual != balanced
    assert usual["data"]["digest"] == balanced["data"]["digest"]
