"""Learning rates that come to differ between members: reduced on a plateau of each member's own loss."""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import trainsmith
from make_runs import blobs
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import Plateau, cosine
from trainsmith.population import Alone, Chunk, Training, make_member, train
from trainsmith.population.training.verify import receipt

TRAINING = Training(steps=24, batch_size=8, checks=24, schedule="plateau", warmup=0.0)


def members(rates=(0.01, 3.0, 0.05)):
    return [make_member(Run(Trial(Recipe(optimizer="sgd"), {"sgd.lr": lr}), 3), "mlp", blobs()) for lr in rates]


def torchs_factors(losses, patience):
    """The factors with which torch's own scheduler trains, given the losses of steps that it looks at one by one."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=patience)
    factors = []
    for loss in losses:
        factors.append(optimizer.param_groups[0]["lr"])
        plateau.step(loss)
    return factors


def test_each_member_s_rate_falls_by_its_own_losses_as_torchs_scheduler_lowers_it():
    own = members()
    rates = TRAINING.rates(own)
    draws = np.random.default_rng(0).uniform(1, 2, (24, 3)) / np.linspace(1, 3, 24)[:, None] ** [0, 1, 8]
    seen = []
    for step, losses in enumerate(draws, 1):
        seen.append(rates(step))
        rates.note(step, losses.tolist())
    for k in range(3):
        np.testing.assert_allclose([r[k] for r in seen], torchs_factors(draws[:, k], patience=2))
    assert len({r[k] for r in seen[-1:] for k in range(3)}) > 1
    assert rates(24, [2]) == [seen[-1][2]]


def test_members_train_on_a_plateau_together_as_alone_and_a_look_is_at_the_mean_since_the_last():
    data = blobs()
    x = data.x.double()
    training = Training(steps=36, batch_size=8, checks=12, schedule="plateau", warmup=0.0)
    for chosen in (TRAINING, training):
        trained = [members(), members(), members()]
        for m in itertools.chain.from_iterable(trained):
            m.objective.double()
        together = train(Chunk(trained[0], x, data.y), x, data.y, chosen)
        alone = [train(Alone(m), x, data.y, chosen)[0] for m in trained[1]]
        constant = replace(chosen, schedule="constant")
        plain = train(Chunk(trained[2], x, data.y), x, data.y, constant)
        for here, there in zip(alone, together, strict=True):
            np.testing.assert_allclose(np.array(there.curve), np.array(here.curve), rtol=1e-7)
        assert any(a.loss != b.loss for a, b in zip(together, plain, strict=True)), "it never acted"


def test_the_receipt_follows_the_rates_of_a_member_that_came_to_differ():
    data = blobs()
    results = train(Chunk(members(), data.x, data.y), data.x, data.y, TRAINING)
    found, tolerance = receipt(lambda: members()[1], data.x, data.y, TRAINING, results[1])
    assert found <= tolerance


def test_members_that_end_leave_the_others_their_rates():
    data = blobs()
    alone = train(Alone(members()[2]), data.x, data.y, TRAINING)[0]
    beside = train(Chunk(members((1e30, 1e30, 0.05)), data.x, data.y), data.x, data.y, TRAINING)
    assert [r.status for r in beside] == ["diverged", "diverged", "finished"]
    np.testing.assert_allclose(beside[2].loss, alone.loss, rtol=1e-4)


@pytest.mark.parametrize("schedule", ["plateau", Plateau(gamma=0.5, patience=0, threshold=0.9)])
def test_a_population_takes_it_by_name_or_with_numbers(schedule):
    data = blobs()
    make = lambda: nn.Sequential(nn.Flatten(), nn.Linear(data.x[0].numel(), 4))  # noqa: E731
    population = trainsmith.Population(make, lr=[1e-6, 0.05], optimizer="sgd")
    fit = population.fit(data.x, data.y, steps=100, batch_size=8, schedule=schedule)
    plain = trainsmith.Population(make, lr=[1e-6, 0.05], optimizer="sgd").fit(data.x, data.y, steps=100, batch_size=8)
    assert torch.equal(fit.losses[:25], plain.losses[:25]) or schedule == "plateau"
    assert fit.deviation <= fit.tolerance
    if schedule != "plateau":
        assert not torch.equal(fit.losses[75:, 1], plain.losses[75:, 1])


def linear(data):
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(data.x[0].numel(), 4))


def fitted(schedule, seeds=(3, 4, 5), calls=1, **numbers):
    """Losses (steps, members) of as many members as seeds, which differ in nothing else, and the fits."""
    data = blobs()
    population = trainsmith.Population(linear(data), seeds=list(seeds), optimizer="sgd", lr=0.3, **numbers)
    fits = [population.fit(data.x, data.y, steps=60, batch_size=8, schedule=schedule) for _ in range(calls)]
    assert all(f.deviation <= f.tolerance for f in fits if not np.isnan(f.deviation))
    return torch.cat([f.losses for f in fits])


def test_a_list_of_schedules_gives_each_member_its_own_as_if_all_had_it():
    """Functions of the step go by all steps that a member has had, names by those of the call."""
    listed = [
        functools.partial(cosine, steps=120, warmup=0.5),
        "one-cycle",
        Plateau(gamma=0.1, patience=0, threshold=0.9),
    ]
    together = fitted(listed, calls=2)
    for k, schedule in enumerate(listed):
        alone = fitted(schedule, calls=2)
        torch.testing.assert_close(together[:, k], alone[:, k], rtol=1e-4, atol=1e-6)
        assert not torch.allclose(fitted(None, calls=2)[:, k], alone[:, k], rtol=1e-3)
    assert listed[2].factor == 1, "what was given is not what watches"


def test_a_plateau_behind_members_without_one_still_looks():
    plateau = Plateau(gamma=0.1, patience=0, threshold=0.9)
    together, alone = fitted([None, None, plateau]), fitted(plateau)
    torch.testing.assert_close(together[:, 2], alone[:, 2], rtol=1e-4, atol=1e-6)


def test_one_plateau_given_to_all_looks_at_each_member_by_itself():
    """Only the last one's loss falls fast enough between looks."""
    data = blobs()
    seen = []

    class Told(Plateau):
        def __deepcopy__(self, memo):
            seen.append(Told(self.gamma, self.patience, self.threshold))
            return seen[-1]

    population = trainsmith.Population(linear(data), lr=[1e-6, 0.3], seeds=[3, 3], optimizer="sgd")
    population.fit(data.x, data.y, steps=100, batch_size=8, schedule=Told(gamma=0.5, patience=0, threshold=0.05))
    factors = sorted({p.factor for p in seen if p.best < np.inf})
    assert len(factors) == 2


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (["cosine"], "a list of schedules must have one for each of 3 members; got 1"),
        (3, "schedule must be a name, a function of the step, a Plateau or a list of such, one a member; got int"),
        (["cosine", "cosine", "cosinus"], "unknown schedule 'cosinus': did you mean cosine"),
    ],
)
def test_a_list_that_does_not_fit_is_said(schedule, said):
    with pytest.raises(InvalidInput, match=said):
        fitted(schedule)


def test_functions_of_the_step_go_by_all_steps_that_members_have_had():
    seen = []
    fitted([lambda step: float(seen.append(step) or 1.0)] * 3, calls=2)
    assert {*seen} == {*range(1, 121)}
