"""What inspect takes of a loader: a few batches, asked for once, and everything of the user's as it was."""

import multiprocessing
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import trainsmith
from inspection.make_network import draws
from trainsmith.errors import InvalidInput
from trainsmith.inspection.passes.loader import is_loader, loaded


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def examples(n=100):
    x = draws(n, 6)
    return x, x[:, :3].argmax(1)


def data(n=100):
    return TensorDataset(*examples(n))


def test_the_first_batches_are_one_and_counted():
    x, y = examples()
    found = trainsmith.inspect(network(), DataLoader(data(), batch_size=30))
    whole = trainsmith.inspect(network(), (x, y))
    assert found.measured.examples == 100
    assert found.measured.batches == 4
    assert found.measured.loss == pytest.approx(whole.measured.loss)
    assert whole.measured.batches is None
    assert "3 layers on 100 examples, 4 batches of the loader, loss" in str(found.table())
    assert "3 layers on 100 examples, 4 batches of the loader, first loss" in found.html()
    assert found.to_dict()["batches"] == 4
    assert "on 100 examples, loss" in str(whole.table())


class Counted:
    """Gives batches of 10 without end, and notes how many."""

    def __init__(self):
        self.given = self.begun = 0

    def __iter__(self):
        self.begun += 1
        while True:
            self.given += 1
            x = draws(10, 6, seed=self.given)
            yield x, x[:, :3].argmax(1)


def test_an_endless_loader_is_asked_once_for_what_is_taken():
    loader = Counted()
    taken = loaded(loader, network())
    assert (loader.begun, loader.given, taken.batches, taken.size) == (1, 64, 64, 10)
    assert len(taken.batch[0]) == 640
    large = loaded(((draws(300, 6), torch.zeros(300).long()) for _ in range(9)), network())
    assert (large.batches, len(large.batch[0]), len(large.batch[1])) == (4, 1000, 1000)


def test_a_network_with_many_outputs_is_shown_fewer_examples(monkeypatch):
    monkeypatch.setattr("trainsmith.inspection.passes.costs.MOST_NUMBERS", 1000)
    taken = loaded(Counted(), network())
    assert (taken.batches, len(taken.batch[0])) == (6, 52)  # each with 8 + 8 + 3 numbers


def test_a_generator_goes_on_where_it_was_left():
    def batches():
        for i in range(100):
            yield torch.full((500, 6), float(i)), torch.zeros(500).long()

    given = batches()
    loaded(given, network())
    assert float(next(given)[0][0, 0]) == 2


def test_nobodys_luck_is_touched():
    own = torch.Generator().manual_seed(3)
    loader, module = DataLoader(data(), batch_size=10, shuffle=True, generator=own), network()
    states = torch.get_rng_state(), own.get_state(), random.getstate(), np.random.get_state()[1].tolist()
    taken = loaded(loader, module)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert torch.equal(own.get_state(), states[1])
    assert random.getstate() == states[2]
    assert np.random.get_state()[1].tolist() == states[3]
    torch.testing.assert_close(taken.batch[0], torch.cat([x for x, _ in loader]))  # as the training will see them


class Drawing(Dataset):
    """Examples that are augmented by Python's and NumPy's random numbers."""

    def __len__(self):
        return 40

    def __getitem__(self, i):
        return torch.full((6,), random.random() + np.random.rand()), i % 3


def test_what_a_data_set_draws_by_python_and_numpy_is_put_back():
    before = random.getstate(), np.random.get_state()[1].tolist()
    loaded(DataLoader(Drawing(), batch_size=10), network())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_workers_end_and_those_of_the_user_go_on():
    loader = DataLoader(data(), batch_size=10, num_workers=1, persistent_workers=True, multiprocessing_context="fork")
    own = iter(loader)
    next(own)
    before = {p.pid for p in multiprocessing.active_children()}
    assert len(loaded(loader, network()).batch[0]) == 100
    assert {p.pid for p in multiprocessing.active_children()} == before
    assert loader._iterator is own
    assert sum(len(x) for x, _ in own) == 90
    own._shutdown_workers()


def test_a_steps_batch_is_that_of_the_loader_unless_another_is_said():
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    small = trainsmith.inspect(module, DataLoader(data(), batch_size=2))
    assert "batch norm's batches" in {f.short for f in small.findings}
    large = trainsmith.inspect(module, DataLoader(data(), batch_size=2), batch_size=50)
    assert "batch norm's batches" not in {f.short for f in large.findings}


def test_held_back_examples_may_come_from_a_loader_too():
    held = DataLoader(data(), batch_size=25)
    found = trainsmith.inspect(network(), DataLoader(data(), batch_size=30), validation=held)
    assert "leak between the splits" in {f.short for f in found.findings}


def test_remedies_and_trainings_are_on_what_was_taken():
    module = network()
    nn.init.constant_(module[0].weight, 0.1)
    found = trainsmith.inspect(module, DataLoader(data(), batch_size=30), steps=4)
    assert found.measured.course.batch_size == 30
    assert found.remedies(seeds=2, steps=3, batch_size=20).treatment.remedies


@pytest.mark.parametrize("form", ["pair", "named", "inputs"])
def test_batches_of_every_form(form):
    x, y = examples(40)
    made = {
        "pair": lambda a, b: ((a, a), b), "named": lambda a, b: {"x": a, "labels": b}, "inputs": lambda a, b: a,
    }[form]  # fmt: skip
    taken = loaded((made(x[i : i + 8], y[i : i + 8]) for i in range(0, 40, 8)), network()).batch
    if form == "pair":
        assert [t.shape for t in taken[0]] == [(40, 6), (40, 6)]
        assert torch.equal(taken[1], y)
    elif form == "named":
        assert torch.equal(taken["x"], x)
        assert torch.equal(taken["labels"], y)
    else:
        assert torch.equal(taken, x)


def test_texts_of_unlike_lengths_are_filled_up_behind_their_mask():
    def batch(n, length):
        ids = torch.full((n, length), 7)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.full((n, length), 2)}

    taken = loaded([batch(3, 4), batch(2, 6)], nn.Embedding(9, 3)).batch
    assert taken["input_ids"][0].tolist() == [7, 7, 7, 7, 0, 0]
    assert taken["attention_mask"][0].tolist() == [1, 1, 1, 1, 0, 0]
    assert taken["labels"][0].tolist() == [2, 2, 2, 2, -100, -100]
    assert taken["labels"][4].tolist() == [2] * 6
    assert len(taken["input_ids"]) == 5


def test_what_is_of_another_shape_is_passed_over_where_no_mask_tells():
    x, y = examples(30)
    taken = loaded([(x[:10], y[:10]), (draws(10, 7), y[:10]), (x[20:], y[20:])], network())
    assert taken.batches == 2
    assert torch.equal(taken.batch[0], torch.cat([x[:10], x[20:]]))


def test_what_is_one_for_all_examples_stays_one():
    def batch(i):
        return {"x": draws(5, 6, seed=i), "mask": torch.ones(6)}

    taken = loaded([batch(1), batch(2)], network()).batch
    assert (taken["x"].shape, taken["mask"].shape) == ((10, 6), (6,))


class Words(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return torch.zeros(6), 0


class Failing(IterableDataset):
    def __iter__(self):
        raise KeyError("column")
        yield


MISTAKES = {
    "empty": (DataLoader(data(), batch_sampler=[]), "the loader gives no batch"),
    "used up": (iter([]), "the loader gives no batch: its data set is empty, or it was asked for all before"),
    "a data set": (Words(), r"Words gives examples one by one: give DataLoader\(dataset, batch_size=64\)"),
    "numbers": (iter([1, 2]), "batch 0 of the loader cannot be used: the batch must be a tensor.*got int"),
    "three": (DataLoader(TensorDataset(*[draws(9, 6)] * 3), 3), "got Tensor, Tensor, Tensor.*for first, second"),
    "empty batches": (iter([draws(0, 6)]), "batch 0 .* is empty"),
    "two kinds": (iter([draws(3, 6), (draws(3, 6), torch.zeros(3))]), r"batch 1 of the loader holds \(3, 6\) of "),
    "fails": (DataLoader(Failing(), 3), r"the loader cannot give a batch: KeyError"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_sentence(name):
    loader, words = MISTAKES[name]
    assert is_loader(loader)
    with pytest.raises(InvalidInput, match=words) as caught:
        trainsmith.inspect(network(), loader)
    assert "\n" not in str(caught.value)


def test_what_is_a_batch_is_no_loader():
    x, y = examples()
    for batch in (
        x,
        (x, y),
        [x, y],
        {"x": x},
        x.numpy(),
        [(x, x), y],
        ((x, x), (y, y)),
        [[1.0], [2.0]],
        "words",
        None,
        3,
    ):
        assert not is_loader(batch)
