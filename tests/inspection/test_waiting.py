"""Measured steps that wait for others say what they say when each is told at once."""

import math
import warnings

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import trainsmith
from trainsmith.inspection.watching import waiting
from trainsmith.inspection.watching.watch import FindingWarning
from trainsmith.watching import Watch

from .make_network import draws


class Second(nn.Module):
    """The second of two outputs of one function."""

    def forward(self, x):
        return x.split((236, 64), 1)[1]


def network():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(20, 300), nn.ReLU(inplace=True), Second(), nn.BatchNorm1d(64), nn.Tanh(), nn.Linear(64, 4)
    )


def train(model, optimizer, sizes, told=lambda step: None):
    for step, n in enumerate(sizes):
        optimizer.zero_grad()
        cross_entropy(model(draws(n, 20, seed=step)), torch.arange(n) % 4).backward()
        optimizer.step()
        told(step)


@pytest.mark.parametrize("memory", [waiting.WAITING, 1])
def test_steps_that_waited_say_what_they_say_one_by_one(memory, monkeypatch):
    monkeypatch.setattr(waiting, "WAITING", memory)
    seen = []
    for together in (1, 8):
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        with Watch(model, optimizer, 1, False, together) as w:
            train(model, optimizer, [64] * 13 + [30] + [64] * 15 + [30, 64, 64])
            if together > 1:
                assert len(w._waiting) == (1 if memory > 1 else 0), "the first of a kind does not wait"
        seen.append((w.frame(), w.parameters_frame(), w.findings, w.json()))
    assert list(seen[1][0]["step"].unique()) == list(range(32))
    for alone, together in zip(seen[0][:2], seen[1][:2], strict=True):
        pd.testing.assert_frame_equal(alone, together, check_exact=True)
    assert seen[0][2:] == seen[1][2:]
    assert seen[0][0]["dead"].notna().any()


def test_the_gradient_of_an_output_that_is_not_its_functions_first():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    x, y, seen = draws(64, 20, seed=0), torch.arange(64) % 4, []
    with trainsmith.watch(model, optimizer, 1, warn=False) as w:
        train(model, optimizer, [64])

    def note(layer, inputs, output):
        output.register_hook(lambda g: seen.append(g.double().std(correction=0)))

    model[2].register_forward_hook(note)
    cross_entropy(model(x), y).backward()
    assert w.layers[2].gradient == pytest.approx(seen[0].item(), rel=1e-4)


def warned(every, spoil, steps=40):
    """At which step each warning came, and which step it speaks of."""
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    told, now = [], [0]
    with warnings.catch_warnings(record=True) as caught, trainsmith.watch(model, optimizer, every):
        warnings.simplefilter("always")

        def after(step):
            told.extend((step, str(c.message)) for c in caught)
            caught.clear()
            spoil(step, model, optimizer)
            now[0] = step

        train(model, optimizer, [32] * steps, after)
        assert all(c.category is FindingWarning for c in caught)
    return told


@pytest.mark.parametrize("every", [1, 3, 16])
def test_a_finding_is_told_at_most_seven_measured_steps_late_and_at_the_next_close_look(every):
    def spoil(step, model, optimizer):
        if step == 20:
            optimizer.param_groups[0]["lr"] = 0.3

    told = [(at, int(words.split(":")[0].split()[1])) for at, words in warned(every, spoil, 140) if "too fast" in words]
    assert told
    first = 21 + -21 % every + every  # the second measured step that shows it
    assert told[0][1] == first
    close = next(step for step in range(every, 999, math.ceil(64 / every) * every) if step >= first)
    assert first <= told[0][0] <= min(first + 7 * every, close)


def test_what_is_not_finite_is_told_at_once():
    def spoil(step, model, optimizer):
        if step == 20:
            model[0].weight.data[0, 0] = math.nan

    assert {at for at, words in warned(1, spoil, 24) if "NaN" in words and "0.weight" in words} == {21}


def test_what_waits_is_told_when_somebody_asks_and_at_the_end():
    model = nn.Linear(20, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with trainsmith.watch(model, optimizer, 1) as w:
        train(model, optimizer, [8] * 5)
        assert w.measurements[-1].step == 4
        train(model, optimizer, [8] * 3)
    assert [m.step for m in w.measurements] == list(range(8))
    assert w.parameters[0].norm > 0
