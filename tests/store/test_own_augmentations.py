"""Studies with augmentations of the user's own: told of elsewhere, gone on with only by the same code."""

import functools

import pytest
import torch
from torch import nn

import trainsmith
from make_store import ASKED, NETWORK, table
from trainsmith import api
from trainsmith.catalogue import registry
from trainsmith.errors import InvalidInput
from trainsmith.question import Question
from trainsmith.regularization import augmentation
from trainsmith.store import Store, code_digest
from trainsmith.studies import progress_of, study_in


@pytest.fixture(autouse=True)
def another_process(monkeypatch):
    """What is called makes this process one that has entered nothing."""
    trainsmith.techniques()
    ours = dict(registry._techniques)

    def begin():
        monkeypatch.setattr(registry, "_techniques", dict(ours))
        monkeypatch.setattr(registry, "_elsewhere", {})

    begin()
    return begin


def noisy(x):
    return x + 0.1 * torch.randn_like(x)


def louder(x):
    return x + 0.2 * torch.randn_like(x)


def digest(call, **kwargs):
    return code_digest(augmentation(call, "own", **kwargs).make())


def scaled_by(factor):
    return lambda x: factor * x


def scaled(x, factor=2.0):
    return factor * x


class Scaled(nn.Module):
    def __init__(self, factor, times=1, plain=None):
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))
        self.times, self.plain, self._calls = times, plain, 0

    def forward(self, x):
        self._calls += 1
        return x * self.factor**self.times

    def called(self, x):
        return self(x)


DIFFERENT = [
    noisy, louder, scaled, scaled_by(2.0), scaled_by(3.0), functools.partial(scaled, factor=3.0),
    functools.partial(scaled, factor=4.0), Scaled(2.0), Scaled(3.0), Scaled(2.0, times=2), Scaled(2.0).called,
    Scaled(3.0).called, nn.Sequential(Scaled(2.0)), nn.Sequential(Scaled(2.0, times=2)), Scaled(2.0, plain="a"),
]  # fmt: skip


def test_each_code_and_each_number_in_it_is_known_again_and_apart():
    digests = [digest(call) for call in DIFFERENT]
    assert len({*digests}) == len(DIFFERENT)
    assert digest(noisy, each=True) not in digests
    again = [noisy, scaled_by(2.0), functools.partial(scaled, factor=3.0), Scaled(2.0), Scaled(2.0).called]
    assert [digest(call) for call in again] == [digests[i] for i in (0, 3, 5, 7, 10)]


def test_what_a_call_notes_for_itself_as_it_runs_does_not_make_it_another():
    one = Scaled(2.0)
    before = digest(one)
    one(torch.ones(2))
    assert digest(one) == digest(one.eval()) == before


def test_a_function_that_calls_itself_has_a_digest():
    def down(x):
        return x if x.numel() < 1000 else down(x)

    assert digest(down) == digest(down)


def test_a_study_goes_on_with_the_same_code_alone_and_is_told_of_elsewhere(tmp_path, another_process):
    folder, asked = tmp_path / "s", {**ASKED, "techniques": [augmentation(noisy, "own"), "dropout"]}
    first = api.compare(NETWORK, table(), **asked, folder=folder)
    assert "own" in {row.technique for row in first.study.rows}
    again = api.compare(NETWORK, table(), **asked, folder=folder)
    assert api.resume(folder).to_dict()["rows"] == again.to_dict()["rows"] == first.to_dict()["rows"]
    with pytest.raises(InvalidInput, match=r"holds another study \(other code of augmentations\)"):
        api.compare(
            NETWORK, table(), **{**asked, "techniques": [augmentation(louder, "own"), "dropout"]}, folder=folder
        )

    another_process()
    assert study_in(folder).to_dict()["rows"] == first.to_dict()["rows"]
    another_process()
    assert progress_of(folder).planned == len(Store(folder).runs())
    with pytest.raises(InvalidInput, match=r"'own' is an augmentation of the user's own, .* enter it first"):
        api.resume(folder)


def test_every_own_augmentation_that_a_question_may_train_is_part_of_it():
    augmentation(noisy, "own")

    def code(**asked):
        return Question(**asked).record(NETWORK, table()).get("code of augmentations", {}).keys()

    assert code() == code(vary=["regularization"]) == {"own"}
    assert code(baseline={"regularization": "own"}, vary=["optimizer"]) == {"own"}
    assert not code(vary=["optimizer"])
    assert not code(techniques=["dropout"])
