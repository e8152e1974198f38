"""Studies with augmentations of the user's own: told of elsewhere, gone on with only by the same code."""

import functools
import sys

import pytest
import torch
from torch import nn

import trainsmith
from make_store import ASKED, NETWORK, table
from trainsmith import api
from trainsmith.catalogue import Recipe, Run, Trial, registry
from trainsmith.errors import InvalidInput
from trainsmith.network import named_augmentation
from trainsmith.population import Job, Training
from trainsmith.question import Question
from trainsmith.regularization import augmentation
from trainsmith.store import Store, code_digest
from trainsmith.store.worker import do
from trainsmith.studies import progress_of, study_in
from trainsmith.study_file import read_study_file, study_file


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


FILE = """
import torch

def noisy(x):
    return x + 0.1 * torch.randn_like(x)

class Doubled(torch.nn.Module):
    def forward(self, x):
        return 2 * x

doubled = Doubled()
number = 3
dropout = doubled
"""


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """A file of augmentations, of a name that is the test's own."""
    file = tmp_path / f"augmentations_of_{tmp_path.name}.py"
    file.write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield file
    sys.modules.pop(file.stem, None)


def test_a_study_names_augmentations_in_a_file_and_goes_on_where_nobody_entered_them(
    own_file, another_process, monkeypatch
):
    folder, names = own_file.parent / "s", [f"{own_file.name}:{name}" for name in ("noisy", "doubled")]
    asked = {**ASKED, "techniques": [*names, "dropout"], "processes": 2}
    first = api.compare(NETWORK, table(), **asked, folder=folder)
    assert {row.technique for row in first.study.rows} == {"none", "noisy", "doubled", "dropout"}
    assert first.study.receipt.holds
    another_process()
    monkeypatch.chdir("/")
    assert api.resume(folder).to_dict()["rows"] == first.to_dict()["rows"]
    asked["techniques"] = [f"{own_file}:noisy", f"{own_file}:doubled", "dropout"]
    again = api.compare(NETWORK, table(), **asked, folder=folder)
    assert again.to_dict()["rows"] == first.to_dict()["rows"]
    another_process()
    own_file.unlink()
    with pytest.raises(InvalidInput, match=r"there is no file '.*' to take the augmentation from"):
        api.resume(folder)


def test_a_worker_that_knows_the_store_alone_gets_them_from_their_file(own_file, another_process, monkeypatch):
    asked = Question(techniques=[f"{own_file.name}:noisy"]).record(NETWORK, table())
    run = Run(Trial(Recipe(regularization=("noisy",))), 3)
    store = Store.create(own_file.parent / "s", asked, table())
    (id,) = store.ask("tuning", [Job(NETWORK, Training(steps=4, batch_size=8, checks=1), (run,), False)])
    another_process()
    monkeypatch.chdir("/")
    assert [result.status for result in do(store.folder, id).results] == ["finished"]


def test_naming_one_again_is_no_other_until_its_file_is_read_anew(own_file):
    name = f"{own_file.name}:noisy"
    first = named_augmentation(name)
    assert named_augmentation(f"{own_file}:noisy") is first
    del sys.modules[own_file.stem]
    assert named_augmentation(name) is not first


def test_a_baseline_names_one_in_a_file(own_file):
    asked = {**ASKED, "baseline": {"regularization": f"l2+{own_file.name}:doubled"}}
    assert api.compare(NETWORK, table(), **asked).study.baseline.regularization == ("l2", "doubled")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "cannot import the augmentation '.*nothing': .* has no 'nothing'; it defines noisy, Doubled"),
        ("Doubled", "the augmentation '.*Doubled' is a class; make an object of it there and name that"),
        ("number", "an augmentation must be a function of a batch; got int"),
        ("dropout", "the catalogue has a regularization called 'dropout' already"),
    ],
)
def test_what_a_file_does_not_give_is_said(own_file, name, told):
    with pytest.raises(InvalidInput, match=told):
        api.compare(NETWORK, table(), **{**ASKED, "techniques": [f"{own_file.name}:{name}"]})


def test_a_study_file_names_them_from_its_own_folder(own_file, monkeypatch):
    study = own_file.parent / "study.toml"
    study.write_text(f'data = "wine"\ntechniques = ["{own_file.name}:noisy", "dropout"]\n')
    monkeypatch.chdir("/")
    named = read_study_file(study).options["techniques"]
    assert named == [f"{str(own_file).removeprefix('/')}:noisy", "dropout"]
    assert f'techniques = ["{own_file}:noisy", "dropout"]' in study_file(read_study_file(study))


def test_every_own_augmentation_that_a_question_may_train_is_part_of_it():
    augmentation(noisy, "own")

    def code(**asked):
        return Question(**asked).record(NETWORK, table()).get("code of augmentations", {}).keys()

    assert code() == code(vary=["regularization"]) == {"own"}
    assert code(baseline={"regularization": "own"}, vary=["optimizer"]) == {"own"}
    assert not code(vary=["optimizer"])
    assert not code(techniques=["dropout"])
