"""Splits: a locked test part that never changes, a train/validation split for every seed."""

import hashlib

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split

from trainsmith.data import from_arrays, load, split
from trainsmith.data.split import _draw, held_out, lock
from trainsmith.errors import InvalidInput


def numbered(task="classification", n=203):
    """x counts the examples, so that a part can be told from its inputs; classes of 58, 29 and 13 percent."""
    x = np.arange(n, dtype=np.float32)[:, None]
    rng = np.random.default_rng(0)
    y = rng.choice(3, n, p=[0.58, 0.29, 0.13]) if task == "classification" else rng.normal(size=n)
    return x, y


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_test_part_is_a_fifth_disjoint_from_the_rest_and_always_the_same(task):
    x, y = numbered(task)
    data = from_arrays(x, y)
    assert data.task == task
    inside, outside = data.x[:, 0].tolist(), data.test.open()[0][:, 0].tolist()
    assert sorted(inside + outside) == x[:, 0].tolist()
    assert len(outside) == 41
    assert inside == sorted(inside)
    assert from_arrays(x, y).test.open()[0][:, 0].tolist() == outside
    for part_x, part_y in ((data.x, data.y), data.test.open()):
        rows = part_x[:, 0].long().numpy()
        np.testing.assert_array_equal(part_y.numpy(), y[rows].astype(part_y.numpy().dtype))


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("share", [0.2, 0.35])
def test_a_split_is_the_whole_development_part_in_two(task, share):
    data = from_arrays(*numbered(task))
    train, validation = split(data, 3, share)
    assert train.dtype == validation.dtype == np.int64
    assert sorted([*train, *validation]) == list(range(len(data.x)))
    assert len(validation) == int(np.ceil(share * len(data.x)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()


@pytest.mark.parametrize(("n", "locked"), [(35, 7), (36, 8), (39, 8), (40, 8)])
def test_a_fifth_is_rounded_up_but_not_for_the_sake_of_rounding_errors(n, locked):
    assert from_arrays(*numbered("regression", n)).test.size == locked
    assert len(split(from_arrays(*numbered("regression", 125)), 0, 0.07)[1]) == 7, "of 100"


def test_classes_keep_their_proportions_within_one_example():
    x, y = numbered()
    data = from_arrays(x, y)
    held = np.bincount(data.test.open()[1].numpy())
    assert (np.abs(held - np.bincount(y) * 41 / 203) < 1).all()
    for seed in range(20):
        validation = split(data, seed)[1]
        counts = np.bincount(data.y.numpy()[validation])
        assert (np.abs(counts - np.bincount(data.y.numpy()) * len(validation) / len(data.y)) < 1).all()


def test_each_seed_draws_its_own_split_and_the_same_again():
    data = load("digits")
    drawn = {tuple(split(data, seed)[1]) for seed in (*range(10), 10**12)}
    assert len(drawn) == 11
    assert tuple(split(data, 4)[1]) in drawn
    np.random.seed(1)
    assert tuple(split(data, 4)[1]) == tuple(split(load("digits"), 4)[1])


def test_every_example_is_validated_on_by_some_seed():
    data = from_arrays(*numbered("regression"))
    often = np.zeros(len(data.x))
    for seed in range(200):
        often[split(data, seed)[1]] += 1
    assert often.min() > 15
    assert often.max() < 70
    assert often.mean() == pytest.approx(0.2 * 200, rel=0.03)


def digest(indices):
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()[:16]


def test_splits_are_the_same_on_every_platform_and_in_every_version():
    """If this fails, studies can no longer be resumed or repeated: do not change the values lightly."""
    digits, diabetes = load("digits"), load("diabetes")
    assert digest(split(digits, 0)[0]) == "02caae4547524670"
    assert digest(split(digits, 1000)[1]) == "10e6ad919cd8897f"
    assert digest(split(diabetes, 7)[0]) == "23f50f65b8eb5102"
    assert digest(digits.test.open()[1].numpy()) == "f812b1772145ffe5"


def test_one_split_is_not_the_shadow_of_another():
    """The same seed and number of examples must not hold out the same ones for the test and validation."""
    y = torch.arange(100.0)
    data = from_arrays(np.arange(125)[:, None], np.arange(125.0))
    held = lock(y[:, None], y, "regression")[2].open()[1].long().tolist()
    assert len(data.y) == 100
    assert split(data, 0)[1].tolist() != held


@pytest.mark.parametrize("share", [0, 1, -0.2, 1.5, float("nan")])
def test_a_share_outside_0_and_1_is_refused(share):
    with pytest.raises(InvalidInput, match=rf"between 0 and 1; got {share}"):
        split(from_arrays(*numbered()), 0, share)


def test_a_share_too_small_for_the_classes_is_refused():
    with pytest.raises(InvalidInput, match=r"blobs: holding 1% of 162 examples out needs two .* 3 classes and room"):
        split(from_arrays(*numbered(), name="blobs"), 0, 0.01)


@pytest.mark.parametrize("task", ["classification", "balanced", "regression"])
def test_the_draws_are_those_of_scikit_learn(task):
    """With which exported scripts split. Many sizes of classes, equal ones among them, whose shares are drawn for."""
    rng = np.random.default_rng(1)
    for case in range(120):
        sizes = rng.integers(2, 9 if case % 2 else 60, rng.integers(2, 12))
        y = rng.permutation(np.repeat(np.arange(len(sizes)), np.maximum(sizes, 2) * (1 + case % 3)))
        if task == "regression":
            y = rng.normal(size=len(y))
        share = (0.2, 0.35, 0.5)[case % 3]
        try:
            count = held_out(torch.from_numpy(y), task, share, "data")
        except InvalidInput:
            continue
        digest = hashlib.blake2b(f"{case}/split".encode(), digest_size=8).digest()
        luck = np.random.RandomState(np.random.Philox(key=int.from_bytes(digest, "little")))
        strata = None if task == "regression" else y
        theirs = train_test_split(np.arange(len(y)), test_size=count, stratify=strata, random_state=luck)
        ours = _draw(torch.from_numpy(y), task, share, case, "split", "data")
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == np.int64
            np.testing.assert_array_equal(a, np.sort(b))
