"""A study's numbers as words: scores, differences, settings, the answer in two sentences."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from trainsmith.comparison import Row, Study
from trainsmith.comparison.statistics import SIGNIFICANCE
from trainsmith.comparison.study import Cut, Effect, Estimate
from trainsmith.population.members.task import ByRobustAccuracy
from trainsmith.population.training.verify import MOST_EXPLAINED


def unit(study: Study) -> str:
    """In what a difference is said: percentage points, or the metric."""
    return "points" if study.metric == "accuracy" else study.metric


def delta(study: Study) -> str:
    """The smallest difference worth having."""
    return f"{100 * study.delta:.1f} points" if study.metric == "accuracy" else f"{study.delta:.2g}"


def score(study: Study, estimate: Estimate) -> str:
    """A score with its interval: accuracy in per cent, others as they are; none is above 1, none but R² below 0."""
    if study.metric == "accuracy":
        low, high = max(0.0, 100 * estimate.low), min(100.0, 100 * estimate.high)
        return f"{100 * estimate.mean:.1f} % [{_bound(low)}, {_bound(high)}]"
    if study.lower_is_better:
        cost = study.shown(estimate)
        return f"{cost.mean:.3f} [{max(0.0, cost.low):.3f}, {cost.high:.3f}]"
    low = estimate.low if study.metric == "R²" else max(0.0, estimate.low)
    return f"{estimate.mean:.3f} [{low:.3f}, {min(1.0, estimate.high):.3f}]"


def difference(study: Study, estimate: Estimate | None) -> str:
    """A difference from the baseline with its interval: percentage points, or the metric; of a cost less is better."""
    if estimate is None:
        return ""
    if study.metric == "accuracy":
        return f"{100 * estimate.mean:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"
    found = study.shown(estimate)
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def sort_key(study: Study, estimate: Estimate | None) -> str:
    """What a table sorts an estimate by, as it is shown; nothing for one that is missing or no number."""
    if estimate is None or not math.isfinite(estimate.mean):
        return ""
    return f"{study.shown(estimate).mean:.9g}"


def settings(row: Row) -> str:
    """The tuned hyper-parameters, those at the edge of what was tried marked with a star."""
    return ", ".join(
        f"{name.partition('.')[2]} {value:.2g}{'*' if name in row.edges else ''}" for name, value in row.values.items()
    )


def name(row: Row) -> str:
    """The technique's name, the baseline's marked."""
    return f"{row.technique} (baseline)" if row.is_baseline else row.technique


def verdict(row: Row) -> str:
    """The verdict in plain words, with what diverged."""
    if row.diverged:
        return f"{row.words}; {row.diverged} of {len(row.scores)} diverged"
    return row.words


def chance(row: Row) -> str:
    """In how many of the seeds it beats the baseline, in per cent with Wilson's interval."""
    if row.chance is None:
        return ""
    return share(row.chance)


def pace(row: Row) -> str:
    """The median step at which a run reached the baseline's score, and how many runs did."""
    if row.pace is None:
        return ""
    reached = f"{row.pace.reached} of {len(row.scores)} seeds"
    return f"{row.pace.steps:g} ({reached})" if row.pace.steps is not None else f"not reached ({reached})"


def seconds_to_target(study: Study, row: Row) -> str:
    """How long so many steps take one run alone, by what its recipe was measured to cost; nothing if it was not."""
    found = [c for c in study.costs if (c.family, c.technique) == _costed(row)]
    if not found or row.pace is None or row.pace.steps is None:
        return ""
    return f", {row.pace.steps * found[0].seconds:.2g} s alone"


def spread(study: Study, row: Row) -> str:
    """The standard deviation of the score from seed to seed."""
    if len(row.scores) < 2:
        return ""
    sd = statistics.stdev(row.scores)
    return f"{100 * sd:.1f}" if study.metric == "accuracy" else f"{sd:.3f}"


def step_alone(study: Study, row: Row) -> str:
    """What a step of one run alone was measured to take; nothing if it was not."""
    found = [c for c in study.costs if (c.family, c.technique) == _costed(row)]
    return f"{1000 * found[0].seconds:.2g} ms, {found[0].megabytes:.2g} MB" if found else ""


def _costed(row: Row) -> tuple[str, str]:
    """How the row is named among the study's costs."""
    return ("", "baseline") if row.is_baseline else (row.family, row.technique)


def verdict_at_equal_cost(row: Row) -> str:
    """The verdict on its fewer steps, with what diverged."""
    equal = row.equal_cost
    if equal is None:
        return ""
    return f"{equal.words}; {equal.diverged} of {len(row.scores)} diverged" if equal.diverged else equal.words


def cut(study: Study, found: Cut) -> tuple[str, str]:
    """The mean score at the last rung of what was cut, and how far it was behind."""
    if math.isnan(found.score):
        return "diverged", ""
    if study.metric == "accuracy":
        return f"{100 * found.score:.1f} %", f"{100 * found.behind:.1f} points"
    return f"{-found.score if study.lower_is_better else found.score:.3f}", f"{found.behind:.3f}"


def rungs(study: Study) -> str:
    """What a fast study trained of each technique before the fresh seeds."""
    first, *others = study.plan["rungs"]
    said = [f"the best {r['settings']} with {r['seeds']} seeds for {_steps(study, r)} steps" for r in others]
    return ", then ".join([f"all were trained for {_steps(study, first)} steps", *said])


def _steps(study: Study, rung: Mapping[str, Any]) -> int:
    """The steps of a rung, which studies that were made before these were kept have by its share."""
    steps: int = rung.get("steps", max(1, round(study.plan["steps"] * rung["share"])))
    return steps


def rung_steps(study: Study, share: float) -> int:
    """The steps of a fast study's training of this share of the whole."""
    return next((_steps(study, r) for r in study.plan["rungs"] if r["share"] == share), int(study.plan["steps"]))


def correlation(row: Row) -> str:
    """Of the scores with the baseline's by seed."""
    return "" if math.isnan(row.correlation) else f"{row.correlation:+.2f}"


def crossed(names: Sequence[str]) -> str:
    """Several techniques or families, taken together."""
    return " x ".join(names)


def alone(family: str, technique: str) -> str:
    """A technique's name where its family does not stand beside it."""
    return f"no {family}" if technique == "none" else technique


def effect(of: Effect) -> str:
    """The techniques whose effect it is."""
    return crossed([alone(f, t) for f, t in zip(of.families, of.techniques, strict=True)])


def share(estimate: Estimate) -> str:
    """A share of a whole in per cent, with its interval, which ends where there is none or all of it."""
    low, high = max(0.0, 100 * estimate.low), min(100.0, 100 * estimate.high)
    return f"{100 * estimate.mean:.0f} % [{low:.0f}, {high:.0f}]"


def answer(study: Study) -> str:
    """The answer in two sentences."""
    best, test = study.best(), study.test
    lead = f"{difference(study, best.difference)} {unit(study)} {'against' if study.lower_is_better else 'over'}"
    base = next(row for row in study.rows if row.is_baseline)
    tested = (
        f"On the {test.examples:,} locked test examples it scores {score(study, test.score)} {study.metric}"
        f"{_diverged(best)}"
    )
    if best.is_baseline:
        unsure = sum(r.words.startswith("cannot tell") and "seeds" in r.words for r in study.rows)
        more = f"; for {unsure} of them more seeds could tell" if unsure else ""
        cut_off = f"; {len(study.cut)} were cut after tuning and have no verdict" if study.cut else ""
        return (
            f"No technique was shown to be better than the baseline ({best.recipe}) on {study.data}{more}{cut_off}. "
            f"{tested}, where a difference under {delta(study)} is not worth having."
        )
    shows = "" if test.score.mean > test.baseline.mean else ", so that the lead does not show there"
    return (
        f"Best on {study.data}: {best.technique} ({best.title}), {lead} the baseline ({study.baseline})"
        f"{_at_equal_cost(best)}{_among_all(study, best)}. {tested}; the baseline scores "
        f"{score(study, test.baseline)}{_diverged(base)}{shows}."
    )


def _diverged(row: Row) -> str:
    """How many of the runs that were tested diverged, and what they count; nothing if none did."""
    if not row.diverged:
        return ""
    return f" ({row.diverged} of {len(row.scores)} runs diverged and count as the best constant prediction)"


def _at_equal_cost(best: Row) -> str:
    """What becomes of the winner's lead where it may cost no more than the baseline; nothing if it costs no more."""
    if best.equal_cost is None:
        return ""
    same = "it is better at equal cost too"
    return f"; {same if best.equal_cost.verdict == 'better' else f'at equal cost: {verdict_at_equal_cost(best)}'}"


def _among_all(study: Study, best: Row) -> str:
    """That the winner may be one by luck, where its p says so once it is adjusted for every family's techniques."""
    compared = sum(not row.is_baseline for row in study.rows)
    if not best.p_study >= SIGNIFICANCE:
        return ""
    return f"; counted among all {compared} techniques of the study its p is {best.p_study:.2g}, so luck may do as much"


def _error(study: Study, error: float) -> str:
    """A standard error in the unit of the differences."""
    return f"{100 * error:.1f} points" if study.metric == "accuracy" else f"{error:.3f}"


def test_line(study: Study) -> str:
    """The test score with the test set's own error."""
    test = study.test
    line = f"test {study.metric} of {test.technique}: {score(study, test.score)} over seeds"
    if not math.isnan(test.sampling_error):
        line += f"; the {test.examples:,} test examples alone allow for ±{_error(study, test.sampling_error)} (1 s.e.)"
    if not math.isnan(test.difference_error):
        line += f", of the difference from the baseline for ±{_error(study, test.difference_error)}"
    if (m := test.mcnemar) is not None:
        line += (
            f"; of the networks of seed {m.seed}, {test.technique} alone is right on {m.winner} of them and the "
            f"baseline alone on {m.baseline} (McNemar, exact p = {m.p:.3g})"
        )
    return line + attack_words(study)


def receipt_line(study: Study) -> str:
    """How far replayed members were from themselves trained alone."""
    r = study.receipt
    word = "holds" if r.holds else "BROKEN"
    line = (
        f"receipt: {r.members} members replayed alone, largest deviation {r.deviation:.1e} in the first {r.steps} "
        f"losses (tolerance {r.tolerance:.0e}): {word}"
    )
    if r.holds and r.tolerance > MOST_EXPLAINED:
        line += ", though rounding alone moves these losses by about as much, so that it tells little"
    return line + "".join(f"; trained by the loop: {reason}" for reason in r.loops)


def plan_line(study: Study) -> str:
    """What was trained and what it took."""
    p = study.plan
    expected = f" (expected: {p['expected']:.0f} s)" if p.get("expected") else ""
    goes = f" in {p['goes']} goes" if p.get("goes", 1) != 1 else ""
    took = f"{p['seconds']:.0f} s{goes}{expected}"
    processes = "1 process" if p["processes"] == 1 else f"{p['processes']} processes"
    return f"{p['runs']} runs in {p['populations']} populations on {processes}: {took}"


def memory(study: Study) -> str:
    """What all processes together were expected to hold, and the populations; nothing where it was not measured."""
    known = {key: study.plan.get(key) for key in ("memory", "megabytes")}
    found = {key: f"{mb:,.0f} MB" for key, mb in known.items() if isinstance(mb, float) and math.isfinite(mb)}
    parts = {"memory": "expected in all", "megabytes": "for the populations"}
    return ", ".join(f"{words} {parts[key]}" for key, words in found.items())


def _bound(value: float) -> str:
    return f"{value:.1f}"


def points(difference: Estimate | None) -> str:
    """A difference of accuracies in percentage points, with its interval."""
    if difference is None:
        return ""
    return f"{100 * difference.mean:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def attack_words(study: Study) -> str:
    """What robust accuracy means in a study that is judged by it, else nothing."""
    if study.metric != ByRobustAccuracy.metric or not study.robust:
        return ""
    return f"; an example counts if it is right both clean and under attack: {study.robust[0].attack}"
