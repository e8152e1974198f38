"""Early stopping that trains anew: on all examples, for as many steps as were best, as a plain loop would."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from make_runs import blobs, line
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import labelled, split, with_class_weights
from trainsmith.export.check import imported
from trainsmith.export.winner import make_export
from trainsmith.luck import batches
from trainsmith.population import Alone, Job, Training, make_member, train, trained_member, work
from trainsmith.regularization import EarlyStopping

TRAINING = Training(steps=60, batch_size=16, checks=12)
SEEDS = (3, 4, 5)
NUMBERS = {"early-stopping-retrain.patience": 2, "adam.lr": 1e-2}


def runs(name="early-stopping-retrain", **more):
    numbers = {n.replace("early-stopping-retrain", name): v for n, v in {**NUMBERS, **more}.items()}
    recipe = Recipe(normalization="standardization", regularization=(name,))
    return tuple(Run(Trial(recipe, numbers), seed) for seed in SEEDS)


@functools.cache
def worked():
    data = blobs(examples=120, features=4)
    return data, work(Job("mlp", TRAINING, runs(), keep_states=True, replay=(0, 2)), data)


@functools.cache
def stopped():
    """The same with early stopping alone: the first training."""
    data, _ = worked()
    return work(Job("mlp", TRAINING, runs("early-stopping"), keep_states=True), data)


def best_step(result, seed):
    """By the policy itself, on the watched losses of a run trained alone."""
    data, _ = worked()
    member = make_member(runs()[SEEDS.index(seed)], "mlp", data)
    train(Alone(member), data.x, data.y, TRAINING)
    assert isinstance(member.stopping, EarlyStopping)
    return TRAINING.check_steps()[member.stopping.best_check - 1]


def test_the_first_training_is_that_of_early_stopping_and_the_second_one_follows_it():
    _, record = worked()
    ends = set()
    for seed, both, first in zip(SEEDS, record.results, stopped().results, strict=True):
        best = best_step(both, seed)
        ends.add(best)
        assert both.first_losses == first.first_losses
        assert both.step == first.step + best
        count = len(first.curve)
        np.testing.assert_allclose(np.array(both.curve)[:count], np.array(first.curve), rtol=1e-5)
        assert [step for step, *_ in both.curve[count:]] == [
            first.step + s for s in TRAINING.check_steps() if s <= best
        ]
        assert both.score == both.curve[-1][3]
    assert len(ends) > 1, "members of one chunk end at steps of their own"
    assert max(record.deviations) < 1e-4


def test_the_second_training_is_a_plain_loop_on_all_examples_by_the_same_schedule():
    data, record = worked()
    run = runs()[1]
    everything = labelled(data, split(data, run.seed)[0], run.seed)
    member = make_member(run, "mlp", data, again=True)
    assert np.array_equal(member.train, everything)
    assert not len(member.watch)
    network, best = member.objective.network, best_step(record.results[1], run.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step, chosen in enumerate(batches(run.seed, everything, 16, best), 1):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(data.x[chosen]), data.y[chosen]).backward()
        optimizer.param_groups[0]["lr"] = 1e-2 * TRAINING.rate(step)
        optimizer.step()
    kept = trained_member(run, "mlp", data, record.results[1].state).objective.network.eval()
    torch.testing.assert_close(network.eval()(data.x), kept(data.x), rtol=1e-3, atol=1e-3)
    right = (network(data.x[member.validation]).argmax(-1) == data.y[member.validation]).double().mean()
    assert record.results[1].score == pytest.approx(float(right), abs=0.05)


def test_classes_have_the_same_weights_in_both_trainings():
    data = with_class_weights(blobs(examples=120, features=4), "balanced")
    first, second = (make_member(runs()[0], "mlp", data, again=again).objective.loss.weight for again in (False, True))
    assert torch.equal(first, second)
    assert not torch.equal(first, make_member(runs("early-stopping")[0], "mlp", data).objective.loss.weight)


def test_numbers_to_predict_have_the_same_units_in_both_trainings():
    data = line()
    run = runs()[0]
    first, second = (make_member(run, "mlp", data, again=again) for again in (False, True))
    plain = make_member(runs("early-stopping")[0], "mlp", data)
    assert first.centre == pytest.approx(second.centre, rel=1e-12) != plain.centre
    assert first.scale == pytest.approx(second.scale, rel=1e-12) != plain.scale


@pytest.mark.parametrize(
    ("changes", "schedule"),
    [
        ({}, "cosine"),
        ({"initialization": "lsuv"}, "plateau"),
        ({"normalization": "batch", "optimizer": "schedule-free-adamw"}, "cosine"),
        ({"normalization": "batch", "regularization": ("swa", "early-stopping-retrain")}, "cosine"),
        ({"regularization": ("auxiliary-reconstruction", "early-stopping-retrain")}, "cosine"),
        ({"schedule": "step-decay"}, "cosine"),
        ({"schedule": "plateau"}, "cosine"),
    ],
    ids=str,
)
def test_the_exported_script_ends_with_the_weights_of_the_study(changes, schedule):
    """Also where the first weights hang on the examples, and where a technique keeps something from step to step."""
    data, _ = worked()
    run = runs()[2]
    recipe = replace(run.trial.recipe, **changes)
    numbers = {"early-stopping-retrain.patience": 2, f"{recipe.optimizer}.lr": 1e-2}
    run = replace(run, trial=Trial(recipe, numbers))
    training = replace(TRAINING, steps=30, checks=10, schedule=schedule)
    (result,) = work(Job("mlp", training, (run,), keep_states=True, replay=()), data).results
    export = make_export(run, "mlp", data, training)
    member = make_member(run, "mlp", data)
    everything = labelled(data, split(data, run.seed)[0], run.seed)
    files = {"initial.safetensors": export.first, "initial_again.safetensors": export.again}
    with imported(export.files) as script:
        script.load_file = lambda path: files[path.name]
        network = script.initialized(data.x[member.train], data.y[member.train])
        watched = data.x[member.watch], data.y[member.watch]
        script.train(network, data.x[member.train], data.y[member.train], *watched)
        network = script.retrained(data.x[everything], data.y[everything])
    study = trained_member(run, "mlp", data, result.state).objective.network
    torch.testing.assert_close(network.eval()(data.x), study.eval()(data.x), rtol=1e-3, atol=1e-3)


def test_a_run_that_diverges_is_not_trained_anew():
    data = blobs(examples=120, features=4)
    recipe = replace(runs()[0].trial.recipe, optimizer="sgd")
    record = work(Job("mlp", TRAINING, (Run(Trial(recipe, {"sgd.lr": 1e30}), 3),), replay=()), data)
    assert record.results[0].status == "diverged"
    assert record.results[0].step <= TRAINING.steps
