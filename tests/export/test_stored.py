"""What `trainsmith export` does with a study's folder: copies its winner, says why there is none, writes ONNX."""

import importlib.util
import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

import trainsmith.export.onnx_file
from trainsmith.cli import main
from trainsmith.data.arrays import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.export.onnx_file import NEEDED, onnx_of
from trainsmith.export.source import write_source
from trainsmith.store.inputs import put_data

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def study(tmp_path):
    """A study's folder with an exported winner, the least that export looks at."""
    folder = tmp_path / "study"
    (folder / "winner").mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps({"notes": []}))
    put_data(from_arrays(X, torch.arange(40) % 2), folder)
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.GELU(), nn.Linear(5, 2))
    network[1].running_mean += 0.3
    (folder / "winner" / "model.py").write_text(write_source(network, X[:2]).text)
    save_file(network.state_dict(), folder / "winner" / "weights.safetensors")
    return folder


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_a_winner_is_copied_but_never_over_something(study, tmp_path):
    done = run("export", study, "--to", tmp_path / "to")
    assert (done.exit_code, done.output) == (0, f"exported: {tmp_path / 'to'}\n")
    assert {p.name for p in (tmp_path / "to").iterdir()} == {"model.py", "weights.safetensors"}
    again = run("export", study, "--to", tmp_path / "to")
    assert again.exit_code == 2
    assert "exists already" in again.output


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ('{"notes": ["other", "The winner was not exported: its network is odd."]}', "its network is odd."),
        ('{"notes": []}', "compare again"),
        ("{", "compare again"),
        ("[]", "compare again"),
    ],
)
def test_a_study_without_a_winner_says_why(notes, said, study, tmp_path):
    (study / "winner" / "model.py").unlink()
    (study / "winner" / "weights.safetensors").unlink()
    (study / "winner").rmdir()
    (study / "study.json").write_text(notes)
    done = run("export", study, "--to", tmp_path / "to")
    assert done.exit_code == 2
    assert said in done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "to").exists()


def test_missing_packages_are_named_before_anything_is_written(study, tmp_path, monkeypatch):
    monkeypatch.setattr(trainsmith.export.onnx_file.importlib.util, "find_spec", lambda name: None)
    done = run("export", study, "--to", tmp_path / "to", "--onnx")
    assert done.exit_code == 2
    assert "ONNX needs onnx, onnxscript, onnxruntime, not installed here" in done.output
    assert not (tmp_path / "to").exists()


@pytest.fixture
def with_onnx():
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{', '.join(missing)} not installed")


@pytest.mark.filterwarnings("ignore")
def test_the_onnx_file_does_what_the_network_does_for_any_number_of_examples(study, tmp_path, with_onnx):
    import onnxruntime

    done = run("export", study, "--to", tmp_path / "to", "--onnx")
    assert done.exit_code == 0, done.output
    assert "the outputs of model.onnx lie within" in done.output
    names: dict[str, object] = {}
    exec((study / "winner" / "model.py").read_text(), names)
    network = trainsmith.export.onnx_file._network(study / "winner")
    session = onnxruntime.InferenceSession((tmp_path / "to" / "model.onnx").read_bytes())
    for n in (1, 7):
        (found,) = session.run(None, {"x": X[:n].numpy()})
        torch.testing.assert_close(torch.from_numpy(found), network(X[:n]).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_onnx_does_not_know_is_said_in_one_line(study, with_onnx):
    source = (study / "winner" / "model.py").read_text()
    odd = "class Odd(nn.Module):\n    def forward(self, x):\n        return torch.special.bessel_j0(x)\n\n\n"
    source = source.replace("def build", f"import torch\n\n\n{odd}def build").replace(
        'nn.GELU(approximate="none")', "Odd()"
    )
    (study / "winner" / "model.py").write_text(source)
    with pytest.raises(InvalidInput, match="cannot be converted to ONNX") as caught:
        onnx_of(study / "winner", X)
    assert "\n" not in str(caught.value)
