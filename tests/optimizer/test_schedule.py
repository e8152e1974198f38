"""Learning-rate schedules against torch's own and their formulas."""

import functools
import io
import pickle

import pytest
import torch
from torch.optim import lr_scheduler

from trainsmith.errors import InvalidInput
from trainsmith.optimizer import SCHEDULES, SGD, Plateau, Schedule, scheduler
from trainsmith.optimizer import schedule as rates
from trainsmith.population import Training

STEPS = 40


def optimizer():
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def path_of(make):
    """The learning rates at each step under a torch scheduler."""
    ours = optimizer()
    scheduler = make(ours)
    path = []
    for _ in range(STEPS):
        path.append(ours.param_groups[0]["lr"])
        ours.step()
        scheduler.step()
    return path


def factors(schedule, **numbers):
    return [schedule(step, STEPS, **numbers) for step in range(1, STEPS + 1)]


RISE = functools.partial(lr_scheduler.LinearLR, start_factor=1 / 10, total_iters=9)
CASES = [
    (rates.constant_rate, {}, lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    (rates.staircase, {"stairs": 4, "gamma": 0.3}, lambda o: lr_scheduler.StepLR(o, 10, 0.3)),
    (rates.exponential, {"final": 0.02}, lambda o: lr_scheduler.ExponentialLR(o, 0.02 ** (1 / STEPS))),
    (
        rates.cosine,
        {"warmup": 0.0},
        lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS),
    ),
    (rates.warm_up, {"warmup": 0.25}, RISE),
    (rates.one_cycle, {}, lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=STEPS, cycle_momentum=False)),
    (
        rates.one_cycle,
        {"rise": 0.45, "start": 0.1, "final": 0.001},
        lambda o: lr_scheduler.OneCycleLR(
            o, 1.0, total_steps=STEPS, pct_start=0.45, div_factor=10, final_div_factor=100, cycle_momentum=False
        ),
    ),
]


@pytest.mark.parametrize(("schedule", "numbers", "torchs"), CASES)
def test_the_rates_are_torchs(schedule, numbers, torchs):
    assert factors(schedule, **numbers) == pytest.approx(path_of(torchs), rel=1e-9)


def test_the_cosine_after_warm_up_is_torchs():
    """torch's rise ends one step before its fall starts, ours where it starts: ours is its path from the top on."""
    fall = path_of(lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS - 10 + 1))
    expected = [*(i / 10 for i in range(1, 10)), *fall[: STEPS - 9]]
    assert factors(rates.cosine, warmup=0.25) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 7, 600])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 1.0])
def test_the_cosine_is_the_trainings_own(steps, warmup):
    training = Training(steps=steps, warmup=warmup)
    for step in range(1, steps + 1):
        assert rates.cosine(step, steps, warmup) == training.rate(step)


def test_the_line_falls_evenly_and_ends_above_0():
    path = factors(rates.linear_decay, warmup=0.25)
    assert path[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert path[9:] == pytest.approx([(31 - i) / 31 for i in range(31)])


def test_warm_up_stable_decay_has_three_parts():
    path = factors(rates.stable_decay, warmup=0.1, decay=0.25)
    assert path[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert path[3:30] == [1.0] * 27
    assert path[30:] == pytest.approx([i / 11 for i in range(10, 0, -1)])


def test_a_scheduler_is_torchs_with_our_factor_and_goes_on_from_its_state():
    ours = optimizer()
    one = scheduler(ours, rates.cosine, STEPS, warmup=0.25)
    seen = []
    for _ in range(25):
        seen.append(ours.param_groups[0]["lr"])
        ours.step()
        one.step()
    other = optimizer()
    other.load_state_dict(ours.state_dict())
    again = scheduler(other, rates.cosine, STEPS, warmup=0.25)
    again.load_state_dict(pickle.loads(pickle.dumps(one.state_dict())))
    for _ in range(25):
        other.step()
        again.step()
        seen.append(again.get_last_lr()[0])
    expected = factors(rates.cosine, warmup=0.25)
    assert seen[:25] == pytest.approx(expected[:25])
    assert seen[25:39] == pytest.approx(expected[26:40])
    assert seen[-1] == pytest.approx(expected[-1])


def test_a_scheduler_refuses_its_numbers_at_once():
    with pytest.raises(InvalidInput, match=r"cosine: warmup must be a number in \[0, 1\]; got 2.0"):
        scheduler(optimizer(), rates.cosine, STEPS, warmup=2.0)


@pytest.mark.parametrize("patience", [0, 2, 3])
def test_the_plateau_is_torchs(patience):
    losses = [3.0, 2.0, 2.0, 2.5, 1.9999, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.6, 1.4, float("nan"), 1.4, 1.4, 1.4, 1.4, 1.4]
    torchs = optimizer()
    reference = lr_scheduler.ReduceLROnPlateau(torchs, factor=0.3, patience=patience)
    ours = Plateau(gamma=0.3, patience=patience)
    for loss in losses:
        reference.step(loss)
        assert ours.update(loss) == pytest.approx(torchs.param_groups[0]["lr"])
    assert ours.factor < 1


def test_a_plateaus_gamma_is_below_1():
    with pytest.raises(InvalidInput, match=r"plateau: gamma must be a number in \(0, 1\); got"):
        Plateau(gamma=1.5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_by_name_is_its_function_and_says_itself(name):
    chosen, own = Schedule(name, STEPS, warmup=0.25), SCHEDULES[name]
    numbers = {"warmup": 0.25} if "warm-up" in str(chosen) else {}
    assert [chosen(t) for t in range(1, STEPS + 1)] == factors(own, **numbers)
    assert (chosen(1) == 1 / round(0.25 * STEPS)) == bool(numbers)


def test_an_unknown_schedule_is_told_with_the_nearest_name():
    with pytest.raises(InvalidInput, match=r"cosin.*cosine"):
        Schedule("cosin", 10)


def test_a_checkpoint_of_a_scheduler_is_loaded_as_torch_loads_one_by_default():
    one = scheduler(optimizer(), rates.cosine, STEPS, warmup=0.25)
    file = io.BytesIO()
    torch.save({"scheduler": one.state_dict()}, file)
    file.seek(0)
    again = scheduler(optimizer(), rates.cosine, 7, warmup=0.5)
    again.load_state_dict(torch.load(file, weights_only=True)["scheduler"])
    assert [f(3) for f in again.lr_lambdas] == [f(3) for f in one.lr_lambdas]
    assert pickle.loads(pickle.dumps(one.lr_lambdas[0]))(3) == one.lr_lambdas[0](3)


@pytest.mark.usefixtures("shapes_unchecked")
def test_a_scheduler_takes_a_schedule_by_name():
    named, made = (
        scheduler(optimizer(), "cosine-annealing", STEPS, warmup=0.25),
        scheduler(optimizer(), rates.cosine, STEPS, warmup=0.25),
    )
    assert [named.lr_lambdas[0](i) for i in range(STEPS)] == [made.lr_lambdas[0](i) for i in range(STEPS)]
    with pytest.raises(InvalidInput, match="unknown schedule 'cosin': did you mean cosine"):
        scheduler(optimizer(), "cosin", STEPS)
    for plateau in ("plateau", Plateau, Plateau()):
        with pytest.raises(InvalidInput, match="a plateau hangs on losses: multiply the learning rate by"):
            scheduler(optimizer(), plateau, STEPS)


@pytest.mark.usefixtures("shapes_unchecked")
@pytest.mark.parametrize("steps", [0, -1, 2.5, "5", None])
def test_a_length_that_is_none_is_refused(steps):
    with pytest.raises(InvalidInput, match=r"steps must be a whole number of at least 1; got"):
        scheduler(optimizer(), rates.cosine, steps)


def test_a_plateau_takes_losses_as_tensors_without_keeping_their_graphs_and_goes_on_from_its_state():
    one, loss = Plateau(gamma=0.5, patience=1), torch.ones((), requires_grad=True) * 2
    assert one.update(loss) == 1.0
    assert type(one.best) is float
    again = Plateau()
    again.load_state_dict(pickle.loads(pickle.dumps(one.state_dict())))
    for value in (2.0, 2.0, 1.0, 3.0, 3.0):
        assert one.update(value) == again.update(value)
    assert one.state_dict() == again.state_dict()
