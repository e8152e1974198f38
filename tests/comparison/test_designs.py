"""Designs: which recipes they train, and what is said of those that cannot be."""

import itertools

import numpy as np
import pytest

from make_store import NETWORK
from trainsmith import api
from trainsmith.catalogue import Recipe, find
from trainsmith.comparison import read_study
from trainsmith.comparison.designs import combination_warnings, combined
from trainsmith.comparison.effects import interactions, main_effects, scores_of, shares
from trainsmith.comparison.plan import Candidate, having
from trainsmith.errors import InvalidInput

BASELINE = Recipe()


def singles(*names):
    techniques = [find(name) for name in names]
    return [Candidate((), BASELINE), *(Candidate((t,), having(BASELINE, t)) for t in techniques)]


NAMES = ("tanh", "gelu", "sgd", "dropout", "l2")
FAMILY = {name: find(name).family for name in NAMES}


def test_one_at_a_time_adds_nothing():
    assert combined(singles(*NAMES), "one-at-a-time") == []


def test_pairs_are_every_two_techniques_of_different_families():
    found = combined(singles(*NAMES), "pairs")
    wanted = {frozenset(pair) for pair in itertools.combinations(NAMES, 2) if FAMILY[pair[0]] != FAMILY[pair[1]]}
    assert len(found) == len(wanted)
    assert {frozenset(t.name for t in c.techniques) for c in found} == wanted


def test_a_grid_has_every_choice_of_each_family_once():
    start = singles(*NAMES)
    recipes = [c.recipe for c in (*start, *combined(start, "grid"))]
    wanted = {
        Recipe(activation=a, optimizer=o, regularization=r)
        for a in ("relu", "tanh", "gelu") for o in ("adam", "sgd") for r in ((), ("dropout",), ("l2",))
    }  # fmt: skip
    assert len(recipes) == len(set(recipes)) == 18
    assert set(recipes) == wanted


def test_clipping_and_schedules_are_combined_with_optimizers():
    start = singles("sgd", "lion", "clip-by-norm", "one-cycle", "wsd")
    candidates = [*start, *combined(start, "grid")]
    recipes = [c.recipe for c in candidates]
    wanted = {
        Recipe(optimizer=o, clipping=c, schedule=s)
        for o in ("adam", "sgd", "lion") for c in ("none", "clip-by-norm")
        for s in ("none", "one-cycle", "stable-decay")
    }  # fmt: skip
    assert len(recipes) == len(set(recipes)) == 18
    assert set(recipes) == wanted
    draws = np.random.default_rng(0)
    found = scores_of(candidates, list(draws.normal(size=(18, 1)) + 0.1 * draws.normal(size=(18, 8))))
    assert [e.families[0] for e in main_effects(found, 0.1)] == ["optimizer"] * 2 + ["clipping"] + ["schedule"] * 2
    assert len(interactions(found, 0.1)) == 2 * 1 + 2 * 2 + 1 * 2
    assert {s.families for s in shares(found)} >= {("optimizer",), ("schedule",), ("clipping", "schedule")}


def test_no_regularization_takes_a_regularized_baselines_away_also_in_a_combination():
    baseline = Recipe(regularization=("dropout",))
    none, sgd = find("none", "regularization"), find("sgd")
    start = [Candidate((), baseline), *(Candidate((t,), having(baseline, t)) for t in (none, sgd))]
    (both,) = combined(start, "pairs")
    assert both.recipe == Recipe(optimizer="sgd")


def test_one_family_leaves_nothing_to_combine():
    with pytest.raises(InvalidInput, match="different families; all of these are of one"):
        combined(singles("tanh", "gelu"), "grid")


def test_an_unknown_design_is_refused():
    with pytest.raises(InvalidInput, match="pairs"):
        combined(singles("tanh", "sgd"), "pair")


def test_too_large_a_grid_says_how_large_and_what_to_do():
    names = [t.name for family in ("activation", "optimizer", "regularization") for t in _usable(family)[:12]]
    with pytest.raises(InvalidInput, match=r"2,197 recipes here, more than 1,000; .*--techniques .*or use pairs"):
        combined(singles(*names), "grid")


def _usable(family):
    from trainsmith.catalogue import techniques

    return [t for t in techniques(family) if t.role != "clipping" and having(BASELINE, t) != BASELINE]


def test_what_works_against_itself_only_together_is_said_once_for_the_pair():
    start = singles("batch", "dropout", "tanh")
    both = combined(start, "pairs")
    alone = {said for c in start for said in combination_warnings(start, [c], 16)}
    assert alone == set()
    notes = combination_warnings(start, both, 16)
    assert all("work against each other" in note for note in notes)


@pytest.mark.parametrize(("design", "combinations"), [("pairs", 3), ("grid", 4)])
def test_a_design_compares_combinations_and_says_what_each_technique_adds(design, combinations, tmp_path):
    asked = {"techniques": ["tanh", "sgd", "l2"], "trials": 1, "seeds": 3, "steps": 6, "processes": 1}
    found = api.compare(NETWORK, "wine", design=design, folder=tmp_path / "s", **asked)
    study = found.study
    together = [r for r in study.family("combinations") if not r.is_baseline]
    assert len(together) == combinations
    assert [e.techniques for e in study.effects] == [("tanh",), ("sgd",), ("l2",)]
    assert {e.recipes for e in study.effects} == {3 if design == "pairs" else 4}
    assert {e.recipes for e in study.interactions} == {1 if design == "pairs" else 2}
    assert study.plan["recipes"] == 4 + combinations
    assert bool(study.shares) <= (design == "grid")
    read = read_study((tmp_path / "s" / "study.json").read_bytes())
    assert (read.design, read.effects, read.interactions) == (design, study.effects, study.interactions)
    page = (tmp_path / "s" / "report.html").read_text()
    assert "map of interactions" in page
    assert "tanh x sgd" in page
    again = api.resume(tmp_path / "s")
    assert again.study.rows == study.rows
