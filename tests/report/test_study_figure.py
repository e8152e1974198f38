"""What the figures of a study show: the differences that matter, how sure they are, and nothing that lies outside."""

import json
import re
from dataclasses import replace

import pytest

from make_study import make_study
from trainsmith.comparison.study import Attempt, Curve
from trainsmith.report import report_html, study_figure

TALL = 72 * study_figure.HEIGHT


def study_of(metric, *rows):
    """A study of one family: the baseline and as many techniques as there are changes of its row."""
    whole = make_study(metric=metric, most=1)
    family = [r for r in whole.rows if r.family == "optimizer"]
    base = next(r for r in family if r.is_baseline)
    first = next(r for r in family if not r.is_baseline)
    made = [replace(first if i else base, technique=f"t{i}", **changes) for i, changes in enumerate(rows)]
    return replace(whole, rows=tuple(made))


def points(draw, study):
    """(series, x, y, the first number in the words) of every point that is told."""
    drawn = draw(study, "optimizer", study_figure.lines(study, "optimizer"))
    return [(n, x, y, float(re.search(r": (-?[\d.]+)", words)[1])) for n, x, y, words in json.loads(drawn.points)]


def attempts(*scores):
    tried = tuple(Attempt({"adam.lr": 10.0 ** -(5 - i)}, s, 0.0) for i, s in enumerate(scores))
    return {"attempts": tried, "values": {"adam.lr": 1e-3}}


def height(told):
    return max(y for _, _, y, _ in told) - min(y for _, _, y, _ in told)


@pytest.mark.parametrize(
    ("metric", "scores", "told"),
    [
        ("micro F1", (0.6, 0.7, 0.85, 0.8), 4),
        ("balanced accuracy", (0.6, 0.7, 0.85, 0.8), 4),
        ("R²", (0.6, 0.7, 0.85, 0.8), 4),
        ("R²", (-0.3, 0.7, 0.85, -40.0), 3),
        ("log loss", (-0.6, -0.7, -0.5, -400.0), 3),
        ("bits per character", (-2.6, -2.7, -3.5, -2.9), 4),
    ],
)
def test_trials_have_the_figure_to_themselves_whatever_the_metric(metric, scores, told):
    found = points(study_figure.tuning, study_of(metric, attempts(*scores), attempts(*scores)))
    assert len(found) == 2 * told
    assert height(found) > TALL / 3


def test_tuning_curves_have_it_too():
    study = study_of("micro F1", {"tuning_curve": (0.7, 0.8, 0.84)}, {"tuning_curve": (0.75, 0.82, 0.85)})
    assert height(points(study_figure.tuning_curves, study)) > TALL / 3


def curve(last, half, first=0.2):
    means = (first, last, last, last, last)
    return {"curve": Curve((1, 25, 50, 75, 100), means, tuple(m - half for m in means), tuple(m + half for m in means))}


def test_a_difference_is_drawn_beside_how_sure_it_is():
    """Two lines half a point apart whose intervals are six points wide do not fill the figure."""
    ends = [
        y for _, _, y, _ in points(study_figure.curves, study_of("accuracy", curve(0.950, 0.03), curve(0.955, 0.03)))
    ]
    assert max(ends) - min(ends) < TALL / 6


def test_no_interval_passes_what_a_score_can_be():
    study = study_of("accuracy", curve(0.99, 0.03), curve(0.98, 0.03))
    drawn = study_figure.curves(study, "optimizer", study_figure.lines(study, "optimizer"))
    assert "[96.0 %, 100.0 %]" in drawn.points
    assert not re.search(r"10[1-9]\.\d %", drawn.points)


def test_nothing_is_told_of_what_lies_outside():
    """The first check lies a little below the figure's lower edge, where the steps are written."""
    found = points(study_figure.curves, study_of("accuracy", curve(0.95, 0.001, 0.94), curve(0.90, 0.001, 0.893)))
    assert [value for *_, value in found].count(89.3) == 0
    assert len(found) == 9


def test_of_a_fast_study_a_line_joins_trials_of_one_length_and_the_others_say_theirs():
    scores, shares = (0.5, 0.6, 0.95, 0.97, 0.4), (0.125, 0.125, 0.5, 1.0, 0.125)
    tried = attempts(*scores)
    tried["attempts"] = tuple(replace(a, share=s) for a, s in zip(tried["attempts"], shares, strict=True))
    study = study_of("accuracy", tried)
    rungs = [{"settings": 8, "seeds": 1, "share": s, "steps": round(600 * s)} for s in (0.125, 0.5, 1.0)]
    study = replace(study, plan={**study.plan, "fast": True, "rungs": rungs})
    drawn = study_figure.tuning(study, "optimizer", study_figure.lines(study, "optimizer"))
    told = [words for *_, words in json.loads(drawn.points)]
    assert [re.search(r": (.*)", t)[1] for t in told] == [
        f"{100 * s:.1f} % after {round(600 * share)} steps" for s, share in zip(scores, shares, strict=True)
    ]
    series = re.findall(r'class="series".*?</g>', drawn.picture, re.S)
    lines = [len(re.findall(r"[ML] [\d.]+ [\d.]+", path)) for path in re.findall(r'<path d="([^"]*)"', series[0])]
    assert lines[0] == 3, "the line goes through the short trainings alone"
    assert "a line joins those of 75 steps, hollow ones were trained longer" in report_html(study)
