"""A population under watch: every member's numbers are those of it watched alone, and none of its bits change."""

import copy
import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import trainsmith
from inspection.make_network import draws
from trainsmith.errors import InvalidInput
from trainsmith.inspection.watching.measurement import findings_of
from trainsmith.inspection.watching.stacked import StackedPass
from trainsmith.population import hire
from trainsmith.population.calibrate import Packing
from trainsmith.population.program.program import Unbatchable


def dense():
    return nn.Sequential(
        nn.Linear(12, 24), nn.ReLU(), nn.BatchNorm1d(24), nn.Linear(24, 24, bias=False), nn.Tanh(),
        trainsmith.find("dropout").make(0.3), nn.Linear(24, 3),
    )  # fmt: skip


def plain():
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 3))


def deep():
    return nn.Sequential(*(m for _ in range(4) for m in (nn.Linear(12, 12), nn.Tanh())), nn.Linear(12, 3))


def pictures():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), trainsmith.find("leaky-relu").make(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6, 3)
    )


def in_place():
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(inplace=True), nn.Linear(20, 3))


class Twice(nn.Module):
    """One layer called twice, a part of the loss's way frozen, and functions beside modules."""

    def __init__(self):
        super().__init__()
        self.frozen, self.again, self.act = nn.Linear(12, 12), nn.Linear(12, 12), nn.Sigmoid()
        self.frozen.requires_grad_(False)
        self.last = nn.Linear(12, 3)

    def forward(self, x):
        x = torch.relu(self.frozen(x))
        return self.last(self.act(self.again(self.act(self.again(x)))) + x)


INPUTS = {dense: (12,), pictures: (1, 5, 5), Twice: (12,), in_place: (12,)}
WAYS = {dense: "together", pictures: "in turn", Twice: "together", in_place: "together"}


def trained(make, monkeypatch, every=None, members=3, steps=21, loop=False, **more):
    """The population, its fit and its watch; in two chunks, or by the loop."""
    x = draws(90, math.prod(INPUTS[make])).reshape(90, *INPUTS[make])
    y = torch.arange(90) % 3
    torch.manual_seed(0)
    population = trainsmith.Population(make, members, lr=[0.003 * 10**k for k in range(members)], threads=2, **more)
    monkeypatch.setattr(hire, "choose", refuse if loop else lambda *_: Packing(WAYS[make], 2))
    if every is None:
        return population, population.fit(x, y, steps, 30), None
    with trainsmith.watch(population, every=every) as w:
        fit = population.fit(x, y, steps, 30)
    return population, fit, w


def refuse(*_):
    raise Unbatchable("asked for")


def same(a, b, path=""):
    """Equal in everything, numbers to 1e-5."""
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            if field.name not in ("counts", "stuck"):  # a number at the edge of a bin; a step of almost nothing
                same(getattr(a, field.name), getattr(b, field.name), f"{path}.{field.name}")
    elif isinstance(a, tuple | list):
        assert len(a) == len(b), path
        for i, (p, q) in enumerate(zip(a, b, strict=True)):
            same(p, q, f"{path}[{i}]")
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=1e-5, abs=2e-7, nan_ok=True), path
    else:
        assert a == b, path


@pytest.mark.parametrize("make", INPUTS)
def test_each_member_has_the_numbers_of_the_member_watched_alone(make, monkeypatch):
    _, fit, together = trained(make, monkeypatch, every=4, optimizer="sgd")
    _, _, alone = trained(make, monkeypatch, every=4, optimizer="sgd", loop=True)
    assert together.unseen == alone.unseen == []
    for k in range(3):
        found, expected = together.measurements(k), alone.measurements(k)
        assert [m.step for m in found] == list(range(0, 21, 4))
        same(found, expected, f"member {k}")
        for a, b in zip(found, expected, strict=True):
            for p, q in zip(a.layers, b.layers, strict=True):
                assert sum(p.histogram.counts) == sum(q.histogram.counts)
        told = [{(f.short, f.layer, f.step) for f in w.findings.get(k, ())} for w in (together, alone)]
        assert told[0] == told[1]
    assert fit.deviation < fit.tolerance


@pytest.mark.parametrize("make", [dense, in_place])
def test_the_steps_own_pass_shows_what_one_more_shows(make, monkeypatch):
    frames, taken = [], []
    for own in (True, False):
        if not own:  # as if it left something else
            monkeypatch.setattr(StackedPass, "_try_whole", lambda *_: None)
        _, _, w = trained(make, monkeypatch, 5, steps=11)
        monkeypatch.undo()
        taken.append({bool(layers._wholes) for _, layers in w._passes.values()})
        frames.append((w.frame(), w.parameters_frame()))
    assert taken == [{True}, {False}]
    for one, more in zip(*frames, strict=True):
        pd.testing.assert_frame_equal(one, more, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("make", [dense, pictures])
def test_a_watched_member_has_the_bits_of_one_that_is_not(make, monkeypatch):
    one, fit, w = trained(make, monkeypatch, every=1, steps=9)
    other, unwatched, _ = trained(make, monkeypatch, steps=9)
    assert len(w.measurements(0)) == 9
    assert torch.equal(fit.losses, unwatched.losses)
    for k in range(3):
        for a, b in zip(one.member(k).state_dict().values(), other.member(k).state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_members_that_end_and_leave_keep_what_was_seen_and_the_others_go_on():
    x, y = draws(64, 12), torch.arange(64) % 3
    population = trainsmith.Population(plain, 4, optimizer="sgd", lr=[0.01, 1e30, 0.02, 0.03], threads=1)
    with trainsmith.watch(population, every=5) as w:
        fit = population.fit(x, y, 30, 32)
        population.keep([0, 2])
        population.fit(x, y, 40, 32)
    last = [w.measurements(k)[-1].step for k in range(4)]
    assert list(fit.ended) == [1]
    assert (last[0], last[2], last[3]) == (65, 65, 25)
    assert last[1] < 25
    assert w.unseen == []
    assert {"not finite"} <= {f.short for f in w.findings[1]}
    layer = w.measurements(2)[-1].layers[1]
    assert layer.examples == 14 * 32  # counted on through every change of the chunk
    population.fit(x, y, 5, 32)
    assert w.measurements(0)[-1].step == 65  # nobody looks any more


def test_dead_units_are_those_of_the_member_that_has_them():
    networks = [plain(), plain()]
    with torch.no_grad():
        networks[1][0].bias[:10] = -1000.0
    population = trainsmith.Population(networks, lr=1e-4, threads=1)
    with trainsmith.watch(population, every=1) as w:
        population.fit(draws(200, 12), torch.arange(200) % 3, 12, 100)
    assert [w.measurements(k)[-1].layers[1].dead for k in range(2)] == [0, 0.5]
    frame = w.findings_frame()
    assert frame[["member", "layer", "short", "step"]].values.tolist() == [[1, "1", "dead units", 9]]
    layers = w.frame()
    assert list(layers[layers.name == "1"].groupby("member").dead.max()) == [0, 0.5]
    assert list(w.parameters_frame().columns[:3]) == ["member", "step", "name"]
    assert "dead units" not in str(w.table())
    assert "50% of its units are 0" in " ".join(str(w.table()).split())
    assert "dead units" in w._repr_html_()
    assert w.to_dict()["members"][1]["findings"][0]["short"] == "dead units"
    assert "NaN" not in w.json()


def test_a_member_keeps_its_counts_and_its_own_function_when_others_leave():
    networks, slopes = [plain() for _ in range(4)], (0.0, 0.4, 0.01, 0.0)
    for network, slope in zip(networks, slopes, strict=True):
        network[1] = trainsmith.find("leaky-relu").make(slope)
    with torch.no_grad():
        networks[3][0].bias[:10] = -1000.0
    population = trainsmith.Population(networks, lr=1e-30, threads=1)
    x, y = draws(200, 12), torch.arange(200) % 3
    with trainsmith.watch(population, every=1) as w:
        population.fit(x, y, 6, 100)
        saturated = [w.measurements(k)[-1].layers[1].saturated for k in range(4)]
        population.keep([0, 3])
        population.fit(x, y, 6, 100)
    negative = (networks[2][0](x) < 0).float().mean().item()
    assert saturated == [0, 0, pytest.approx(negative, abs=0.1), 0], "a slope under 5 %, where outputs are not 0"
    assert [w.measurements(k)[-1].layers[1].dead for k in (0, 3)] == [0, 0.5], (
        "600 examples before others left, and 600"
    )


@pytest.mark.parametrize("make", [dense, plain, deep])
def test_who_is_calm_has_no_finding_and_the_others_are_looked_at(make):
    """Findings are made of the members whose numbers could give some: the quick look may not miss one."""
    population = trainsmith.Population(make, 3, lr=[0.001, 0.002, 0.004], threads=1)
    with trainsmith.watch(population, every=2) as w:
        population.fit(draws(90, 12), torch.arange(90) % 3, 3, 30)
    snapshot = w.logs[0].measurements[-1].snapshot
    assert snapshot.calm().all()
    generator = np.random.default_rng(0)
    met = {True: 0, False: 0}
    for spread in (1, 2, 4, 8):
        for _ in range(20):
            own, norms = copy.copy(snapshot), snapshot.norms
            own.moments = own.moments * np.exp(0.5 * spread * generator.normal(size=own.moments.shape))
            own.shares = own.shares.copy()
            own.shares[:, 0] += 0.25 * generator.integers(0, 2, own.shares[:, 0].shape) * (generator.random() < 0.3)
            numbers = norms.numbers.copy()
            numbers[1] *= np.exp(0.3 * spread * generator.normal(size=numbers[1].shape))
            own.norms = dataclasses.replace(norms, numbers=numbers)
            for member, row in own.rows.items():
                found = findings_of(own.measurement(member))
                assert not (own.calm()[row] and found)
                met[not found] += 1
    assert min(met.values()) > 20, "both were met"
    for change in range(4):
        own, numbers = copy.copy(snapshot), snapshot.norms.numbers.copy()
        numbers[change, -1] = math.nan
        own.norms = dataclasses.replace(snapshot.norms, numbers=numbers)
        assert not own.calm().any()
    for change, place in (("moments", (1, 0)), ("moments", (-2, 0)), ("shares", (0, 2))):
        own = copy.copy(snapshot)
        setattr(own, change, getattr(own, change).copy())
        getattr(own, change)[place] = math.nan
        assert not own.calm().any()


class Grad(nn.Module):
    """Takes a gradient inside its forward, so that its layers' outputs belong to another pass."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x):
        inside = torch.func.grad(lambda v: self.first(v).square().sum())(x)
        return self.last(inside)


def test_layers_that_cannot_be_seen_are_told_and_parameters_measured():
    population = trainsmith.Population(lambda: Grad(), 2, threads=1)
    with trainsmith.watch(population, every=2) as w:
        population.fit(draws(60, 12), torch.arange(60) % 3, 5, 30)
    assert w.measurements(1)[-1].layers == () or "by the loop" in population.plan
    assert w.unseen or "by the loop" in population.plan
    assert [p.name for p in w.measurements(1)[-1].parameters][:2] == ["first.weight", "first.bias"]


def test_what_a_population_needs_no_optimizer_for_is_said():
    population = trainsmith.Population(dense, 2)
    with pytest.raises(InvalidInput, match="has an optimizer of its own"):
        trainsmith.watch(population, torch.optim.SGD(nn.Linear(2, 2).parameters()))
    for refused in (0, 2.5, True, torch.tensor([4])):
        with pytest.raises(InvalidInput, match="every must be a whole number of at least 1; got "):
            trainsmith.watch(population, every=refused)
    assert trainsmith.watch(population, every=np.int64(4)).every == 4
    with pytest.raises(InvalidInput, match="optimizer second; got NoneType"):
        trainsmith.watch(nn.Linear(2, 2))
    empty = trainsmith.watch(population)
    assert empty.frame().empty
    assert "No findings" in empty._repr_html_()


def test_a_watch_that_nobody_asks_any_more_ends_no_other():
    x, y = draws(40, 6), torch.arange(40) % 3
    population = trainsmith.Population(lambda: nn.Linear(6, 3), lr=[1e-3, 1e-2])
    first, second = trainsmith.watch(population, every=2), trainsmith.watch(population, every=2)
    first.start()
    second.start()
    first.stop()
    population.fit(x, y, steps=6, batch_size=20)
    second.stop()
    population.fit(x, y, steps=4, batch_size=20)
    assert [[m.step for m in w.measurements(1)] for w in (first, second)] == [[], [0, 2, 4]]
