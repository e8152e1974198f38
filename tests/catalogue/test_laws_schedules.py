"""What holds for every schedule of the learning rate: its curve, its numbers, one a member, together and alone."""

import inspect
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

import reference.schedule as paper
from each_technique import each, settings
from make_runs import blobs
from trainsmith.catalogue import Recipe, Run, Trial, find, techniques
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import SCHEDULES, SGD, Plateau, Schedule, scheduler
from trainsmith.population import Alone, Chunk, Training, make_member, train
from trainsmith.population.training.verify import receipt

CURVES = [t for t in techniques("optimizer") if t.role == "schedule" and not inspect.isclass(t.make)]
each_curve = pytest.mark.parametrize("technique", CURVES, ids=lambda t: t.name)
TRAINING = Training(steps=24, batch_size=8, checks=12, schedule="constant")


def curve(technique, steps, numbers):
    return np.array([technique.make(step, steps, **numbers) for step in range(1, steps + 1)])


def test_the_schedules_of_a_study_are_the_catalogues_and_no_others():
    named = {*SCHEDULES.values(), Plateau}
    assert named == {t.make for t in techniques("optimizer") if t.role == "schedule"}
    for t in techniques("optimizer"):
        for name in (t.name, *t.aliases) if t.role == "schedule" else ():
            assert Schedule(name, 10).name == Schedule(t.name.upper(), 10).name


@each_curve
@pytest.mark.parametrize("steps", [1, 2, 5, 40, 41, 600])
def test_the_curve_is_that_of_the_paper(technique, steps):
    for numbers in (technique.defaults, *settings(technique, 7)):
        expected = getattr(paper, technique.make.__name__)(steps, **numbers)
        np.testing.assert_allclose(curve(technique, steps, numbers), expected, rtol=1e-12, atol=1e-15)


@each_curve
def test_the_curve_ends_where_its_training_ends_and_never_at_0_or_above_1(technique):
    for numbers in (technique.defaults, *settings(technique, 5)):
        for steps in (1, 2, 3, 17, 100):
            factors = curve(technique, steps, numbers)
            assert (factors <= 1).all()
            assert (factors > 0).all() or numbers.get("final") == 0
    long, short = curve(technique, 4000, technique.defaults), curve(technique, 400, technique.defaults)
    assert np.abs(long[4::10] - short).mean() < 0.01, "it is not the same curve, stretched"


@each_curve
def test_every_number_makes_a_difference(technique):
    for number in technique.hyperparameters:
        low, high = (curve(technique, 60, {number.name: number.at(q)}) for q in (0.1, 0.9))
        assert not np.allclose(low, high), number.name


@each_curve
def test_a_step_outside_the_training_and_a_number_without_meaning_are_refused(technique):
    for step in (0, 11):
        with pytest.raises(InvalidInput, match=f"a step must be from 1 to the number of steps, 10; got {step}"):
            technique.make(step, 10)
    for number in technique.hyperparameters:
        with pytest.raises(InvalidInput, match=f"{technique.name}: {number.name} must be a number in"):
            technique.make(1, 10, **{number.name: -0.5})


@each_curve
def test_torch_takes_it_as_a_scheduler_and_goes_on_from_its_state(technique):
    numbers = settings(technique)[0]
    ours = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    one, seen = scheduler(ours, technique.make, 30, **numbers), []
    for _ in range(30):
        seen.append(ours.param_groups[0]["lr"])
        ours.step()
        one.step()
        if len(seen) == 12:
            states = pickle.loads(pickle.dumps((ours.state_dict(), one.state_dict())))
            one = scheduler(ours, technique.make, 30, **numbers)
            for stored, what in zip(states, (ours, one), strict=True):
                what.load_state_dict(stored)
    np.testing.assert_allclose(seen, 0.5 * curve(technique, 30, numbers), rtol=1e-12)


def members_of(technique, optimizer="sgd"):
    """Members that differ in every number of the schedule, and one that trains at the training's."""
    recipe = Recipe(optimizer=optimizer, schedule=technique.name)
    trials = [Trial(recipe, {f"{technique.name}.{n}": v for n, v in own.items()}) for own in settings(technique)]
    trials.append(Trial(Recipe(optimizer=optimizer)))
    return [make_member(Run(trial, 3), "mlp", blobs()) for trial in trials]


@each("schedule")
def test_in_a_population_each_member_has_its_own_numbers_and_gets_what_it_gets_alone(technique):
    data = blobs()
    together = train(Chunk(members_of(technique), data.x, data.y), data.x, data.y, TRAINING)
    for k, result in enumerate(together):
        alone = train(Alone(members_of(technique)[k]), data.x, data.y, TRAINING)[0]
        np.testing.assert_allclose(np.array(alone.curve), np.array(result.curve), rtol=2e-4)
        found, tolerance = receipt(lambda k=k: members_of(technique)[k], data.x, data.y, TRAINING, result)
        assert found <= tolerance
    rates = TRAINING.rates(members_of(technique))
    factors = []
    for step in range(1, 25):
        factors.append(rates(step))
        rates.note(step, [1.0 + step % 3] * 4)
    if technique.hyperparameters:
        columns = np.array(factors).T
        assert len({tuple(c) for c in columns[:-1]}) == len(columns) - 1
        assert (columns[-1] == 1).all()


@each("schedule")
def test_a_recipe_that_has_it_trains_as_a_study_whose_trainings_have_it(technique):
    data, warm = blobs(), "warmup" in technique.defaults
    own = Trial(Recipe(schedule=technique.name), {f"{technique.name}.warmup": 0.25} if warm else {})
    whole = replace(TRAINING, schedule=technique.name, warmup=0.25 if warm else 0.0)
    found = [
        train(Chunk([make_member(Run(trial, 3), "mlp", data)], data.x, data.y), data.x, data.y, training)[0]
        for trial, training in ((own, TRAINING), (Trial(Recipe()), whole))
    ]
    np.testing.assert_allclose(np.array(found[0].curve), np.array(found[1].curve), rtol=1e-5)


@each("schedule")
def test_a_member_takes_the_factors_that_its_own_numbers_give(technique):
    rates = TRAINING.rates(members_of(technique))
    looks, factors = TRAINING.check_steps(), []
    losses = [3.0, 2.0, 2.0, 2.5, 1.9999, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.6] * 2
    for step, loss in enumerate(losses, 1):
        factors.append(rates(step) if isinstance(rates(step), list) else [rates(step)] * 4)
        rates.note(step, [loss] * 4)
    means = np.array(losses).reshape(-1, 2).mean(1)
    assert looks == list(range(2, 25, 2))
    for k, numbers in enumerate(settings(technique)):
        if inspect.isclass(technique.make):
            after = paper.plateau(means, **numbers)
            expected = np.repeat(np.concatenate([[1.0], after[:-1]]), 2)
        else:
            expected = getattr(paper, technique.make.__name__)(24, **numbers)
        np.testing.assert_allclose(np.array(factors)[:, k], expected, rtol=1e-12)


@each("schedule")
def test_it_is_not_put_around_what_has_a_rate_of_its_own(technique):
    for recipe, why in (
        (Recipe(optimizer="schedule-free-sgd", schedule=technique.name), "wants a constant learning rate"),
        (Recipe(schedule=technique.name, regularization=("snapshot-ensemble",)), "has the learning rate of every step"),
    ):
        member = make_member(Run(Trial(recipe), 1), "mlp", blobs())
        assert why in member.skipped[technique.name]
        assert member.schedule is None


@each("schedule")
def test_a_recipe_takes_it_beside_its_optimizer_alone(technique):
    recipe = Recipe(optimizer="adam").having(technique).having(find("clip-by-norm"))
    assert (recipe.optimizer, recipe.schedule, recipe.clipping) == ("adam", technique.name, "clip-by-norm")
    assert str(recipe) == f"he + none + relu + adam + clip-by-norm + {technique.name}"
    with pytest.raises(InvalidInput, match=f"{technique.name} sets learning rates and moves no weights: give it as"):
        Recipe(optimizer=technique.name)
    with pytest.raises(InvalidInput, match=f"{technique.name} is no clipping, which clips gradients: give it as"):
        Recipe(clipping=technique.name)
    with pytest.raises(
        InvalidInput, match="clip-by-norm is no schedule, which sets learning rates: give it as clipping"
    ):
        Recipe(schedule="clip-by-norm")


def test_a_schedule_says_what_it_is():
    assert str(Schedule("linear", 10, warmup=0.25)) == "25% linear warm-up, then linear to 0"
    assert (
        str(Schedule.of(find("one-cycle"), find("one-cycle").defaults, 10))
        == "one-cycle rise 0.3 start 0.04 final 4e-06"
    )
