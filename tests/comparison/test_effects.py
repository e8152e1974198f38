"""Main effects, interactions and shares against references that add up one recipe at a time."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from trainsmith.catalogue import Recipe, find
from trainsmith.comparison.effects import interactions, lost_of, main_effects, scores_of, shares
from trainsmith.comparison.plan import Candidate
from trainsmith.population import Result

LEVELS = {"activation": ["tanh", "gelu"], "optimizer": ["sgd"], "regularization": ["dropout", "l2", "l1"]}
SEEDS = 8


def grid(score, families=tuple(LEVELS)):
    """Scores of every choice, score(choice, seed) of a mapping from family to technique or None."""
    found = {}
    for levels in itertools.product(*([None, *LEVELS[f]] for f in families)):
        choice = dict(zip(families, levels, strict=True))
        cell = frozenset((f, t) for f, t in choice.items() if t is not None)
        found[cell] = np.array([score(choice, seed) for seed in range(SEEDS)])
    return found


def noisy(seed=0):
    luck = np.random.default_rng(seed)
    adds = {name: luck.normal() for names in LEVELS.values() for name in names} | {None: 0.0}

    def score(choice, _):
        both = 0.5 if choice["activation"] == "tanh" and choice["optimizer"] == "sgd" else 0.0
        return sum(adds[t] for t in choice.values()) + both + 0.1 * luck.normal()

    return grid(score)


def test_a_main_effect_is_the_mean_over_the_recipes_it_was_added_to():
    scores = noisy()
    for effect in main_effects(scores, 0.01):
        (family,), (name,) = effect.families, effect.techniques
        by_seed = []
        for seed in range(SEEDS):
            others = [f for f in LEVELS if f != family]
            added = []
            for levels in itertools.product(*([None, *LEVELS[f]] for f in others)):
                context = frozenset((f, t) for f, t in zip(others, levels, strict=True) if t)
                added.append(scores[context | {(family, name)}][seed] - scores[context][seed])
            by_seed.append(math.fsum(added) / len(added))
        half = stats.t.ppf(0.975, SEEDS - 1) * np.std(by_seed, ddof=1) / math.sqrt(SEEDS)
        assert effect.recipes == len(added)
        assert effect.difference.mean == pytest.approx(np.mean(by_seed), rel=1e-12)
        assert effect.difference.low == pytest.approx(np.mean(by_seed) - half, rel=1e-9)


def test_an_interaction_is_what_two_add_beyond_the_sum_of_both():
    planted = {frozenset({("activation", "tanh"), ("optimizer", "sgd")}): 0.5}
    found = {e.techniques: e for e in interactions(noisy(), 0.01)}
    assert len(found) == 2 * 1 + 2 * 3 + 1 * 3, "pairs within a family are no pairs"
    assert next(iter(found)) == ("tanh", "sgd"), "the largest first, the families in their order"
    for names, effect in found.items():
        truth = planted.get(frozenset(zip(effect.families, names, strict=True)), 0.0)
        assert effect.difference.low - 0.1 < truth < effect.difference.high + 0.1
    together = found["tanh", "sgd"]
    assert (together.verdict, together.words) == ("better", "better together than the sum of both")
    assert together.recipes == 4


def test_recipes_that_were_not_trained_are_left_out_of_the_averages():
    scores = grid(lambda choice, seed: (choice["activation"] == "tanh") * (2.0 if choice["optimizer"] else 1.0) + seed)
    missing = frozenset({("activation", "tanh"), ("optimizer", "sgd")})
    pairs = {cell: y for cell, y in scores.items() if len(cell) < 2 or cell == missing}
    effects = {e.techniques: e for e in main_effects(pairs, 0.01)}
    assert effects["tanh",].difference.mean == pytest.approx(1.5)
    assert effects["gelu",].recipes == 1
    (interaction,) = interactions(pairs, 0.01)
    assert interaction.difference.mean == pytest.approx(1.0)
    assert shares(pairs) == ()


def dummies(choices, families):
    """Columns of the saturated model for these families together, every level against the mean of all."""
    columns = []
    for levels in itertools.product(*(LEVELS[f] for f in families)):
        column = np.ones(len(choices))
        for f, level in zip(families, levels, strict=True):
            column *= [(c[f] == level) - (c[f] is None) for c in choices]
        columns.append(column)
    return np.stack(columns, 1)


def test_shares_are_those_of_the_analysis_of_variance_by_least_squares():
    scores = noisy(3)
    found = {s.families: s.share.mean for s in shares(scores)}
    choices = [{f: dict(cell).get(f) for f in LEVELS} for cell in scores]
    y = np.stack(list(scores.values()))
    blocks = y - y.mean(0) + y.mean()
    cells, n = y.shape
    error = ((blocks - blocks.mean(1, keepdims=True)) ** 2).sum() / ((cells - 1) * (n - 1))
    mean = y.mean(1) - y.mean()
    total = n * (mean**2).sum() - (cells - 1) * error
    for families in [(f,) for f in LEVELS] + list(itertools.combinations(LEVELS, 2)):
        x = dummies(choices, families)
        fitted = x @ np.linalg.lstsq(x, mean, rcond=None)[0]
        share = (n * (fitted**2).sum() - x.shape[1] * error) / total
        assert found[families] == pytest.approx(max(0.0, share), abs=1e-10), families


def test_shares_of_sums_without_luck_are_all_of_the_families():
    add = {None: 0.0, "tanh": 1.0, "gelu": -1.0, "sgd": 0.0, "dropout": 0.0, "l2": 3.0, "l1": 0.0}
    found = {s.families: s.share for s in shares(grid(lambda c, seed: sum(add[t] for t in c.values()) + seed))}
    activation, regularization = np.var([0, 1, -1]), np.var([0, 0, 3, 0])
    assert found["activation",].mean == pytest.approx(activation / (activation + regularization))
    assert found["regularization",].mean == pytest.approx(regularization / (activation + regularization))
    assert found["optimizer",].mean == pytest.approx(0, abs=1e-12)
    assert found["activation",].low == pytest.approx(found["activation",].high), "no luck, no doubt"
    assert max(s.mean for f, s in found.items() if len(f) == 2) < 1e-12


def test_luck_alone_leaves_nothing_to_share():
    luck = np.random.default_rng(1)
    sizes = []
    for _ in range(20):
        found = shares(grid(lambda c, seed: luck.normal(), ("activation", "regularization")))
        sizes += [s.share.low for s in found]
    assert np.mean(np.array([0.0, *sizes]) > 0) < 0.2
    assert shares(grid(lambda c, seed: float(seed))) == ()


def test_the_interval_of_a_share_is_the_jackknifes_over_seeds():
    scores = noisy(5)
    whole = {s.families: s.share for s in shares(scores)}
    pseudo = []
    for left_out in range(SEEDS):
        fewer = {cell: np.delete(y, left_out) for cell, y in scores.items()}
        share = next(s.share.mean for s in shares(fewer) if s.families == ("regularization",))
        pseudo.append(SEEDS * whole["regularization",].mean - (SEEDS - 1) * share)
    half = stats.t.ppf(0.975, SEEDS - 1) * np.std(pseudo, ddof=1) / math.sqrt(SEEDS)
    assert whole["regularization",].low == pytest.approx(np.mean(pseudo) - half, rel=1e-9)
    assert whole["regularization",].high == pytest.approx(np.mean(pseudo) + half, rel=1e-9)


def test_where_all_runs_diverged_nothing_is_said_of_a_difference():
    techniques = [find(name) for name in ("tanh", "gelu", "dropout")]
    tanh, gelu, dropout = techniques
    cells = [(), *((t,) for t in techniques), (tanh, dropout), (gelu, dropout)]
    chosen = [Candidate(cell, Recipe()) for cell in cells]
    results = [[Result("finished" if gelu in cell else "diverged")] * SEEDS for cell in cells]
    results[1] = [Result("diverged")] * (SEEDS - 1) + [Result("finished")]  # tanh alone, once
    scores = scores_of(chosen, [np.full(SEEDS, 0.25)] * len(cells))
    lost = lost_of(chosen, results)
    assert len(lost) == 3, "the baseline, dropout, and tanh with dropout"
    none = "cannot tell yet: all runs of all these recipes diverged"
    said = {e.techniques: e.words for e in main_effects(scores, 0.01, lost)}
    same = "no difference worth having"
    assert said == {("tanh",): same, ("gelu",): same, ("dropout",): same}, "each was trained somewhere"
    lost |= {frozenset({("activation", "tanh")})}
    said = {e.techniques: (e.verdict, e.words) for e in main_effects(scores, 0.01, lost)}
    assert said["tanh",] == ("cannot tell yet", none)
    assert said["gelu",] == said["dropout",] == (same, same)
    said = {e.techniques: e.words for e in interactions(scores, 0.01, lost)}
    assert said == {("tanh", "dropout"): none, ("gelu", "dropout"): "they add up"}
