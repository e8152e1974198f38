"""Every technique in each of its three ways: alone, in a population with members' own numbers, by name in a study."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from each_technique import BARE, each, made, name_of
from placing import placed
from trainsmith.catalogue import FAMILIES, Recipe, find, techniques
from trainsmith.comparison.plan import applicable, candidates
from trainsmith.population import Alone, Chunk, Training, train

COURSE = {
    "initialization": """
        zeros constant normal uniform truncated-normal xavier glorot-normal glorot-uniform he he-fan-out he-uniform
        he-uniform-fan-out lecun-uniform orthogonal delta-orthogonal lsuv zero-residual fixup rezero class-prior
    """,
    "normalization": """
        standardization min-max robust pca-whitening zca-whitening batch weight-norm layer instance group rms
        batch-renorm ghost-batch weight-standardization spectral-norm
    """,
    "activation": """
        identity sigmoid hard-sigmoid tanh relu leaky-relu prelu maxout elu selu gelu silu mish softplus crelu glu
        swiglu geglu
    """,
    "optimizer": """
        sgd momentum nesterov moving-average adagrad adadelta rmsprop rmsprop-centred adam adamw amsgrad nadam radam
        adamax lion lamb adafactor muon soap schedule-free-sgd schedule-free-adamw clip-by-value clip-by-norm
        adaptive-clipping constant-rate step-decay exponential-decay cosine one-cycle warm-up stable-decay plateau
    """,
    "regularization": """
        l1 l2 elastic-net weight-decay max-norm orthogonality shift flip rotation zoom cutout rand-augment mixup
        cutmix swap-noise feature-dropout input-noise weight-noise gradient-noise label-smoothing confidence-penalty
        pseudo-label entropy-minimization pi-model mean-teacher vat fixmatch auxiliary-reconstruction
        auxiliary-rotation auxiliary-reconstruction-uncertainty auxiliary-rotation-uncertainty early-stopping
        early-stopping-retrain early-stopping-continue tied-weights soft-tying activity-l1 activity-kl k-winners
        bagging deep-ensemble snapshot-ensemble swa weight-ema polyak-averaging dropout drop-connect
        drop-connect-gaussian stochastic-pooling spatial-dropout alpha-dropout drop-block stochastic-depth
        monte-carlo-dropout fgsm-training pgd-training trades fgsm-training-l2 pgd-training-l2 trades-l2 sam r-drop
        manifold-mixup gradient-penalty
    """,
}
"""What a course on the five families goes through."""


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_of_the_course_is_missing(family):
    assert set(COURSE[family].split()) <= {t.name for t in techniques(family)}


@pytest.mark.parametrize("technique", [t for t in techniques() if isinstance(t.make, type)], ids=name_of)
@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))], ids=["copy", "pickle"]
)
def test_used_alone_it_can_be_copied_and_pickled_and_has_its_state(technique, again):
    numbers = {h.name: h.at(0.3) for h in technique.hyperparameters}
    if technique.role == "optimizer":
        first = technique.make([nn.Parameter(torch.ones(2, 2))], **numbers)
    elif technique.role == "pair":
        first = technique.make(nn.Linear(2, 2), nn.ReLU(), **numbers)
    elif technique.role == "ensemble":
        first = technique.make([nn.Linear(2, 2), nn.Linear(2, 2)])
    else:
        first = technique.make(**numbers) if technique.role in BARE else made(technique, **numbers)
    second = again(first)
    assert type(second) is technique.make
    if not hasattr(first, "state_dict"):
        assert vars(second) == vars(first)
    elif isinstance(first, nn.Module):
        state = first.state_dict()
        assert {np.float32(v) for v in numbers.values()} <= {np.float32(t) for t in state.values() if t.ndim == 0}
        assert second.state_dict().keys() == state.keys()
        assert all(torch.equal(t, state[name]) for name, t in second.state_dict().items())
        second.load_state_dict(state)
    else:
        second.load_state_dict(first.state_dict())
        assert str(second.state_dict()) == str(first.state_dict())


HERE = {
    "adafactor": {"eps1": 1e-3}, "cutmix": {"alpha": 0.1}, "lsuv": {"tolerance": 1e-4},
    "max-norm": {"limit": 0.3}, "mean-teacher": {"decay": 0.2, "shift": 0.0}, "pi-model": {"shift": 0.0},
    "plateau": {"patience": 0.0, "threshold": 0.5}, "pseudo-label": {"threshold": 0.3, "start": 0.0, "ramp": 3.0},
    "shift": {"reach": 0.1}, "weight-ema": {"decay": 0.2},
    **{name: {"patience": 1.0} for name in ("early-stopping", "early-stopping-retrain", "early-stopping-continue")},
}  # fmt: skip
THERE = {
    "adafactor": {"eps1": 1e-1}, "cutmix": {"alpha": 4.0}, "lsuv": {"tolerance": 0.9},
    "max-norm": {"limit": 0.6}, "mean-teacher": {"decay": 0.5, "shift": 0.4}, "pi-model": {"shift": 0.4},
    "plateau": {"patience": 1.0, "threshold": 1e-6}, "pseudo-label": {"threshold": 0.6, "start": 4.0, "ramp": 6.0},
    "shift": {"reach": 0.4}, "weight-ema": {"decay": 0.5},
    **{name: {"patience": 3.0} for name in ("early-stopping", "early-stopping-retrain", "early-stopping-continue")},
}  # fmt: skip
"""Numbers that make a difference in so short a training, where those at 0.3 and 0.7 of their range do not."""
RESTLESS = {"adam.lr": 10.0}
"""A loss that does not fall, as for whom waits until it does."""
SEPARATE = ("fraction",)
"""Numbers by which members are evaluated on other numbers of examples, and so apart."""
TRAINING = Training(steps=10, batch_size=8, checks=10)


def apart(one, other):
    """How far two trainings lie apart, in losses, scores and weights: 0 for the same, about 1e-16 by rounding alone."""
    if np.shape(one.curve) != np.shape(other.curve):
        return np.inf
    pairs = [(one.curve, other.curve), (one.first_losses, other.first_losses)]
    pairs += zip(one.state.values(), other.state.values(), strict=True)
    return max(np.abs(np.subtract(a, b)).max() / (1e-300 + np.abs(a).max()) for a, b in pairs)


@pytest.mark.parametrize("technique", [t for t in techniques() if t.hyperparameters], ids=name_of)
def test_every_number_is_each_members_own_in_one_population(technique):
    """One member, its twin, one for each number that is another, and one with all of them others, as it is alone.

    A chunk refuses members that cannot share a program.
    """
    name, numbers = technique.name, technique.hyperparameters
    here = {h.name: h.at(0.3) for h in numbers} | HERE.get(name, {})
    there = {h.name: h.at(0.7) for h in numbers} | THERE.get(name, {})
    for which in SEPARATE:
        there.pop(which, None)
    place = placed(technique)
    beside = RESTLESS if technique.role == "stopping" else {}

    def member(**others):
        made = place.member(beside | {f"{name}.{n}": v for n, v in {**here, **others}.items()})
        made.objective.double()
        return made

    members = [member(), member(), *(member(**{n: v}) for n, v in there.items()), member(**there)]
    x, y = place.data.x.double(), place.data.y
    first, twin, *others, last = train(Chunk(members, x, y), x, y, TRAINING, keep_states=True)
    assert apart(first, twin) < 1e-11
    for number, other in zip(there, others, strict=True):
        assert apart(first, other) > 1e-9, f"{number} is shared, or does nothing"
    (alone,) = train(Alone(member(**there)), x, y, TRAINING, keep_states=True)
    np.testing.assert_allclose(last.first_losses, alone.first_losses, rtol=1e-7)
    assert len(last.curve) == len(alone.curve)


@each()
def test_it_is_compared_by_name_over_its_published_ranges(technique):
    if technique.role == "nothing":
        return
    by_name = find(f"{technique.family}/{technique.name}")
    place = placed(technique)
    usual = [Recipe(activation=place.recipe.activation), *(Recipe("zeros", activation=a) for a in ("tanh", "elu"))]
    baseline = next(recipe for recipe in (*usual, Recipe(optimizer="sgd")) if recipe.having(technique) != recipe)
    found, notes = candidates(baseline, place.data, None, [by_name], schedule="none")
    chosen, more = applicable(found, place.network, place.data)
    assert [c.techniques for c in chosen[1:]] == [(technique,)], [*notes, *more]
    trials, searched = chosen[1].trials(9), [h for h in technique.hyperparameters if h.tuned]
    for h in searched:
        values = [trial.of(technique)[h.name] for trial in trials]
        assert len(set(values)) > 6
        assert all(h.search[0] <= v <= h.search[1] for v in values if v != h.default)
