"""Recipes that work against themselves are said, and no others."""

import pytest

from make_runs import blobs
from trainsmith.catalogue import Recipe, contradictions, find, techniques
from trainsmith.catalogue.contradictions import DIVIDING, FROM_LECUN, OVER_A_BATCH, PENALTIES, RULES, TO_ZERO
from trainsmith.comparison import cautions, plan

CASES = [
    (Recipe(activation="selu"), Recipe(activation="selu", initialization="xavier"), "variance 1 / n_in"),
    (
        Recipe(activation="selu", initialization="xavier", regularization=("dropout",)),
        Recipe(activation="elu", regularization=("dropout",)),
        "alpha-dropout keeps them",
    ),
    (
        Recipe(activation="selu", initialization="lsuv", regularization=("drop-block",)),
        Recipe(activation="selu", initialization="lsuv", regularization=("alpha-dropout",)),
        "drop-block moves SELU's mean",
    ),
    (
        Recipe(activation="gelu", regularization=("alpha-dropout",)),
        Recipe(activation="gelu", regularization=("dropout",)),
        "behind SELU alone, not behind gelu",
    ),
    (
        Recipe(regularization=("l2",)),
        Recipe(regularization=("l2",), optimizer="sgd"),
        "adam divides the gradient of l2",
    ),
    (Recipe(regularization=("l1",), optimizer="adagrad"), Recipe(regularization=("max-norm",)), "adagrad divides"),
    (
        Recipe(optimizer="adamw", regularization=("weight-decay",)),
        Recipe(optimizer="adam", regularization=("weight-decay",)),
        "decayed twice, by adamw and by weight-decay",
    ),
    (
        Recipe(optimizer="sgd", regularization=("weight-decay", "l2")),
        Recipe(optimizer="adamw"),
        "by weight-decay and by l2",
    ),
    (Recipe(normalization="batch"), Recipe(normalization="layer"), "from 4 examples"),
    (
        Recipe(normalization="ghost-batch", regularization=("dropout",)),
        Recipe(normalization="group", regularization=("dropout",)),
        "changes the variance",
    ),
    (Recipe(initialization="constant"), Recipe(initialization="uniform"), "all units of a layer start alike"),
    (Recipe(initialization="fixup", normalization="layer"), Recipe(initialization="fixup"), "without normalization"),
]


@pytest.mark.parametrize(("wrong", "right", "said"), CASES, ids=[c[2] for c in CASES])
def test_a_recipe_against_itself_is_said_and_its_remedy_is_not(wrong, right, said):
    assert any(said in found for found in contradictions(wrong, batch_size=4))
    assert contradictions(right, batch_size=4) == ()


def test_every_optimizer_that_decays_by_itself_decays_twice_with_a_penalty():
    """Also those whose own decay is 0 until a study searches it, as Lion's; not those for which it stays 0."""
    twice = {
        t.name
        for t in techniques("optimizer")
        if t.role == "optimizer"
        and any("decayed twice" in said for said in contradictions(Recipe(optimizer=t.name, regularization=("l2",))))
    }
    assert twice == {"adamw", "lamb", "lars", "lion", "muon", "soap"}


def test_every_rule_is_tried():
    hit = {rule for wrong, _, _ in CASES for rule in RULES if rule(_choice(wrong))}
    assert hit == set(RULES)


def _choice(recipe):
    from trainsmith.catalogue.contradictions import _Choice

    return _Choice(recipe, 4)


def test_a_large_batch_and_an_unknown_one_are_no_contradiction():
    assert contradictions(Recipe(normalization="batch"), 7) != ()
    assert contradictions(Recipe(normalization="batch"), 8) == ()
    assert contradictions(Recipe(normalization="batch")) == ()


def test_the_rules_name_techniques_that_exist():
    for names, family in (
        (FROM_LECUN, "initialization"),
        (OVER_A_BATCH, "normalization"),
        (PENALTIES, "regularization"),
        (DIVIDING, "optimizer"),
        (TO_ZERO, "regularization"),
    ):
        assert all(find(name, family).name == name for name in names)


def test_xavier_is_lecuns_variance():
    import torch

    weight = find("xavier").make(torch.empty(64, 400), generator=torch.Generator().manual_seed(0))
    assert float(weight.var()) == pytest.approx(1 / 400, rel=0.05)


def test_a_study_says_what_is_of_the_baseline_once():
    techniques = [find("selu"), find("dropout"), find("batch")]
    baseline = Recipe(initialization="he", regularization=("l2",))
    chosen, _ = plan.candidates(baseline, blobs(), None, techniques)
    notes = cautions.warnings(chosen, 4)
    assert [n for n in notes if "l2" in n] == [n for n in notes if n.startswith("the baseline works against itself")]
    assert len([n for n in notes if "l2" in n]) == 1
    assert any(n.startswith("selu, in this recipe") for n in notes)
    assert any(n.startswith("batch, in this recipe") for n in notes)
    assert len(notes) == 3
