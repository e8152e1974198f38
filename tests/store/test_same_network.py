"""A study's folder answers for its own network alone, and for it in every process."""

import functools
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from make_store import ASKED, NETWORK, RUNS, network, numbers, table
from trainsmith import api
from trainsmith.comparison import Announce
from trainsmith.errors import InvalidInput
from trainsmith.question import Question
from trainsmith.store import SIGNATURE, Store, network_name, opened
from trainsmith.store.opening import differing, of_other_versions, unfinished

ASKING = Question(**{name: value for name, value in ASKED.items() if name != "processes"})
NET = (
    "import scaling_layer\nfrom torch import nn\n\n\ndef build(shape, outputs, width):\n"
    "    return nn.Sequential(scaling_layer.Scale(), nn.Linear(shape[0], width), nn.Linear(width, outputs))\n"
)
LAYER = "from torch import nn\n\n\nclass Scale(nn.Module):\n    def forward(self, x):\n        return {by} * x\n"
ELSEWHERE = """
import functools, sys
sys.path[:0] = ["{tests}", "."]
import net_of_a_partial
import test_same_network as asked
asked.begin(asked.Path("s"), functools.partial(net_of_a_partial.build, width=5))
print("gone on with")
"""
IN_A_FILE = """
from torch import nn


def build(shape, outputs):
    return nn.Sequential(nn.Linear(shape[0], 5), nn.ReLU(), nn.Linear(5, outputs))
"""


def begin(folder, made):
    """What compare does before and after its training."""
    with opened(folder, ASKING.record(made, table()), table()):
        pass


def closure(width):
    return lambda shape, outputs: nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, outputs))


def test_another_closure_of_the_same_name_is_not_answered(tmp_path):
    begin(tmp_path / "s", closure(2))
    with pytest.raises(InvalidInput, match=r"holds another study \(other network's signature\)"):
        begin(tmp_path / "s", closure(6))
    begin(tmp_path / "s", closure(2))
    assert unfinished(tmp_path, ASKING.record(closure(2), table())) == tmp_path / "s"
    assert unfinished(tmp_path, ASKING.record(closure(6), table())) is None


def test_a_partial_goes_on_in_another_process_and_an_edit_of_what_it_imports_is_noticed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "net_of_a_partial.py").write_text(NET)
    (tmp_path / "scaling_layer.py").write_text(LAYER.format(by="1.0"))
    program = ELSEWHERE.format(tests=f'{Path(__file__).parent}", "{Path(__file__).parents[1]}')
    begun = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert begun.stdout == "gone on with\n", begun.stderr
    build = importlib.import_module("net_of_a_partial").build
    begin(tmp_path / "s", functools.partial(build, width=5))
    assert (
        Store(tmp_path / "s").about("question")["network"] == "functools:functools.partial(<function build>, width=5)"
    )
    with pytest.raises(InvalidInput, match=r"other network, network's signature"):
        begin(tmp_path / "s", functools.partial(build, width=6))
    (tmp_path / "scaling_layer.py").write_text(LAYER.format(by="0.25"))  # another length: the compiled file is stale
    importlib.reload(sys.modules["scaling_layer"])
    with pytest.raises(InvalidInput, match=r"\(other network's signature\)"):
        begin(tmp_path / "s", functools.partial(build, width=5))


def test_a_study_that_an_older_program_began_goes_on(tmp_path):
    begin(tmp_path / "s", NETWORK)
    store = Store(tmp_path / "s")
    question = store.about("question")
    store.note("question", {k: v for k, v in question.items() if k != SIGNATURE})
    begin(tmp_path / "s", NETWORK)
    assert differing({}, {SIGNATURE: "a"}) == []
    assert differing({SIGNATURE: None}, {SIGNATURE: "a"}) == [SIGNATURE] == differing({SIGNATURE: "b"}, {})


def test_a_study_of_another_torch_says_so_though_the_signature_is_another_too(tmp_path):
    begin(tmp_path / "s", NETWORK)
    store = Store(tmp_path / "s")
    question = store.about("question")
    other = {SIGNATURE: "of another torch", "versions": {**question["versions"], "torch": "1.0"}}
    store.note("question", {**question, **other})
    with pytest.raises(InvalidInput, match=r"was begun with .*torch 1.0"):
        begin(tmp_path / "s", NETWORK)


def test_a_name_holds_no_address():
    class Maker:
        def __call__(self, shape, outputs):
            return network(shape, outputs)

    assert network_name(Maker()) == f"{__name__}:<{__name__}.{Maker.__qualname__} object>"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A network in net.py of the working directory, and in a file beside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("net.py", "other.py"):
        Path(name).write_text(IN_A_FILE)
    Path("sub").mkdir()
    return tmp_path


def test_a_network_in_a_file_is_the_same_however_its_path_is_typed(elsewhere, monkeypatch):
    begin(elsewhere / "s", "net.py:build")
    typed = ["./net.py:build", "sub/../net.py:build", f"{elsewhere}/net.py:build"]
    for name in typed:
        begin(elsewhere / "s", name)
        assert unfinished(elsewhere, ASKING.record(name, table())) == elsewhere / "s"
    for other in ("other.py:build", "net.py:nn.Identity"):
        assert differing({"network": "net.py:build"}, {"network": other}) == ["network"]
    monkeypatch.chdir(elsewhere / "sub")
    begin(elsewhere / "s", "../net.py:build")
    with pytest.raises(InvalidInput, match=r"other network\)"):
        begin(elsewhere / "s", "../other.py:build")


def test_a_study_goes_on_with_its_jobs_however_its_network_is_typed(elsewhere, monkeypatch):
    class Halfway(Announce):
        def progress_made(self, what, member_steps, runs):
            if runs:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.compare("./net.py:build", table(), **ASKED, folder="s", announce=Halfway())
    store = Store(elsewhere / "s")
    assert 0 < store.finished_runs() < RUNS
    monkeypatch.chdir(elsewhere / "sub")
    Path("net.py").write_text("is not the one that was begun with")
    again = api.compare("../net.py:build", table(), **ASKED, folder="../s")
    assert store.finished_runs() == RUNS
    assert store.about("question")["network"] == "./net.py:build" == again.study.network
    monkeypatch.chdir(elsewhere)
    assert numbers(api.compare("./net.py:build", table(), **ASKED)) == numbers(again)


def test_an_unfinished_study_of_other_versions_is_known_with_what_is_other(tmp_path):
    begin(tmp_path / "s", NETWORK)
    store, asks = Store(tmp_path / "s"), ASKING.record(NETWORK, table())
    assert of_other_versions(tmp_path, asks) is None
    store.note("question", {**asks, "versions": {**asks["versions"], "torch": "1.0"}})
    path, apart = of_other_versions(tmp_path, asks)
    assert path == tmp_path / "s"
    assert apart == f"was begun with torch 1.0; this is torch {asks['versions']['torch']}, whose numbers may differ"
    assert of_other_versions(tmp_path, {**asks, "design": "grid"}) is None
    store.note("result", {})
    assert of_other_versions(tmp_path, asks) is None
