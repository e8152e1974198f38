"""The command in a study's record is what repeats it, and the processor is told that decides about the last bit."""

import sys

import pytest
import torch

from make_store import table
from trainsmith.comparison import environment
from trainsmith.comparison.environment import describe_environment, processor_notes, processors_of
from trainsmith.errors import InvalidInput
from trainsmith.store import Store


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/usr/bin/trainsmith", "trainsmith compare 'a b.csv'"),
        ("/lib/trainsmith/__main__.py", "python -m trainsmith compare 'a b.csv'"),
        ("mine.py", "mine.py compare 'a b.csv'"),
    ],
)
def test_the_command_is_as_it_would_be_typed(monkeypatch, program, said):
    monkeypatch.setattr(sys, "argv", [program, "compare", "a b.csv"])
    assert describe_environment()["command"] == said


INFO = {
    "processor\t: 0\nmodel name\t: One 9B45\nflags\t: fma\n\nprocessor\t: 1\nmodel name\t: Other\n": "One 9B45",
    "processor\t: 0\nBogoMIPS\t: 50.0\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi\n": "Raspberry Pi",
    "processor\t: 0\ncpu\t\t: POWER9\n": "POWER9",
    "processor\t: 0\nBogoMIPS\t: 50.0\n": "aarch64",
}


@pytest.mark.parametrize(("info", "model"), INFO.items())
def test_the_processor_is_named_as_the_system_does(monkeypatch, tmp_path, info, model):
    (tmp_path / "cpuinfo").write_text(info)
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(environment.platform, "processor", lambda: "")
    monkeypatch.setattr(environment.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert describe_environment()["cpu"] == f"{model} (AVX2)"


def test_on_a_mac_the_system_is_asked_and_elsewhere_python(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(environment.platform, "processor", lambda: "arm")
    assert environment.processor().startswith("arm (")
    monkeypatch.setattr(environment.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(environment, "APPLE", (str(tmp_path / "sysctl"),))
    assert environment.processor().startswith("arm ("), "there is no such program"
    monkeypatch.setattr(environment, "APPLE", ("/bin/echo", "Apple M2"))
    assert environment.processor().startswith("Apple M2 (")


def test_a_study_notes_every_processor_that_it_was_worked_on(monkeypatch, tmp_path):
    store = Store.create(tmp_path / "s", {}, table())
    for name in ("A", "B", "A"):
        monkeypatch.setattr(environment, "processor", lambda name=name: name)
        found = processors_of(store)
    assert found == ("A", "B")
    assert "begun on one machine and gone on with on another (A; B)" in processor_notes(found)[0]
    monkeypatch.setattr(environment, "processor", lambda: "C")
    assert processors_of(None) == ("C",)
    store.note("result", {})
    assert processors_of(store) == ("A", "B"), "looked at elsewhere when it was finished"
    assert not processor_notes(("C",))
    store.note(environment.PROCESSORS, [1])
    with pytest.raises(InvalidInput, match="is damaged: its processors"):
        processors_of(store)
