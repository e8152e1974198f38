"""Schedule, checks, scores and early ends of a training."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from make_runs import blobs, line
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import with_class_weights
from trainsmith.errors import InvalidInput
from trainsmith.population import Alone, Job, Training, make_member, train, trained_member, work
from trainsmith.population.members.task import RULES
from trainsmith.population.training import course
from trainsmith.regularization import EarlyStopping


def test_the_rate_rises_linearly_then_falls_by_a_cosine_and_never_reaches_zero():
    training = Training(steps=100, warmup=0.1)
    rates = [training.rate(t) for t in range(1, 101)]
    assert rates[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[54] == pytest.approx(0.5 * (1 + math.cos(math.pi * 45 / 91)))
    assert 0 < rates[-1] < 0.001


def test_checks_are_evenly_spaced_and_end_with_the_last_step():
    assert Training(steps=100, checks=4).check_steps() == [25, 50, 75, 100]
    assert Training(steps=3, checks=20).check_steps() == [1, 2, 3]


@pytest.mark.parametrize("name", ["steps", "batch_size", "checks"])
def test_a_length_that_is_no_count_is_refused(name):
    with pytest.raises(InvalidInput, match=rf"{name.replace('_', ' ')} must be a whole number of at least 1; got -3"):
        Training(**{name: -3})


def test_scores_are_accuracy_and_r_squared():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    loss, accuracy = RULES["classification"].score(logits, torch.tensor([0, 1, 1]))
    expected = -np.mean([2 - np.logaddexp(2, 0), 1 - np.logaddexp(0, 1), -np.logaddexp(3, 0)])
    assert (loss, accuracy) == (pytest.approx(expected, rel=1e-6), pytest.approx(2 / 3))
    targets = torch.tensor([1.0, 2.0, 4.0])
    _, r2 = RULES["regression"].score(torch.tensor([[1.0], [2.0], [3.0]]), targets)
    assert r2 == pytest.approx(1 - 1 / float(((targets - targets.mean()) ** 2).sum()))


def test_regression_targets_are_standardized_by_the_training_part_of_each_seed():
    data = line()
    member = make_member(Run(Trial(Recipe()), 3), "mlp", data)
    y = data.y[member.train].numpy().astype(np.float64)
    assert member.centre == pytest.approx(y.mean())
    assert member.scale == pytest.approx(y.std())
    standardized = member.targets(data.y[member.train])
    assert float(standardized.mean()) == pytest.approx(0, abs=1e-5)
    assert float(standardized.std(correction=0)) == pytest.approx(1, abs=1e-5)
    record = work(Job("mlp", Training(steps=150, batch_size=16), (Run(Trial(Recipe()), 3),)), data)
    assert record.results[0].score > 0.8


def test_early_stopping_ends_before_the_last_step_restores_the_best_and_watches_training_examples_only():
    data = blobs(examples=120, classes=4)
    recipe = Recipe(regularization=("early-stopping",))
    trial = Trial(recipe, {"adam.lr": 1e-2, "early-stopping.patience": 2})
    member = make_member(Run(trial, 0), "mlp", data)
    assert set(member.watch).isdisjoint(member.train)
    assert set(member.watch).isdisjoint(member.validation)
    assert len(member.watch) == round(0.1 * (len(member.watch) + len(member.train)))
    runs = tuple(Run(trial, seed) for seed in range(4))
    training = Training(steps=400, batch_size=16, checks=40)
    record = work(Job("mlp", training, runs, keep_states=True, replay=()), data)
    assert {r.status for r in record.results} == {"stopped"}
    for run, result in zip(runs, record.results, strict=True):
        assert result.step < 400
        assert result.score == result.curve[-3][3], "it stopped two checks after its best, whose score it keeps"
        network = make_member(run, "mlp", data).objective.network
        network.load_state_dict({n: torch.from_numpy(t) for n, t in result.state.items()})
        held = make_member(run, "mlp", data)
        with torch.no_grad():
            loss, accuracy = held.rules.score(network.eval()(data.x[held.validation]), data.y[held.validation])
        assert accuracy == pytest.approx(result.score)
        assert loss == pytest.approx(result.loss, rel=1e-4)


def test_a_members_state_taken_out_gives_the_score_it_was_given():
    data = blobs()
    run = Run(Trial(Recipe(normalization="batch", regularization=("dropout",))), 1)
    record = work(Job("mlp", Training(steps=30, batch_size=16), (run, Run(run.trial, 2)), keep_states=True), data)
    member = make_member(run, "mlp", data)
    member.objective.network.load_state_dict({n: torch.from_numpy(t) for n, t in record.results[0].state.items()})
    with torch.no_grad():
        outputs = member.objective.network.eval()(data.x[member.validation])
    assert member.rules.score(outputs, data.y[member.validation])[1] == pytest.approx(record.results[0].score)


def test_a_training_follows_the_schedule_it_names():
    assert [Training(steps=4, schedule="constant").rate(t) for t in (1, 2, 3, 4)] == [1.0] * 4
    assert [Training(steps=4, warmup=0.5, schedule="linear").rate(t) for t in (1, 2, 3, 4)] == pytest.approx(
        [1 / 2, 1, 2 / 3, 1 / 3]
    )
    with pytest.raises(InvalidInput, match="schedule"):
        Training(schedule="sloped")


def test_the_schedule_reaches_the_optimizer():
    def weights(schedule):
        runs = (Run(Trial(Recipe(optimizer="sgd")), 0),)
        return work(Job("mlp", Training(6, 16, 1, schedule=schedule), runs, keep_states=True), blobs()).results[0].state

    constant, falling = weights("constant"), weights("linear")
    assert any(not np.array_equal(constant[name], falling[name]) for name in constant)


def test_checks_on_the_way_look_at_some_validation_examples_the_last_and_early_stopping_at_all(monkeypatch):
    monkeypatch.setattr(course, "CHECKED_ON", 5)
    seen = []

    def outputs(trainer, x, y, chosen):
        seen.append(chosen)
        return real(trainer, x, y, chosen)

    real = course._outputs
    monkeypatch.setattr(course, "_outputs", outputs)
    data, training = blobs(examples=120, classes=4), Training(steps=6, batch_size=8, checks=3)
    run, stopping = Run(Trial(Recipe()), 2), Run(Trial(Recipe(regularization=("early-stopping",))), 2)
    work(Job("mlp", training, (run,)), data)
    validation = make_member(run, "mlp", data).validation
    assert [len(c[0]) for c in seen] == [5, 5, len(validation)]
    assert (seen[0] == seen[1]).all()
    assert set(seen[0][0]) < set(validation)
    seen.clear()
    work(Job("mlp", training, (stopping,)), data)
    member = make_member(stopping, "mlp", data)
    assert [len(c[0]) for c in seen] == [len(member.validation), len(member.watch)] * 3


def test_each_network_of_an_ensemble_takes_statistics_from_what_it_is_trained_on():
    """Also where there are fewer than a batch for statistics has, and no multiple of the networks."""
    recipe = Recipe(normalization="batch", regularization=("bagging", "weight-ema"))
    member = make_member(Run(Trial(recipe), 3), "mlp", blobs(86))
    chosen = course.statistics_on(member)
    n = len(member.train)
    assert chosen.shape == (1, 4 * n)
    for k, (_, sample) in enumerate(member.samples):
        assert sorted(chosen[0, k * n : (k + 1) * n]) == sorted(sample)
    record = work(Job("mlp", Training(steps=4, batch_size=8, checks=2), (Run(Trial(recipe), 3),)), blobs(86))
    assert record.results[0].status == "finished"


def test_early_stopping_watches_the_loss_that_is_trained_where_classes_are_weighted(monkeypatch):
    data = with_class_weights(blobs(examples=90, classes=3), [1.0, 8.0, 0.5])
    seen = []
    monkeypatch.setattr(EarlyStopping, "update", lambda self, loss: seen.append(loss) or True)
    run = Run(Trial(Recipe(regularization=("early-stopping",))), 0)
    record = work(Job("mlp", Training(steps=8, batch_size=16, checks=1), (run,), keep_states=True, replay=()), data)
    member = trained_member(run, "mlp", data, record.results[0].state)
    outputs, y = member.objective.network.eval()(data.x[member.watch]).detach(), data.y[member.watch]
    expected = functional.cross_entropy(outputs, y, torch.tensor([1.0, 8.0, 0.5]))
    assert seen == [pytest.approx(float(expected), rel=1e-5)]
    assert abs(float(expected - functional.cross_entropy(outputs, y))) > 1e-3


def test_a_run_that_diverges_after_a_good_check_leaves_no_weights_to_be_scored():
    run = Run(Trial(Recipe(optimizer="sgd", regularization=("early-stopping",)), {"sgd.lr": 0.01}), 3)
    member = make_member(run, "mlp", line())
    training = Training(steps=40, checks=4, batch_size=16)
    trainer = Alone(member)
    step = trainer.step

    def breaks(number, rate, x, y):
        losses = step(number, rate, x, y)
        return losses if number <= 20 else losses * math.nan

    trainer.step = breaks
    (result,) = train(trainer, line().inputs, line().y, training, keep_states=True)
    assert result.status == "diverged"
    assert result.curve[0][2] < math.inf
    assert result.state is None


@pytest.mark.parametrize("regularizers", [(), ("bagging",), ("pseudo-label",)])
def test_the_order_of_the_examples_is_the_same_in_one_piece_as_in_several(regularizers):
    member = make_member(Run(Trial(Recipe(regularization=regularizers)), 7), "mlp", blobs())
    pieces = [member.order(16, steps, start) for start, steps in ((0, 9), (9, 1), (10, 21))]
    assert np.array_equal(np.concatenate(pieces), member.order(16, 31))
