"""Sources taken out of their modules: with what they need, without what only trainsmith wants."""

import sys

import pytest

from trainsmith.errors import InvalidInput
from trainsmith.export.harvest import Harvest
from trainsmith.export.readable import readable
from trainsmith.optimizer import SCHEDULES
from trainsmith.regularization import LabelSmoothing

ONE = '''
"""One module."""
from two_for_harvest import scale as enlarge, Base
import math as mathematics
FACTOR, OTHER = 2, 3
def scale(x: float, *, by: "str" = "é×") -> float:  # keeps this
    """Doubles."""
    if x > 9:
        raise ValueError("too large")
    return x * FACTOR
class Thing(Base):
    """A thing."""
    kind: int = 1
    note: str
    def value(self, x: float = mathematics.tau / 100) -> float:
        """Its value."""
        return scale(enlarge(x)) + self.kind + super().value()
def outer():
    class Inner: ...
    return Inner
'''
TWO = """
FACTOR = 10
def scale(x): return x * FACTOR
class Base:
    def value(self): return 0.5
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in (("one_for_harvest", ONE), ("two_for_harvest", TWO)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    import one_for_harvest

    yield one_for_harvest
    for name in ("one_for_harvest", "two_for_harvest"):
        del sys.modules[name]


def run(harvest):
    names: dict[str, object] = {"__name__": "harvested"}
    exec(readable(harvest.text), names)
    return names


def test_what_is_needed_comes_along_and_names_that_two_modules_have_are_told_apart(modules):
    harvest = Harvest()
    assert harvest.add(modules.Thing) == "Thing"
    assert harvest.add(modules.Thing) == "Thing"
    thing = run(harvest)["Thing"]()
    assert thing.value() == modules.Thing().value()
    assert thing.value(0.25) == modules.Thing().value(0.25) == 0.25 * 10 * 2 + 1 + 0.5
    assert "import" not in harvest.text.replace("import math as mathematics", "")


def test_of_a_users_own_only_types_are_taken_off(modules):
    harvest = Harvest()
    harvest.add(modules.scale)
    assert 'def scale(x, *, by = "é×") :  # keeps this' in harvest.text
    assert 'raise ValueError("too large")' in harvest.text


def test_a_thing_defined_inside_another_is_refused(modules):
    with pytest.raises(InvalidInput, match=r"'outer.<locals>.Inner' .* define it at the top of a file"):
        Harvest().add(modules.outer())


def test_ours_comes_without_entry_checks_types_and_examples():
    harvest = Harvest()
    harvest.add(LabelSmoothing)
    harvest.add(SCHEDULES["stable-decay"])
    text = readable(harvest.text)
    for left_out in (
        "@technique",
        "Hyperparameter",
        "Float[",
        "raise",
        ">>>",
        "Pitfall",
        "jaxtyping",
        "_check",
        "plain",
    ):
        assert left_out not in text
    for kept in (
        "(1 - epsilon) * onehot",
        "Paper: Szegedy",
        "Hägele et al. 2024",
        "def forward(self, logits, target):",
    ):
        assert kept in text
    assert run(harvest)["stable_decay"](3, 10) == SCHEDULES["stable-decay"](3, 10)


def test_what_is_no_python_is_refused_in_one_line():
    with pytest.raises(InvalidInput, match="the exported source is not valid Python"):
        readable("def f(:")


def test_a_check_of_another_file_is_left_out():
    harvest = Harvest()
    harvest.add(SCHEDULES["one-cycle"])
    assert "check" not in harvest.text
    assert run(harvest)["one_cycle"](3, 10) == SCHEDULES["one-cycle"](3, 10)
