"""A small sample of the zoo on every run; the whole of it by `make zoo`."""

import pytest

pytest.importorskip("transformers", reason="the zoo has networks of Hugging Face")
from zoo.healthy import healthy
from zoo.planted import planted
from zoo.run import cases, looked_at, wilson

SAMPLE = [
    "healthy: 2 x 32 relu he, wine, adam",
    "healthy: 4 x 64 relu he, batch norm, digits, sgd",
    "signal vanishes: 5 x 100 tanh, 0.01, digits",
    "unscaled inputs: scaled 255.0: perceptron, digits",
    "labels carry no signal: shuffled: tanh perceptron, wine",
    "frozen: in the middle: perceptron, digits",
]


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_the_zoo_is_judged_rightly(name):
    seen = looked_at(name)
    assert (seen.fault in seen.found) if seen.fault else seen.found == {}


def test_the_zoo_has_forty_healthy_networks_and_five_of_every_fault():
    from trainsmith.inspection import FAULTS

    assert len({str(c) for c in cases()}) == len(cases())
    counts = {fault: sum(c.fault == fault for c in planted()) for fault in FAULTS}
    assert {f for f, n in counts.items() if n < 5} <= {"not finite"}
    assert sum(1 for _ in healthy()) >= 40


def test_wilsons_interval():
    # Wilson 1927; 10 of 10 gives 0.722 to 1, 0 of 40 gives 0 to 0.0876
    assert (wilson(10, 10)["low"], wilson(10, 10)["high"]) == (0.7225, 1.0)
    assert wilson(0, 40)["high"] == 0.0876
    assert wilson(0, 0)["share"] is None
