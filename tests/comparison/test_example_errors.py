"""The errors that the test part's size leaves: against draws of other test parts, and torch's losses one by one."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from make_runs import blobs
from make_study import make_study
from trainsmith.catalogue import Recipe, find
from trainsmith.comparison import Budget, compare
from trainsmith.comparison.example_errors import difference_error, each_score, sampling_error
from trainsmith.population import Training
from trainsmith.population.members.task import (
    ByBalancedAccuracy,
    ByCalibration,
    ByLogLoss,
    ByRobustAccuracy,
    Classification,
    Language,
    MultiLabel,
    Regression,
)
from trainsmith.report import words

DRAWN = torch.Generator().manual_seed(0)
LOGITS, CLASSES = torch.randn(4000, 3, generator=DRAWN), torch.randint(3, (4000,), generator=DRAWN)
NUMBERS, LABELS = torch.randn(4000, 2, generator=DRAWN), (LOGITS + torch.randn(4000, 3, generator=DRAWN) > 1).float()
TEXT, NEXT = torch.randn(60, 7, 5, generator=DRAWN), torch.randint(5, (60, 7), generator=DRAWN)


@pytest.mark.parametrize(
    ("rules", "outputs", "y"),
    [(Classification(), LOGITS, CLASSES), (ByLogLoss(), LOGITS, CLASSES), (Language(), TEXT, NEXT)],
)
def test_the_mean_over_the_examples_is_the_score(rules, outputs, y):
    each = each_score(rules, outputs, y)
    assert each.shape == (len(y),)
    assert each.mean() == pytest.approx(rules.score(outputs, y)[1], rel=1e-6)
    alone = [rules.score(outputs[i : i + 1], y[i : i + 1])[1] for i in range(10)]
    assert each[:10] == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("rules", [ByBalancedAccuracy(), ByRobustAccuracy()])
def test_a_score_that_is_not_taken_apart_has_none(rules):
    assert each_score(rules, LOGITS, CLASSES) is None


SKEWED = (0.5 * NUMBERS).exp(), (0.5 * NUMBERS + 0.3 * LOGITS[:, :2]).exp()
TAKEN_APART = [
    (Regression(), *SKEWED),
    (Regression(), SKEWED[0][:, :1], SKEWED[1][:, 0]),
    (MultiLabel(), LOGITS, LABELS),
    (ByCalibration(), 2 * LOGITS, CLASSES),
]


@pytest.mark.parametrize(("rules", "outputs", "y"), TAKEN_APART)
def test_what_an_example_moves_a_score_by_is_its_derivative(rules, outputs, y):
    """By counting one example twice."""
    outputs, y = outputs[:500], y[:500]
    each, score = each_score(rules, outputs, y), rules.score(outputs, y)[1]
    assert each.mean() == pytest.approx(score, rel=1e-5)
    for i in range(10):
        more = rules.score(torch.cat([outputs, outputs[i : i + 1]]), torch.cat([y, y[i : i + 1]]))[1]
        assert (more - score) * 501 == pytest.approx(each[i] - score, rel=0.06, abs=0.003)


def test_scores_of_nothing_that_differs():
    assert each_score(Regression(), torch.zeros(5), torch.ones(5)) is None
    assert each_score(MultiLabel(), -torch.ones(5, 2), torch.zeros(5, 2)).tolist() == [1.0] * 5


@pytest.mark.parametrize(
    ("rules", "outputs", "y"),
    [(r, LOGITS, CLASSES) for r in (Classification(), ByLogLoss(), ByBalancedAccuracy())] + TAKEN_APART,
)
def test_other_test_parts_score_as_far_apart_as_it_says(rules, outputs, y):
    """Test parts of 400 drawn from 4,000."""
    luck, scores, said = np.random.default_rng(1), [], []
    whole = outputs, y
    for _ in range(400):
        chosen = luck.choice(4000, 400)
        x, y = (part[chosen] for part in whole)
        score, each = rules.score(x, y)[1], each_score(rules, x, y)
        scores.append(score)
        said.append(sampling_error(rules, score, y, {} if each is None else {0: each}))
    assert np.mean(said) == pytest.approx(np.std(scores), rel=0.12)


def test_what_is_not_known_is_no_number():
    assert math.isnan(sampling_error(Regression(), 0.5, CLASSES, {}))
    assert math.isnan(sampling_error(ByLogLoss(), -0.5, CLASSES, {})), "all its runs diverged"
    assert sampling_error(ByRobustAccuracy(), 0.8, torch.zeros(400), {}) == pytest.approx(0.02)


def test_the_error_of_a_difference_is_that_of_its_paired_examples():
    a, b = (functional.cross_entropy(LOGITS * f, CLASSES, reduction="none").double().numpy() for f in (1.0, 1.1))
    found = difference_error({0: a, 1: a}, {0: b, 1: b, 2: a})
    assert found == pytest.approx((a - b).std(ddof=1) / math.sqrt(4000))
    assert found < a.std() / math.sqrt(4000) / 3, "they are better known than each alone"


def test_a_study_by_log_loss_says_both_errors_in_its_unit():
    study = compare(
        "mlp", replace(blobs(examples=300), metric="log loss"), baseline=Recipe(initialization="zeros"),
        techniques=[find("he")], training=Training(steps=30), processes=1,
        budget=Budget(trials=1, finalists=1, final_seeds=0, fresh_seeds=6, extension=0),
    )  # fmt: skip
    assert study.best().technique == "he"
    assert study.test.difference_error > 0
    assert 0 < study.test.sampling_error < 0.5
    assert study.test.mcnemar is None
    line = words.test_line(study)
    assert (
        f"; the 60 test examples alone allow for ±{study.test.sampling_error:.3f} (1 s.e.), of the difference" in line
    )
    assert f"from the baseline for ±{study.test.difference_error:.3f}" in line
    assert "allow for ±0.7 points (1 s.e.)" in words.test_line(make_study(most=1))
