"""Regularizers given to a Population act as in a plain PyTorch loop, each member with its own."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import trainsmith
from trainsmith import luck
from trainsmith.errors import InvalidInput
from trainsmith.regularization import (
    L1,
    L2,
    Dropout,
    EarlyStopping,
    InputNoise,
    LabelSmoothing,
    MaxNorm,
    MeanTeacher,
    Mixup,
    SoftThreshold,
    WeightDecay,
    WeightEMA,
)

X = torch.randn(96, 6, generator=torch.Generator().manual_seed(1))
Y = (X[:, :3].sum(1) > 0).long() + (X[:, 3] > 1).long()
STEPS, BATCH, RATE = 30, 16, 0.3


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSMITH_CACHE", str(tmp_path))


def mlp():
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))


def plain_loop(module, seed, penalty, constrain):
    """What anybody would write, on the batches the seed draws: weights, biases left alone."""
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE)
    weights = [p for p in module.parameters() if p.ndim == 2]
    for chosen in luck.batches(seed, np.arange(len(X)), BATCH, STEPS):
        loss = functional.cross_entropy(module(X[chosen]), Y[chosen]) + penalty(weights)
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            constrain(weights, optimizer.step)
    return [p.detach() for p in module.parameters()]


def bounded(limit):
    def constrain(weights, step):
        step()
        for w in weights:
            w.copy_(torch.renorm(w, 2, 0, limit))

    return constrain


def decayed(strength):
    def constrain(weights, step):
        for w in weights:
            w.mul_(1 - RATE * strength)
        step()

    return constrain


def free(weights, step):
    step()


def nothing(weights):
    return 0.0


CASES = {
    "each its own bound": ([[MaxNorm(0.5)], [MaxNorm(1.0)]], [nothing] * 2, [bounded(0.5), bounded(1.0)]),
    "each its own penalty": (
        [[L2(0.1)], [L2(0.01)]],
        [lambda ws: 0.05 * sum(w.square().sum() for w in ws), lambda ws: 0.005 * sum(w.square().sum() for w in ws)],
        [free] * 2,
    ),
    "one list for all": (
        [L1(0.01), WeightDecay(0.05)],
        [lambda ws: 0.01 * sum(w.abs().sum() for w in ws)] * 2,
        [decayed(0.05)] * 2,
    ),
    "another kind each": ([[WeightDecay(0.1)], []], [nothing] * 2, [decayed(0.1), free]),
}


@pytest.mark.parametrize("name", CASES)
def test_members_are_regularized_as_in_a_plain_loop(name):
    regularizers, penalties, constraints = CASES[name]
    population = trainsmith.Population(mlp, 2, optimizer="sgd", lr=RATE, regularizers=regularizers, seeds=[4, 9])
    modules = [population.member(k) for k in range(2)]
    fit = population.fit(X, Y, STEPS, BATCH)
    assert fit.deviation <= fit.tolerance
    unregularized = plain_loop(population._recruits.networks[0], 4, nothing, free)
    for k, seed in enumerate(population.seeds):
        expected = plain_loop(modules[k], seed, penalties[k], constraints[k])
        for p, q in zip(population.member(k).parameters(), expected, strict=True):
            torch.testing.assert_close(p.detach(), q, rtol=1e-4, atol=1e-5)
    assert (population.member(0)[0].weight - unregularized[0]).abs().max() > 1e-3


def test_a_mixing_acts_in_training():
    losses = [
        trainsmith.Population(mlp, lr=[0.01], regularizers=chosen, seeds=3).fit(X, Y, 5, BATCH).losses[0]
        for chosen in ([], [Mixup(0.5)], [InputNoise(0.5)])
    ]
    assert len({round(float(loss), 6) for loss in losses}) == 3


@pytest.mark.parametrize(
    ("given", "optimizer", "told"),
    [
        (MaxNorm(3.0), "sgd", "must be a list, such as .* got MaxNorm"),
        ([[L2(0.1)], [L2(0.1)], []], "sgd", "one value for each member; got members= 2, regularizers= 3"),
        ([[L2(0.1)], L2(0.1)], "sgd", "got 1 lists among 2 entries"),
        ([Dropout(0.5)], "sgd", "dropout cannot be among the regularizers: it is a layer"),
        ([LabelSmoothing(0.1)], "sgd", "give it as loss="),
        ([EarlyStopping()], "sgd", "it says when to stop"),
        (["none"], "sgd", "none cannot be among the regularizers: it does nothing"),
        (["drop-connect-gaussian"], "sgd", "it is a layer: put it into the network"),
        ([Mixup(0.2), Mixup(0.3)], "sgd", "two mixings cannot act together"),
        ([MeanTeacher(), WeightEMA()], "sgd", "a teacher and an average of the weights cannot act together"),
        ([MeanTeacher()], "schedule-free-sgd", "a teacher and an optimizer that averages the weights cannot act"),
        ([3.0], "sgd", "made by classes of trainsmith.regularization .* got float"),
        ([SoftThreshold(0.1)], "schedule-free-sgd", "soft-threshold cannot be used: ScheduleFreeSGD evaluates"),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, str) else v[:12],
)
def test_what_does_not_fit_is_told_before_anything_is_trained(given, optimizer, told):
    with pytest.raises(InvalidInput, match=told):
        trainsmith.Population(mlp, 2, optimizer=optimizer, lr=0.1, regularizers=given)
