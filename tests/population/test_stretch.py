"""Several steps in one call of TorchScript: the same bits as step by step, for every rule that has a kernel."""

import inspect
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import trainsmith
from make_runs import blobs, line, runs_of
from trainsmith.catalogue import Recipe
from trainsmith.data.few import with_labels
from trainsmith.population import Chunk, Training, make_member, train
from trainsmith.population.program import stretch
from trainsmith.population.program.kernels import CALLS
from trainsmith.population.program.program import Program
from trainsmith.population.program.stretch import Pace, Stretch

X = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > X[:, 1]).long()
NUMBERS = {
    "momentum": [0.9, 0.0, 0.5, 0.8, 0.3, 0.9],
    "alpha": [0.99, 0.9, 0.5, 0.95, 0.9, 0.9],
    "beta1": [0.9, 0.0, 0.5, 0.8, 0.3, 0.9],
    "beta2": [0.999, 0.9, 0.5, 0.99, 0.95, 0.999],
    "eps": [1e-8, 1e-3, 1e-6, 1e-8, 0.1, 1e-8],
    "weight_decay": [0.1, 0.0, 1e-3, 0.2, 0.5, 0.0],
}
RATES = [1e-4, 1e38, 1e-2, 3e-3, 0.05, 1e-3]


@pytest.fixture
def called(monkeypatch):
    """The number of steps of each stretch that is taken."""
    steps, call = [], Stretch.__call__

    def counted(self, number, rates, *given):
        steps.append(len(rates))
        return call(self, number, rates, *given)

    monkeypatch.setattr(Stretch, "__call__", counted)
    return steps


def one_by_one(monkeypatch):
    monkeypatch.setattr(stretch, "MOST", 1)
    monkeypatch.setattr(stretch, "FIRST", 1)


def network():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


def fitted(rule, **options):
    """Two fits one after the other of members with numbers of their own, one of which explodes."""
    numbers = {n: NUMBERS[n] for n in list(inspect.signature(rule.coefficients).parameters)[2:]}
    population = trainsmith.Population(network, optimizer=rule, lr=RATES, **numbers, **options)
    first = population.fit(X, Y, 60, 16, schedule="cosine")
    second = population.fit(X, Y, 30, 16)
    states = [t for k in range(len(RATES)) for t in population.member(k).state_dict().values()]
    return [first.losses, second.losses, *states]


def same_bits(these, those):
    assert all(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in zip(these, those, strict=True))


@pytest.mark.parametrize("rule", CALLS, ids=lambda r: r.__name__)
def test_a_stretch_gives_the_bits_of_single_steps(rule, called, monkeypatch):
    """With noise and statistics, schedules, numbers of each member's own and one whose losses are not finite."""
    together = fitted(rule, threads=1)
    assert max(called) > 4
    assert sum(called) > 80
    called.clear()
    one_by_one(monkeypatch)
    same_bits(together, fitted(rule, threads=1))
    assert not called


def test_members_with_the_same_luck_share_their_batches(called, monkeypatch):
    together = fitted(next(iter(CALLS)), threads=2, seeds=[3] * len(RATES))
    assert max(called) > 4
    one_by_one(monkeypatch)
    same_bits(together, fitted(next(iter(CALLS)), threads=2, seeds=[3] * len(RATES)))


@pytest.mark.parametrize(
    ("recipe", "data"),
    [
        (Recipe(), line()),
        (Recipe(optimizer="adamw", regularization=("dropout",)), blobs()),
        (Recipe(regularization=("mean-teacher",)), with_labels(blobs(), 60)),
    ],
    ids=["numbers", "noise", "teacher"],
)
def test_runs_of_a_study_get_the_bits_of_single_steps(recipe, data, called, monkeypatch):
    """Numbers to predict are in each member's own units; a teacher is evaluated as it is after the stretch."""

    def results():
        members = [make_member(run, "mlp", data) for run in runs_of(recipe, 3)]
        found = train(Chunk(members, data.inputs, data.y), data.inputs, data.y, Training(40, 8, 3), keep_states=True)
        return [torch.as_tensor(n) for r in found for n in (r.first_losses, r.curve, *(r.state or {}).values())]

    together = results()
    assert sum(called) > 30
    assert (together[0] < 10).all()
    one_by_one(monkeypatch)
    same_bits(together, results())


def test_a_plateau_sees_the_losses_of_every_step(called):
    population = trainsmith.Population(network, lr=RATES[:3], threads=1)
    population.fit(X, Y, 30, 16, schedule="plateau")
    assert not called


def chunk_of(recipe, network="mlp", way="together"):
    data = blobs()
    members = [make_member(run, network, data) for run in runs_of(recipe, 2)]
    for member in members:
        member.length = 10
    chunk = Chunk(members, data.x, data.y, Program(members[0].objective, way))
    chosen = torch.arange(16).expand(2, 16)
    chunk.step(1, 1.0, data.x[chosen], data.y[chosen])
    return chunk


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimizer="lion"),
        Recipe(clipping="clip-by-norm"),
        Recipe(regularization=("weight-ema",)),
        Recipe(regularization=("snapshot-ensemble",)),
    ],
    ids=str,
)
def test_where_more_is_done_than_a_kernel_does_steps_are_taken_one_by_one(recipe):
    assert chunk_of(recipe).ahead(2) == 1


def test_steps_are_taken_one_by_one_where_somebody_looks_or_members_go_in_turn():
    assert chunk_of(Recipe()).ahead(2) > 1
    assert chunk_of(Recipe(), way="in turn").ahead(2) == 1
    watched = chunk_of(Recipe())
    watched.observer = SimpleNamespace(next=lambda number: 5)
    assert [watched.ahead(number) for number in (2, 4, 5)] == [3, 1, 1]


@pytest.mark.parametrize("every", [1, 2, 7])
def test_between_the_steps_that_a_watch_measures_there_are_stretches(every, called):
    plain = trainsmith.Population(network, lr=RATES, threads=1).fit(X, Y, 40, 16)
    called.clear()
    population = trainsmith.Population(network, lr=RATES, threads=1)
    with trainsmith.watch(population, every=every) as watched:
        fit = population.fit(X, Y, 40, 16)
    same_bits([plain.losses], [fit.losses])
    assert [m.step for m in watched.measurements(0)] == [*range(0, 40, every)]
    assert max(called, default=0) == (every - 1 if every > 2 else 0)


def test_a_stretch_lasts_a_tenth_of_a_second_or_64_steps():
    for steps, seconds, ahead in ((4, 0.004, 64), (64, 0.65, 9), (10, 0.24, 4), (4, 8.0, 1), (1, 0.0, 64)):
        pace = Pace()
        pace.note(steps, seconds)
        assert pace.ahead == ahead
        pace.note(8, 40.0)  # others had the machine
        assert pace.ahead == ahead


def test_the_targets_of_a_stretch_are_bounded(called, monkeypatch):
    """Those of autoencoders are as large as their inputs."""
    monkeypatch.setattr(stretch, "TARGETS", 3 * 2 * 16)
    population = trainsmith.Population(network, lr=RATES[2:4], threads=1)
    population.fit(X, Y, 30, 16)
    assert set(called) == {3, 2}  # 28 steps behind the ones that were traced, and what is left before a look
