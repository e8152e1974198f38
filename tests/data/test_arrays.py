"""from_arrays: what becomes of a user's arrays, and what is refused with which words."""

import numpy as np
import pandas as pd
import pytest
import torch

from trainsmith.data import from_arrays
from trainsmith.data.arrays import assemble
from trainsmith.errors import InvalidInput

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.arange(60) % 2


def all_of(data):
    """Development and test part together, in no particular order."""
    x, y = data.test.open()
    return torch.cat([data.x, x]), torch.cat([data.y, y])


@pytest.mark.parametrize(
    "pair",
    [
        (X, Y),
        (X.astype(np.float32), Y.astype(np.uint8)),
        (X.tolist(), Y.tolist()),
        (torch.tensor(X, requires_grad=True), torch.tensor(Y)),
        (pd.DataFrame(X), pd.Series(Y)),
        (X, Y[:, None]),
    ],
    ids=["float64", "float32", "lists", "torch", "pandas", "column"],
)
def test_anything_array_like_becomes_the_same_tensors(pair):
    x, y = all_of(from_arrays(*pair))
    expected_x, expected_y = all_of(from_arrays(X, Y))
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    assert torch.equal(x, expected_x)
    assert torch.equal(y, expected_y)
    assert sorted(x[:, 0].tolist()) == sorted(X[:, 0].astype(np.float32).tolist())


def test_bfloat16_is_widened():
    x = torch.tensor(X, dtype=torch.bfloat16)
    assert sorted(all_of(from_arrays(x, Y))[0][:, 0].tolist()) == sorted(x[:, 0].float().tolist())


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (np.arange(60) % 3 - 1, "classification", ("-1", "0", "1")),
        (Y.astype(bool), "classification", ("False", "True")),
        (np.where(Y, "cat", "ant"), "classification", ("ant", "cat")),
        (pd.Series(np.where(Y, "cat", "ant")), "classification", ("ant", "cat")),
        (Y.astype(float) * 10, "classification", ("0", "10")),
        (np.arange(240) % 20, "classification", tuple(map(str, range(20)))),
        (np.arange(240) % 21, "regression", ()),
        (np.array([f"c{i % 24 + 10}" for i in range(240)]), "classification", tuple(f"c{i + 10}" for i in range(24))),
        (Y + 0.5, "regression", ()),
    ],
)
def test_targets_say_what_the_task_is(y, task, classes):
    x = RNG.normal(size=(len(y), 2))
    x[:, 0] = np.arange(len(y))
    data = from_arrays(x, y)
    assert (data.task, data.classes, data.kind) == (task, classes, "table")
    got_x, got_y = all_of(data)
    raw = np.asarray(y)[got_x[:, 0].long().numpy()]
    if task == "regression":
        np.testing.assert_array_equal(got_y.numpy(), raw.astype(np.float32))
    else:
        texts = [str(int(v)) if isinstance(v, float) else str(v) for v in raw.tolist()]
        assert [classes[i] for i in got_y] == texts


def test_the_task_can_be_said():
    assert from_arrays(X, Y, task="regression").y.dtype == torch.float32
    many = from_arrays(RNG.normal(size=(300, 2)), np.arange(300) % 30, task=" Classification ")
    assert many.outputs == 30


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ((60, 5), (5,)),
        ((60, 8, 9), (1, 8, 9)),
        ((60, 8, 9, 3), (3, 8, 9)),
        ((60, 8, 9, 1), (1, 8, 9)),
        ((60, 8, 9, 4), (4, 8, 9)),
        ((60, 3, 8, 9), (3, 8, 9)),
        ((60, 2, 8, 9), (2, 8, 9)),
        ((60, 1, 8, 4), (1, 8, 4)),
    ],
)
def test_images_get_torchs_layout(given, becomes):
    x = RNG.normal(size=given).astype(np.float32)
    data = from_arrays(x, Y)
    assert data.input_shape == becomes
    assert data.kind == ("table" if len(given) == 2 else "image")
    assert data.x.is_contiguous()
    if x.ndim == 4 and becomes != given[1:]:
        x = np.moveaxis(x, -1, 1)
    rows = [np.flatnonzero(x.reshape(60, -1)[:, 0] == first).item() for first in data.x.flatten(1)[:, 0].numpy()]
    np.testing.assert_array_equal(data.x.numpy(), x[rows].reshape(-1, *becomes))


def test_only_byte_images_are_scaled():
    bytes_ = RNG.integers(0, 256, (60, 4, 4), dtype=np.uint8)
    bytes_[:, 0, 0] = 255
    assert bool((from_arrays(bytes_, Y).x[:, 0, 0, 0] == 1).all())
    assert bool((from_arrays(bytes_.astype(np.int64), Y).x[:, 0, 0, 0] == 255).all())
    assert bool((from_arrays(bytes_.reshape(60, 16), Y).x[:, 0] == 255).all())


def changed(array, value, *places):
    array = np.array(array, dtype=float)
    for place in places:
        array[place] = value
    return array


REFUSED = {
    "NaN in x": (
        changed(X, np.nan, (4, 1), (5, 1), (5, 2)), Y,
        r"mine: x must be finite; 2 of 60 values in feature 1 are NaN or infinite in 32 bits, and there are more "
        r"in 1 other feature\. Remove or fill them",
    ),
    "infinity in x": (changed(X, np.inf, (0, 0)), Y, "1 of 60 values in feature 0 are NaN or infinite"),
    "too large for float32": (changed(X, 1e39, (0, 2)), Y, "1 of 60 values in feature 2 .* in 32 bits"),
    "NaN in an image": (
        changed(np.zeros((60, 4, 5)), np.nan, (0, 2, 3)), Y,
        r"1 of 60 values at \(channel, row, column\) \(0, 2, 3\)",
    ),
    "NaN in y": (X, changed(Y, np.nan, 1, 2), "mine: y must be finite; 2 of 60 targets are NaN"),
    "y too large": (X, changed(Y, -1e300, 1), "mine: y must be finite; 1 of 60 targets"),
    "one class": (X, np.zeros(60, int), "at least two classes; y holds a single class, '0'"),
    "one target": (X, np.full(60, 2.5), "a regression needs targets that differ; all are 2.5"),
    "a rare class": (
        X, np.where(np.arange(60) < 2, 7, Y),
        r"each class needs at least 3 examples, one for each part of the data; class '7' has 2\. Leave",
    ),
    "rare classes": (
        X, np.array(["a", "b", "b"] + ["c"] * 57), "class 'a' has 1, and 1 more classes have too few",
    ),
    "too many classes": (
        X, np.arange(60) % 15, "holding 20% of 60 examples out needs .* each of the 15 classes and room for each",
    ),
    "too many classes for a seed's split": (X, np.arange(60) % 11, "holding 20% of 48 examples out needs"),
    "few examples": (X[:19], Y[:19], "mine: at least 20 examples are needed; got 19"),
    "no examples": (X[:0], Y[:0], "at least 20 examples are needed; got 0"),
    "lengths differ": (X, Y[:59], "one entry per example; x has 60 and y 59"),
    "one axis": (X[:, 0], Y, r"x must be a table \(n, columns\) or images .*; got shape \(60,\)"),
    "five axes": (np.zeros((60, 1, 1, 2, 2)), Y, r"got shape \(60, 1, 1, 2, 2\)"),
    "no columns": (X[:, :0], Y, r"got shape \(60, 0\)"),
    "one-hot y": (X, np.eye(2)[Y], r"y must have one value per example.*got shape \(60, 2\).*y.argmax\(1\)"),
    "a number as y": (X, 3, r"y must have one value per example.*got shape \(\)"),
    "objects in x": (np.array([[object()]] * 60), Y, "mine: x must be an array of numbers; got values of type object"),
    "objects in y": (X, [object()] * 60, "mine: y must be an array of numbers or text; got values of type object"),
    "complex x": (X + 1j, Y, "values of type complex128"),
    "text in x": (np.full((60, 2), "a"), Y, "x must be an array of numbers; got text"),
    "ragged x": ([[1, 2], [3]] * 30, Y, "mine: x must be a dense array with rows of one length"),
    "masked x": (np.ma.masked_less(X, 0), Y, "mine: x has masked values, of which nothing is known"),
    "sparse x": (torch.tensor(X).to_sparse(), Y, "mine: x must be a dense array"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_on_is_refused(case):
    x, y, message = REFUSED[case]
    with pytest.raises(InvalidInput, match=message) as refused:
        from_arrays(x, y, "mine")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (Y + 0.5, "language", "unknown task 'language'"),
        (Y, 5, "unknown task '5'"),
        (Y, "clasification", "unknown task 'clasification': did you mean classification"),
        (Y + 0.5, "classification", "needs whole numbers or text as targets; got fractions"),
        (np.where(Y, "a", "b"), "regression", "a regression needs numbers as targets; got text"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(y, task, message):
    with pytest.raises(InvalidInput, match=message):
        from_arrays(X, y, task=task)


def test_what_is_just_enough_is_accepted():
    y = np.array(["a"] * 3 + ["b"] * 17)
    data = from_arrays(RNG.normal(size=(20, 1)), y)
    assert (len(data.x), data.test.size, data.classes) == (16, 4, ("a", "b"))


def test_arrays_that_are_read_only_are_no_trouble():
    x, y = X.astype(np.float32), Y.astype(np.int64)
    x.flags.writeable = y.flags.writeable = False
    assert torch.equal(from_arrays(x, y).x, from_arrays(X, Y).x)
    assert torch.equal(from_arrays(x, x[:, 0]).y, from_arrays(X, X[:, 0]).y)


def test_the_users_arrays_stay_theirs():
    x = X.astype(np.float32)
    before = x.copy()
    from_arrays(x, Y).x.fill_(7)
    np.testing.assert_array_equal(x, before)


def test_bytes_and_other_numbers_are_not_mixed():
    """Bytes are divided by 255: beside them the same picture in floats is 255 times as bright."""
    pictures = RNG.integers(0, 256, (60, 4, 4), dtype=np.uint8)
    for x, test in ((pictures, pictures.astype(np.float32)), (pictures / 255, pictures)):
        with pytest.raises(InvalidInput, match="x and the test part must both be of uint8, or neither"):
            assemble(x, Y, "mine", test=(test, Y))
        with pytest.raises(InvalidInput, match="x and the unlabelled examples must both be of uint8"):
            assemble(x, Y, "mine", unlabelled=test)
    both = assemble(pictures, Y, "mine", test=(torch.from_numpy(pictures), Y), unlabelled=pictures)
    assert both.x.max() == both.test.open()[0].max() == both.unlabelled.max() <= 1
    table = pictures.reshape(60, 16)
    assert assemble(table, Y, "mine", test=(table.astype(float), Y)).test.open()[0].max() > 1, "a table is not scaled"
