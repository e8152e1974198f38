"""Early stopping that goes on: from its best weights on all examples, until the held-back loss matches."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from reference import early_stopping as reference
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import labelled, split
from trainsmith.data.arrays import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.export.check import imported
from trainsmith.export.winner import make_export
from trainsmith.luck import batches
from trainsmith.population import Job, Training, make_member, trained_member, work

TRAINING = Training(steps=60, batch_size=8, checks=12, warmup=0.1)
SEEDS = (3, 4, 6, 15)
DRAW = np.random.default_rng(1)
X = DRAW.normal(size=(60, 9))
LINE = from_arrays(X, X @ DRAW.normal(size=9) + 4 * DRAW.normal(size=60) + 7, "line", "regression")


def linear(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), outputs))


def run(seed, name="early-stopping-continue", optimizer="sgd", also=(), schedule="none", **numbers):
    recipe = Recipe(normalization="none", optimizer=optimizer, regularization=(name, *also), schedule=schedule)
    given = {f"{name}.patience": 2, f"{name}.fraction": 0.2, f"{optimizer}.lr": 0.1}
    return Run(Trial(recipe, {**given, **{n.replace("__", "."): v for n, v in numbers.items()}}), seed)


def everything(seed):
    return labelled(LINE, split(LINE, seed)[0], seed)


@functools.cache
def worked():
    return work(Job(linear, TRAINING, tuple(map(run, SEEDS)), keep_states=True, replay=(0, 2)), LINE)


def by_the_book(seed):
    """In float64: (weights, steps of both trainings, after how many the best, whether the target was reached)."""
    member = make_member(run(seed), linear, LINE)
    x = np.hstack([LINE.x.double().numpy(), np.ones((len(LINE.x), 1))])
    y = (LINE.y.double().numpy() - float(member.centre)) / float(member.scale)
    layer = member.objective.network[1]
    w = np.append(layer.weight.detach().double().numpy()[0], layer.bias.item())
    rates = [0.1 * TRAINING.rate(i) for i in range(1, 61)]
    order = batches(seed, member.train, 8, 60)
    best, at, _, first = reference.stopped(w, x, y, member.watch, order, rates, 5, patience=2)
    order = batches(seed, everything(seed), 8, 60)[: 60 - at]
    w, second, reached = reference.continued(best, x, y, member.train, member.watch, order, rates[at:], 5)
    return w, (first, second), at, reached


def test_it_is_the_books_in_float64():
    ends = set()
    for seed, result in zip(SEEDS, worked().results, strict=True):
        weights, (first, second), best, reached = by_the_book(seed)
        ends.add((second, reached))
        found = [t.astype(np.float64) for t in result.state.values()]
        np.testing.assert_allclose(np.append(found[0][0], found[1]), weights, rtol=1e-4, atol=1e-5)
        assert result.step == first + second
        assert [step for step, *_ in result.curve] == list(range(5, first + second + 1, 5))
        (of_the_weights,) = [row for row in result.curve if row[0] == (first + second if second else best)]
        assert (result.loss, result.score) == of_the_weights[2:]
    assert {reached for _, reached in ends} == {False, True}
    assert len({second for second, _ in ends}) > 2
    assert max(worked().deviations) < 1e-4


def test_weights_are_kept_only_where_they_are_asked_for():
    record = work(Job(linear, TRAINING, tuple(map(run, SEEDS[1:3])), replay=()), LINE)
    assert [r.state for r in record.results] == [None, None]
    assert [r.score for r in record.results] == [r.score for r in worked().results[1:3]]


def test_a_schedule_of_the_recipes_own_goes_on_where_the_best_weights_had_come_to():
    own = [run(seed, schedule="cosine", cosine__warmup=0.1) for seed in SEEDS]
    constant = replace(TRAINING, schedule="constant")
    for found, there in zip(
        work(Job(linear, constant, tuple(own), keep_states=True, replay=()), LINE).results,
        worked().results,
        strict=True,
    ):
        assert found.step == there.step
        for a, b in zip(found.state.values(), there.state.values(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_member_alone_gets_what_it_gets_in_a_population():
    for which in (0, 1):
        (alone,) = work(Job(linear, TRAINING, (run(SEEDS[which]),), keep_states=True), LINE).results
        for found, together in zip(alone.state.values(), worked().results[which].state.values(), strict=True):
            np.testing.assert_allclose(found, together, rtol=1e-4, atol=1e-6)
        assert alone.step == worked().results[which].step


def test_a_run_that_was_still_getting_better_at_its_end_stays_as_it_is():
    (result,) = work(Job(linear, TRAINING, (run(5, sgd__lr=1e-3),), replay=()), LINE).results
    assert (result.status, result.step, len(result.curve)) == ("finished", 60, 12)
    assert result.score == result.curve[-1][3]


def test_a_teacher_begins_as_the_network_that_is_gone_on_with():
    """Its weights are those that are scored: the mean teacher's."""
    labels = from_arrays(X, (X[:, 0] + DRAW.normal(size=60) > 0).astype(int), "two", "classification")
    mine = run(2, optimizer="adam", also=("mean-teacher",))
    record = work(Job(linear, TRAINING, (mine,), keep_states=True, replay=()), labels)
    member = make_member(mine, linear, labels, again=True)
    state = {n: torch.from_numpy(t) for n, t in record.results[0].state.items()}
    member.objective.network.load_state_dict(state)
    before = dict(member.objective.passes.named_buffers())["mean0"].clone()
    member.objective.begin()
    after = dict(member.objective.passes.named_buffers())["mean0"]
    assert torch.equal(after, state["1.weight"])
    assert not torch.equal(after, before)


def test_there_is_one_way_to_stop():
    with pytest.raises(InvalidInput, match="early-stopping-continue and early-stopping cannot act together"):
        make_member(run(5, also=("early-stopping",)), linear, LINE)


def test_snapshots_are_of_one_training():
    with pytest.raises(InvalidInput, match="early-stopping-continue and snapshot-ensemble cannot act together"):
        make_member(run(5, also=("snapshot-ensemble",)), linear, LINE)


@pytest.mark.parametrize(
    ("seed", "optimizer", "also", "schedule"),
    [
        *((seed, "sgd", (), "none") for seed in SEEDS),
        (4, "sgd", ("weight-ema",), "none"),
        (4, "schedule-free-sgd", ("l2",), "none"),
        (4, "sgd", (), "step-decay"),
        (4, "sgd", (), "plateau"),
    ],
)
def test_the_exported_script_ends_with_the_weights_of_the_study(seed, optimizer, also, schedule):
    mine = run(seed, optimizer=optimizer, also=also, schedule=schedule)
    (result,) = work(Job(linear, TRAINING, (mine,), keep_states=True, replay=()), LINE).results
    export = make_export(mine, linear, LINE, TRAINING)
    member = make_member(mine, linear, LINE)
    y = member.targets(LINE.y)
    with imported(export.files) as script:
        network = script.build()
        network.load_state_dict(export.first)
        parts = [(LINE.x[part], y[part]) for part in (everything(seed), member.train, member.watch)]
        script.train(network, *parts[1], *parts[2])
        script.continued(network, *parts)
    study = trained_member(mine, linear, LINE, result.state).objective.network
    torch.testing.assert_close(network.eval()(LINE.x), study.eval()(LINE.x), rtol=1e-3, atol=1e-4)
