"""Intervals, sign-flip tests, verdicts: against brute force, scipy, identities and simulated experiments."""

import math

import numpy as np
import pytest
from scipy import stats

from reference import statistics as reference
from trainsmith.comparison import statistics as ours
from trainsmith.errors import InvalidInput


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 8, 30])
def test_t_interval_is_students(n, confidence):
    values = 3 + normal(n, seed=n)
    got = ours.t_interval(values, confidence)
    assert (got.low, got.high) == pytest.approx(reference.t_interval(list(values), confidence), rel=1e-12)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert (got.low, got.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    assert got.mean == pytest.approx(values.mean())
    assert got.n == n


def test_t_interval_at_its_limits():
    assert ours.t_interval([0.1] * 3) == ours.Interval(0.1, 0.1, 0.1, 3)
    assert ours.t_interval([0.1]) == ours.Interval(0.1, -math.inf, math.inf, 1)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_95_percent_intervals_cover_the_mean_95_percent_of_the_time(n):
    intervals = [ours.t_interval(row) for row in normal(4000, n, seed=n)]
    covered = np.mean([i.low <= 0 <= i.high for i in intervals])
    assert 0.93 <= covered <= 0.97, "a percentile bootstrap covers 75, 83 and 89 % here"


def test_paired_difference_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    split = rng.normal(size=10)
    a, b = 0.9 + 0.02 * (split + rng.normal(size=10)), 0.88 + 0.02 * split
    got = ours.paired_difference(a, b)
    theirs = stats.ttest_rel(a, b)
    interval = theirs.confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx((interval.low, interval.high), rel=1e-10)
    assert got.mean / (got.sd / math.sqrt(got.n)) == pytest.approx(theirs.statistic, rel=1e-10)
    assert got.correlation == pytest.approx(stats.pearsonr(a, b).statistic, rel=1e-10)
    assert got.mean > 0, "treatment minus baseline"
    unpaired = stats.ttest_ind(a, b).confidence_interval(0.95)
    assert got.high - got.low < unpaired.high - unpaired.low, "pairing must pay where scores go together"


def test_paired_difference_where_a_number_is_undefined():
    assert math.isnan(ours.paired_difference([1.0, 2.0, 3.0], [0.1] * 3).correlation)
    one = ours.paired_difference([2.0], [1.0])
    assert math.isnan(one.sd)
    assert math.isnan(one.correlation)
    assert (one.mean, one.low, one.high) == (1, -math.inf, math.inf)
    same = ours.paired_difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (same.low, same.high, same.sd) == (0, 0, 0)
    assert same.correlation == pytest.approx(1)


@pytest.mark.parametrize("seed", range(4))
def test_sign_flip_p_is_scipys_exact_permutation_test(seed):
    d = 0.6 + normal(8, seed=seed)
    theirs = stats.permutation_test((d,), lambda x, axis: x.mean(axis), permutation_type="samples", vectorized=True)
    assert ours.sign_flip_p(d) == pytest.approx(theirs.pvalue, abs=1e-12)
    assert ours.sign_flip_p(-1e-200 * d) == ours.sign_flip_p(d), "two-sided, and free of units"


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 13, 16])
def test_the_smallest_p_is_2_to_the_1_minus_n(n):
    assert ours.sign_flip_p(np.arange(1.0, n + 1)) == 2.0 ** (1 - n)
    assert ours.sign_flip_p(np.full(n, 0.1)) == 2.0 ** (1 - n), "t is infinite for one flip and its mirror image"


def test_ties_count_however_they_are_rounded():
    d = np.array([0.1, 0.2, 0.3, -0.6])  # sums to zero, but not in floating point
    assert d.sum() != 0
    assert ours.sign_flip_p(d) == 1
    d = np.array([0.93 - 0.92, 0.03 - 0.02, 0.55 - 0.54, 0.71 - 0.7, 0.2 - 0.21, 0.01])  # five of six
    assert ours.sign_flip_p(d) == pytest.approx((1 + 6) / 32)


@pytest.mark.parametrize("seed", range(3))
def test_max_t_is_brute_force(seed):
    rows = normal(4, 6, seed=seed) + np.array([[0], [0.5], [1], [2]])
    rows[3] = np.round(rows[3], 1)
    assert ours.max_t_sign_flip(rows) == pytest.approx(reference.max_t_sign_flip(rows.tolist()))


def test_max_t_where_a_row_does_not_vary():
    rows = [[0.0] * 6, [0.01] * 6, [0.02, -0.02, 0.02, 0.02, 0.02, 0.02], [0.3, 0.1, -0.2, 0.4, 0.2, 0.3]]
    got = ours.max_t_sign_flip(rows)
    assert got == pytest.approx(reference.max_t_sign_flip(rows))
    assert got[0] == 1, "no difference at all"
    assert got[1] == 2 / 32, "infinite t: reached by itself and by the flip that makes the third row constant"
    assert ours.max_t_sign_flip([[0.0, 0.0]]).tolist() == [1.0]


def test_max_t_of_one_technique_repeated_is_its_own_p():
    d = 0.4 + normal(9)
    assert ours.max_t_sign_flip(np.stack([d, d, -d])).tolist() == [ours.sign_flip_p(d)] * 3


def test_max_t_lies_between_one_comparison_and_bonferroni():
    rows = 0.7 + normal(5, 10)
    single = np.array([ours.sign_flip_p(row) for row in rows])
    adjusted = ours.max_t_sign_flip(rows)
    assert (adjusted >= single).all()
    assert (adjusted > single).any()
    assert (adjusted <= np.minimum(1, 5 * single) + 1e-12).all()
    order = [3, 1, 4, 0, 2]
    assert ours.max_t_sign_flip(rows[order]).tolist() == adjusted[order].tolist()


def test_five_techniques_that_do_nothing_raise_few_false_alarms():
    """A/A: five techniques and a baseline whose scores differ by luck alone, 2,000 studies of 8 seeds."""
    scores = normal(2000, 6, 8, seed=1)
    smallest = np.array([ours.max_t_sign_flip(s[1:] - s[0]).min() for s in scores])
    alarms = np.mean(smallest < 0.05)
    sampling_error = math.sqrt(0.05 * 0.95 / 2000)
    assert alarms <= 0.05 + 2 * sampling_error
    assert alarms >= 0.03, "and the test is not needlessly timid"


def test_planted_effects_are_found():
    """1.5 sd of the differences in more than 90 % of studies of 8 seeds, 1 sd in about 65 %."""
    noise = normal(1000, 8, seed=2)
    assert np.mean([ours.sign_flip_p(row + 1.5) < 0.05 for row in noise]) > 0.9
    assert np.mean([ours.sign_flip_p(row + 1) < 0.05 for row in noise]) == pytest.approx(0.65, abs=0.05)


def test_random_flips_above_16_seeds_agree_with_the_t_test_and_repeat():
    for seed in range(3):
        d = 0.4 + normal(24, seed=seed)
        got = ours.sign_flip_p(d)
        assert got == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.02)
        assert got == ours.sign_flip_p(d)
    least = ours.sign_flip_p(np.ones(24))
    assert least == 1 / (ours.MONTE_CARLO_FLIPS + 1), "a p-value from random flips is never 0"
    assert ours.sign_flip_p(np.zeros(24)) == 1


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("ratio", [0, 0.01, 0.3, 1, 2.2, 9])
def test_seeds_needed_is_the_first_that_is_enough(ratio, confidence):
    assert ours.seeds_needed(0.01 * ratio, 0.01, confidence) == reference.seeds_needed(ratio, 1, confidence)


def test_seeds_needed_for_many_is_the_normal_formula():
    assert ours.seeds_needed(1000, 1) == pytest.approx((stats.norm.ppf(0.975) * 1000) ** 2, rel=1e-4)


def test_the_smallest_difference_worth_having():
    assert ours.smallest_difference(360, 0.975) == pytest.approx(0.0082286, rel=1e-4)
    assert ours.smallest_difference(10_000, 0.99) == 0.002
    assert ours.smallest_difference(360, 1.0) == 0.002


def test_the_smallest_difference_of_a_balanced_accuracy_is_its_sampling_error_over_classes():
    """By simulation: classes of 100 and 20 test examples, each found 8 times in 10."""
    draws = np.random.default_rng(0).binomial([100, 20], 0.8, (200_000, 2)) / [100, 20]
    found = ours.smallest_balanced_difference([100, 20], 0.8)
    assert found == pytest.approx(draws.mean(1).std(), rel=0.01)
    assert ours.smallest_balanced_difference([20_000, 20_000], 0.8) == 0.01


def paired_as(low, high, sd=1.0, n=8):
    return ours.Paired((low + high) / 2, low, high, n, sd, 0.5)


@pytest.mark.parametrize(
    ("low", "high", "p", "kind"),
    [
        (1, 3, 0.01, "better"),
        (-3, -1, 0.01, "worse"),
        (0.1, 3, 0.01, "better"),
        (1, 3, 0.05, "cannot tell yet"),
        (-3, -1, 0.05, "cannot tell yet"),
        (1, 3, math.nan, "cannot tell yet"),
        (-1, 3, 0.01, "cannot tell yet"),
        (-3, 1, 0.01, "cannot tell yet"),
        (-0.4, 0.3, 0.9, "no difference worth having"),
        (0.1, 0.4, 0.01, "no difference worth having"),
        (-0.4, -0.1, 0.01, "no difference worth having"),
        (-0.6, 0.4, 0.9, "cannot tell yet"),
        (-0.4, 0.6, 0.9, "cannot tell yet"),
        (0.1, 0.6, 0.01, "better"),
        (-0.5, 0.4, 0.9, "cannot tell yet"),
        (-0.4, 0.5, 0.9, "cannot tell yet"),
    ],
)
def test_verdicts(low, high, p, kind):
    got = ours.verdict(paired_as(low, high), p, delta=0.5)
    assert got.kind == kind
    assert got.words.startswith(kind)
    assert (got.words == kind) == (kind != "cannot tell yet")


@pytest.mark.parametrize(
    ("mean", "half_width"), [(0, 0.5), (0.8, 0.8), (-0.8, 0.8), (0.1, 0.4), (-0.25, 0.25), (0.4, 0.4)]
)
def test_cannot_tell_says_how_many_seeds_would(mean, half_width):
    needed = reference.seeds_needed(1.3, half_width)
    got = ours.verdict(paired_as(mean - 3, mean + 3, sd=1.3), 0.5, delta=0.5)
    assert got.words == f"cannot tell yet: about {needed} seeds would"


def test_the_seeds_said_to_be_enough_are():
    """An interval around the same mean, with the same sd, at that many seeds gets an answer."""
    for mean in (0.0, 0.004, 0.012, 0.03):
        words = ours.verdict(paired_as(mean - 0.05, mean + 0.05, sd=0.02), 0.5, delta=0.01).words
        n = int(words.split()[4])
        half = stats.t.ppf(0.975, n - 1) * 0.02 / math.sqrt(n)
        assert ours.verdict(paired_as(mean - half, mean + half, 0.02, n), 0.001, 0.01).kind != "cannot tell yet"


@pytest.mark.parametrize("compared", [1, 3, 8])
def test_the_seeds_said_to_be_enough_are_also_where_many_are_compared(compared):
    """Drawn differences: with that many seeds, the same ones first, most studies can tell."""

    def told(d):
        p = float(ours.max_t_sign_flip(d)[0])
        return ours.verdict(ours.paired_difference(d[0], 0 * d[0]), p, 0.3, compared)

    draw, settled = np.random.default_rng(compared), []
    while len(settled) < 150:
        d = draw.normal(size=(compared, 60)) + 0.7 * draw.normal(size=60)
        d[0] += 1
        first = told(d[:, :8])
        if first.kind == "cannot tell yet":
            settled.append(told(d[:, : int(first.words.split()[4])]).kind != "cannot tell yet")
    assert 0.6 < np.mean(settled) < 0.9


def test_cannot_tell_asks_for_more_seeds_than_there_are_and_for_six_at_least():
    constant = ours.paired_difference(np.full(3, 0.9), np.full(3, 0.8))
    p = ours.sign_flip_p(np.full(3, 0.1))
    assert ours.verdict(constant, p, 0.01).words == "cannot tell yet: about 6 seeds would"
    crowded = paired_as(1.9, 2.1, sd=0.1, n=8)
    assert ours.verdict(crowded, 0.06, 0.5).words == "cannot tell yet: about 9 seeds would"
    one = ours.paired_difference([0.9], [0.8])
    assert ours.verdict(one, 1.0, 0.01).words == "cannot tell yet: at least 6 seeds are needed"


@pytest.mark.parametrize(
    ("seeds", "kind"), [(2, "cannot tell yet"), (5, "cannot tell yet"), (6, "no difference worth having")]
)
def test_a_few_scores_that_tie_are_no_evidence_that_nothing_differs(seeds, kind):
    """Of 36 validation examples two networks often have as many right."""
    for apart in (0.0, 0.001):
        tied = ours.paired_difference(np.full(seeds, 0.875) + apart, np.full(seeds, 0.875))
        assert ours.verdict(tied, 1.0, 0.01).kind == kind
    hardly = ours.paired_difference([0.9, 0.8, 0.7001], [0.9, 0.8, 0.7])
    assert ours.verdict(hardly, 1.0, 0.01).kind == "no difference worth having", "its interval has a width"


def test_a_planted_zero_is_called_no_difference_when_delta_is_large_enough():
    kinds = [ours.verdict(ours.paired_difference(row, 0 * row), ours.sign_flip_p(row), 2.5).kind
             for row in normal(200, 8, seed=3)]  # fmt: skip
    assert kinds.count("no difference worth having") > 190


def test_expected_best_is_the_mean_over_every_draw():
    scores = [0.7, 0.9, 0.9, 0.2, 0.95]
    got = ours.expected_best(scores)
    assert got == pytest.approx(reference.expected_best(scores), rel=1e-12)
    assert got[0] == pytest.approx(np.mean(scores))
    assert (np.diff(got) > 0).all()
    assert ours.expected_best([0.3]).tolist() == [0.3]


def test_the_best_of_many_equal_trials_is_biased_as_tables_of_normal_order_statistics_say():
    got = ours.expected_best(normal(1500, seed=4))
    assert [got[k - 1] for k in (5, 10, 20)] == pytest.approx([1.163, 1.539, 1.867], abs=0.06)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ours.t_interval([]), r"non-empty array with 1 axis; got shape \(0,\)"),
        (lambda: ours.t_interval([0.1, math.nan]), "NaN or infinite. Give a diverged run the score of"),
        (lambda: ours.t_interval([0.1, 0.2], 95), "confidence must be a number between 0 and 1; got 95"),
        (lambda: ours.max_t_sign_flip([0.1]), r"with 2 axes; got shape \(1,\)"),
        (lambda: ours.expected_best([0.1, math.inf]), "NaN or infinite"),
        (lambda: ours.paired_difference([1, 2], [1]), "same seeds; got 2 and 1 scores"),
        (lambda: ours.seeds_needed(1, 0), "delta above 0; got 1 and 0"),
        (lambda: ours.seeds_needed(math.nan, 1), "sd must be finite"),
        (lambda: ours.verdict(paired_as(0, 1), 0.5, 0), "worth having, must be above 0; got 0"),
        (lambda: ours.smallest_difference(0, 0.5), "needs a test part.* got 0 examples and 0.5"),
        (lambda: ours.smallest_difference(9, -3.0), "an accuracy in .0, 1.; got 9 examples and -3.0"),
    ],
)
def test_what_cannot_be_judged_is_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
