"""Few labels and unlabelled examples: which are drawn, how they are given, what is refused."""

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import TensorDataset

from make_runs import blobs, line
from trainsmith.data import as_dataset, from_arrays, labelled, load, split, with_labels
from trainsmith.errors import InvalidInput
from trainsmith.store import data_of, digest
from trainsmith.store.inputs import data_for_work, put_data

DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(90, 4)).astype(np.float32), np.arange(90) % 3
FURTHER = DRAW.normal(size=(25, 4)).astype(np.float32)


@pytest.mark.parametrize(("count", "each"), [(9, [3, 3, 3]), (31, [10, 10, 11])])
def test_labels_are_drawn_by_the_seed_as_many_of_each_class(count, each):
    data = with_labels(from_arrays(X, Y), count)
    train, _ = split(data, 4)
    kept = labelled(data, train, 4)
    assert len(kept) == count
    assert set(kept) <= set(train)
    assert list(kept) == sorted(set(kept))
    assert sorted(np.bincount(data.y[kept])) == each
    assert np.array_equal(kept, labelled(data, train, 4))
    assert not np.array_equal(kept, labelled(data, train, 5)), "of the same training part"


def test_a_rare_class_gives_all_that_it_has_and_others_fill_up():
    y = np.where(np.arange(90) < 6, 1, 0)
    data = with_labels(from_arrays(X, y), 20)
    train, _ = split(data, 0)
    kept = labelled(data, train, 0)
    assert len(kept) == 20
    assert (data.y[kept] == 1).sum() == (data.y[train] == 1).sum() < 10


def test_labels_of_other_tasks_are_drawn_at_random():
    data = with_labels(line(), 12)
    assert len(labelled(data, split(data, 0)[0], 0)) == 12


def test_without_a_number_all_labels_are_seen():
    data = from_arrays(X, Y)
    train, _ = split(data, 0)
    assert labelled(data, train, 0) is train
    assert data.inputs is data.x


@pytest.mark.parametrize("count", [2, 0, -1, 58, True, 9.0])
def test_a_number_of_labels_that_cannot_be_is_refused(count):
    with pytest.raises(InvalidInput, match="labels must be a whole number from 3, one a class, to the 57 examples"):
        with_labels(from_arrays(X, Y), count)


def test_a_task_without_labels_has_none_to_hide():
    with pytest.raises(InvalidInput, match="the task of blobs is autoencoding"):
        with_labels(blobs().autoencoding(), 20)


def test_unlabelled_examples_stand_behind_the_others(tmp_path):
    np.savez(tmp_path / "some.npz", x=X, y=Y, X_unlabelled=FURTHER)
    found = (
        as_dataset({"train": (X, Y), "unlabelled": FURTHER}),
        as_dataset({"train": (X, Y), "unlabelled": TensorDataset(torch.from_numpy(FURTHER))}),
        load(tmp_path / "some.npz"),
    )
    for data in found:
        assert torch.equal(data.unlabelled, torch.from_numpy(FURTHER))
        assert torch.equal(data.inputs, torch.cat([data.x, data.unlabelled]))
        assert len(data.x) == 72
        assert "25 more without labels" in data.describe()


def test_unlabelled_images_are_made_like_the_others():
    images, further = (DRAW.integers(0, 255, (n, 5, 6), dtype=np.uint8) for n in (60, 7))
    data = as_dataset({"train": (images, np.arange(60) % 3), "unlabelled": further})
    torch.testing.assert_close(data.unlabelled, torch.from_numpy(further)[:, None] / 255)


@pytest.mark.parametrize(
    ("further", "said"),
    [
        (FURTHER[:, :3], r"the unlabelled examples must have the shape \(4,\) of the others; got 25 of shape \(3,\)"),
        (FURTHER[:0], "got 0 of shape"),
        (np.where(FURTHER > 1, np.nan, FURTHER), "unlabelled examples: x must be finite"),
        (["a", "b"], "the unlabelled examples must be an array of numbers"),
    ],
)
def test_unlabelled_examples_that_do_not_belong_are_refused(further, said):
    with pytest.raises(InvalidInput, match=said):
        as_dataset({"train": (X, Y), "unlabelled": further})


class Odd(TorchDataset):
    """Inputs of two shapes, none at all, or without a length."""

    def __init__(self, sizes):
        self.sizes = sizes

    def __getitem__(self, i):
        return np.zeros(self.sizes[i], np.float32)

    def __len__(self):
        if self.sizes is None:
            raise NotImplementedError
        return len(self.sizes)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([4, 3], r"the inputs of the unlabelled part must have one shape; got \(3,\), \(4,\)"),
        ([], "the unlabelled part is empty"),
        (None, "a torch Dataset must have a length; Odd has none"),
    ],
)
def test_an_unlabelled_torch_dataset_is_checked_as_the_others_are(sizes, said):
    with pytest.raises(InvalidInput, match=said):
        as_dataset({"train": (X, Y), "unlabelled": Odd(sizes)})


def test_a_study_keeps_them(tmp_path):
    data = with_labels(as_dataset({"train": (X, Y), "unlabelled": FURTHER}), 12)
    put_data(data, tmp_path)
    for kept in (data_of(tmp_path), data_for_work(tmp_path)):
        assert kept.labels == 12
        assert torch.equal(kept.inputs, data.inputs)
    assert digest(data_of(tmp_path)) == digest(data) != digest(from_arrays(X, Y, "data"))
