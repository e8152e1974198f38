"""Ensembles by name in a population: each network's training is one of its own, and together they predict."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import trainsmith
from trainsmith import luck
from trainsmith.errors import InvalidInput
from trainsmith.regularization import SAM, Bagging, DeepEnsemble, SnapshotEnsemble, WeightEMA
from trainsmith.regularization.ensemble import COUNT

X = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = X[:, :3].argmax(1)
SEEDS, LR, STEPS, BATCH = (4, 9), (0.05, 0.1), 12, 8


def network():
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def trained(*regularizers, batch=BATCH, fits=1, **more):
    population = trainsmith.Population(
        network, optimizer="sgd", lr=LR, seeds=SEEDS, regularizers=list(regularizers), **more
    )
    for _ in range(fits):
        fit = population.fit(X, Y, STEPS, batch)
    return population, fit


def plain_loop(module, lr, order):
    """Plain gradient descent over the examples of `order`; the losses."""
    losses = []
    for step, chosen in enumerate(order):
        module.zero_grad()
        loss = functional.cross_entropy(module(X[chosen]), Y[chosen])
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for p in module.parameters():
                p -= (lr(step + 1) if callable(lr) else lr) * p.grad
    return losses


def drawn(seed, *words):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(luck.key(seed, *words, "construction"))
        return network()


@pytest.mark.parametrize("name", ["deep-ensemble", "bagging"])
@pytest.mark.parametrize("batch", [BATCH, None])
def test_each_network_trains_by_itself_and_their_mean_probabilities_are_the_members(name, batch):
    population, fit = trained(name, batch=batch, fits=2)
    assert fit.losses.shape == (STEPS, 2)
    for k, seed in enumerate(SEEDS):
        expected, losses = [], []
        for m in range(COUNT):
            words = ("network", m) if m else ()
            pool = np.arange(len(X))
            if name == "bagging":
                pool = luck.generator(seed, "bootstrap", m).integers(0, len(X), len(X))
            order = luck.batches(seed, pool, BATCH, 2 * STEPS, words=words) if batch else [pool] * 2 * STEPS
            expected.append(drawn(seed, *words))
            losses.append(plain_loop(expected[-1], LR[k], order))
        member = population.member(k)
        for own, wanted in zip(member.members, expected, strict=True):
            torch.testing.assert_close(own.state_dict(), wanted.state_dict(), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(fit.losses[:, k], np.mean(losses, 0)[STEPS:], rtol=1e-6)
        mean = torch.stack([m(X).softmax(-1) for m in expected]).mean(0)
        torch.testing.assert_close(population.outputs(X)[k].softmax(-1), mean.detach())
        torch.testing.assert_close(member.eval()(X), population.outputs(X)[k])


def test_snapshots_are_of_one_network_at_the_ends_of_its_cycles():
    population, fit = trained("snapshot-ensemble")
    assert fit.deviation < 1e-6
    module, length = drawn(SEEDS[1]), STEPS // COUNT
    order = luck.batches(SEEDS[1], np.arange(len(X)), BATCH, STEPS)
    outputs = []
    for cycle in range(COUNT):
        rate = lambda t: LR[1] / 2 * (math.cos(math.pi * (t - 1) / length) + 1)  # noqa: E731
        plain_loop(module, rate, order[cycle * length : (cycle + 1) * length])
        outputs.append(module(X).softmax(-1).detach())
    torch.testing.assert_close(population.outputs(X)[1].softmax(-1), torch.stack(outputs).mean(0))


def test_numbers_are_averaged_for_a_regression_and_it_is_the_same_by_threads_and_alone():
    y = X[:, 0] * 3
    population = trainsmith.Population(
        lambda: nn.Linear(5, 1).double(), 3, regularizers=["deep-ensemble", "l2", WeightEMA(0.5)], threads=2
    )
    fit = population.fit(X, y, STEPS, BATCH)
    assert fit.deviation < 1e-6
    member = population.member(2).eval()
    assert member.kind == "numbers"
    torch.testing.assert_close(member(X), torch.stack([m(X) for m in member.members]).mean(0))


def test_a_step_gives_every_network_the_batch():
    population = trainsmith.Population(network, optimizer="sgd", lr=LR, seeds=SEEDS, regularizers=[DeepEnsemble])
    losses = population.step(X[:BATCH], Y[:BATCH])
    each = trainsmith.Population(network, optimizer="sgd", lr=LR, seeds=SEEDS, regularizers=[DeepEnsemble])
    both = torch.stack([X[:BATCH]] * 2), torch.stack([Y[:BATCH]] * 2)
    torch.testing.assert_close(each.step(*both, each=True), losses)
    own = [[drawn(s, *(("network", m) if m else ())) for m in range(COUNT)] for s in SEEDS]
    found = [np.mean([plain_loop(m, lr, [range(BATCH)])[0] for m in four]) for four, lr in zip(own, LR, strict=True)]
    np.testing.assert_allclose(losses, found, rtol=1e-6)
    for k in range(2):
        torch.testing.assert_close(population.member(k).members[3].state_dict(), own[k][3].state_dict())


@pytest.mark.parametrize(
    ("networks", "regularizers", "told"),
    [
        ([network(), network()], ["bagging"], "pass a function that makes one, not a list"),
        (network, [["bagging"], []], "all members must have the same ensemble"),
        (network, [Bagging, SnapshotEnsemble], "all members must have the same ensemble, and one at most"),
        (network, ["deep-ensemble", SAM()], "SAM and an ensemble cannot act together"),
        (network, ["snapshot-ensemble", WeightEMA()], "snapshots and an average of the weights cannot act together"),
        (network, [DeepEnsemble([network()])], "deep-ensemble cannot be among the regularizers: .* give its name"),
        (network, ["dropout"], "dropout cannot be among the regularizers: it is a layer"),
        (network, ["bag"], "bag"),
    ],
    ids=lambda v: v[:20] if isinstance(v, str) else type(v).__name__,
)
def test_what_does_not_fit_is_told_at_once(networks, regularizers, told):
    with pytest.raises(InvalidInput, match=told):
        trainsmith.Population(networks, regularizers=regularizers)


@pytest.mark.parametrize("name", ["bagging", "snapshot-ensemble"])
def test_what_has_to_know_the_training_does_not_go_step_by_step(name):
    with pytest.raises(InvalidInput, match="has to know examples and length of the training: train by `fit`"):
        trainsmith.Population(network, 2, regularizers=[name]).step(X, Y)
