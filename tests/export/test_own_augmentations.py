"""Exports of studies with augmentations of the user's own: their source, or the statement that makes them."""

import sys

import pytest
from torch import nn

import trainsmith
from make_store import ASKED, NETWORK, table
from trainsmith import api
from trainsmith.catalogue import registry
from trainsmith.errors import InvalidInput
from trainsmith.network import named_in_code
from trainsmith.regularization import augmentation

FILE = """
import torch
from torch import nn

SIGMA = 0.1

def noisy(x):
    return x + SIGMA * torch.randn_like(x)

class Mixed(nn.Module):
    def __init__(self, share):
        super().__init__()
        self.share = share

    def forward(self, x):
        return self.share * noisy(x) + (1 - self.share) * x

third = Mixed(0.3)
half = Mixed(0.5)
"""


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    trainsmith.techniques()
    monkeypatch.setattr(registry, "_techniques", dict(registry._techniques))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = tmp_path / f"own_of_{tmp_path.name}.py"
    file.write_text(FILE)
    yield file
    sys.modules.pop(file.stem, None)


def own_call(file, name):
    return named_in_code(f"{file}:{name}", "augmentation")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("noisy", ["SIGMA = 0.1", "def noisy(x):"]),
        ("half", ["SIGMA = 0.1", "def noisy(x):", "class Mixed(nn.Module):", "half = Mixed(0.5)"]),
    ],
)
def test_the_script_has_what_the_users_file_says_and_runs_alone(own_file, python, name, source):
    asked = {**ASKED, "baseline": {"regularization": f"{own_file.name}:{name}"}}
    folder = api.compare(NETWORK, table(), **asked).export(own_file.parent / "out")
    text = (folder / "techniques.py").read_text()
    assert all(line in text for line in source)
    assert text.index(source[-1]) < text.index("class OwnAugmentation")
    assert f"{name} = OwnAugmentation({name}, each=False)" in (folder / "train.py").read_text()
    own_file.unlink()
    alone = "import sys, runpy; sys.modules['trainsmith'] = None; sys.path[0] = '.'; "
    done = python.run(f"{alone}runpy.run_path('train.py', run_name='__main__')", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout


def test_one_that_gets_one_example_at_a_time_does_so_in_the_script(own_file):
    augmentation(own_call(own_file, "noisy"), "own", each=True)
    study = api.compare(NETWORK, table(), **{**ASKED, "baseline": {"regularization": "own"}})
    text = (study.export(own_file.parent / "out") / "train.py").read_text()
    assert "own = OwnAugmentation(noisy, each=True)" in text


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


def test_one_without_a_name_at_the_top_of_a_file_is_not_exported_and_why_is_said(own_file):
    own = augmentation(Doubled(), "doubled")
    study = api.compare(NETWORK, table(), **{**ASKED, "baseline": {"regularization": own.name}})
    with pytest.raises(InvalidInput, match="a Doubled has no name at the top of a file; give it one"):
        study.export(own_file.parent / "out")
