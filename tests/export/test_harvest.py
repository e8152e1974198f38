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


ODD = """
import abc, math
from dataclasses import dataclass
from typing import NamedTuple
from two_for_harvest import scale as enlarge, FACTOR as TIMES
try:
    from math import tau as turn
except ImportError:
    turn = None
BIG, LATER = True, []
if BIG:
    WIDTH = 64
else:
    WIDTH = 8
LATER.append(WIDTH)
DEPTH = 2
DEPTH += 1
def scale(x): return -x
class Meta(abc.ABCMeta): ...
class Shape(NamedTuple):
    width: int = WIDTH
    depth: int = 2
class Held(metaclass=Meta):
    @dataclass
    class Inner:
        turn: float = turn
def sizes(network):
    one = [DEPTH for DEPTH in range(3)]
    return sum(map(lambda build: build, one)) + len(network), Shape(width=3), Held.Inner().turn, WIDTH, enlarge(1)
def network(scale):
    network = sizes([scale])
    return network, TIMES
def deep(): return DEPTH
"""


@pytest.fixture
def odd(tmp_path, modules):
    (tmp_path / "odd_for_harvest.py").write_text(ODD)
    import odd_for_harvest

    yield odd_for_harvest
    del sys.modules["odd_for_harvest"]


def test_names_mean_what_they_mean_where_they_stand(odd):
    """Arguments and what a function binds are its own; of several branches the one that was taken is copied."""
    harvest = Harvest()
    made = harvest.add(odd.network)
    assert made == "network_", "the text itself calls something network"
    assert run(harvest)[made](2) == odd.network(2)
    assert "WIDTH = 8" not in harvest.text
    assert "turn = None" not in harvest.text


def test_what_was_changed_after_its_definition_is_not_copied(odd):
    with pytest.raises(InvalidInput, match="'DEPTH' of odd_for_harvest was changed after its definition"):
        Harvest().add(odd.deep)


@pytest.mark.parametrize("folder", ["lib/python3.11/site-packages", "usr/lib/python3/dist-packages"])
def test_a_package_is_imported_wherever_it_is_installed(folder, tmp_path, monkeypatch):
    """A user's own site-packages and a system's dist-packages are no place that this Python's paths name."""
    place = tmp_path / folder
    place.mkdir(parents=True)
    (place / "installed_for_harvest.py").write_text("def thing(): return 3\n")
    monkeypatch.syspath_prepend(str(place))
    import installed_for_harvest

    harvest = Harvest()
    harvest.add(installed_for_harvest.thing)
    assert "from installed_for_harvest import thing" in harvest.text
    del sys.modules["installed_for_harvest"]
