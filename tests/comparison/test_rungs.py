"""Fast studies: rungs of whole short trainings, the same for all; what is cut has no verdict and is said."""

import dataclasses
import json
import math

import pytest

from make_runs import blobs
from make_store import NETWORK
from trainsmith import api
from trainsmith.catalogue import Recipe, Trial, find
from trainsmith.comparison import Budget, compare, read_study
from trainsmith.comparison.budget import FAST
from trainsmith.comparison.cuts import cut_notes
from trainsmith.comparison.plan import FIRST_FRESH_SEED, Candidate
from trainsmith.comparison.trainings import Trainings, shortened
from trainsmith.comparison.tuning import survivors, tune
from trainsmith.errors import InvalidInput
from trainsmith.population import Result, Training
from trainsmith.report import family_tables, report_html, summary, words
from trainsmith.report.terminal import Printable

NAMES = ["sgd", "zeros", "constant", "normal", "xavier", "orthogonal", "glorot-normal", "glorot-uniform"]
QUICK = Budget(trials=4, fresh_seeds=3, fast=True)


@pytest.fixture(scope="module")
def study():
    told = []

    class Spy(Trainings):
        def __call__(self, what, runs, keep_states=False, *, share=1.0):
            told.append((what, list(runs), share))
            return super().__call__(what, runs, keep_states, share=share)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainsmith.comparison.prepared.Trainings", Spy)
        found = compare(
            NETWORK, blobs(examples=200, shift=2.0), baseline=Recipe(), techniques=[find(n) for n in NAMES],
            budget=QUICK, training=Training(steps=16, checks=4), processes=1,
        )  # fmt: skip
    return found, told


def test_every_technique_climbs_the_same_rungs_each_a_whole_training_of_its_own_length(study):
    found, told = study
    by_share = {}
    for _what, runs, share in told[:-1]:
        for run in runs:
            by_share.setdefault(share, []).append(run)
    extra = found.plan["extension"]
    for (rung, share), settings in zip(((r, r.share) for r in FAST), (4 + extra, 3, 1), strict=True):
        of = {}
        for run in by_share[share]:
            of.setdefault(run.trial.recipe, []).append(run)
        assert len(of) == len(NAMES) + 1
        assert {len(runs) for runs in of.values()} == {settings * rung.seeds}
    assert [round(16 * r.share) for r in FAST] == [2, 8, 16]


def test_a_shorter_training_is_whole():
    whole = Training(steps=400, checks=20, warmup=0.05)
    short = shortened(whole, 1 / 8)
    assert (short.steps, short.checks, short.schedule, short.warmup) == (50, 2, "cosine", 0.05)
    assert short.rate(50) < 0.01
    assert max(map(short.rate, range(1, 51))) == pytest.approx(1, abs=0.01)
    assert shortened(whole, 1.0) is whole


def test_each_rung_has_seeds_of_its_own_and_none_is_fresh(study):
    *tuning, (_, confirmed, share) = study[1]
    assert share == 1.0
    seeds = {}
    for _what, runs, share in tuning:
        seeds.setdefault(share, set()).update(run.seed for run in runs)
    assert list(map(sorted, seeds.values())) == [[0], [1], [2, 3]]
    assert {run.seed for run in confirmed} == {FIRST_FRESH_SEED + i for i in range(3)}


def test_only_the_best_and_the_baseline_are_trained_on_fresh_seeds(study):
    found, told = study
    shown = {r.technique for r in found.rows if not r.is_baseline}
    assert len(shown) == len(NAMES) // 4 == 2
    assert shown | {c.technique for c in found.cut} == set(NAMES)
    assert {run.trial.recipe for run in told[-1][1]} == {r.recipe for r in found.rows}
    least = min(c.behind for c in found.cut)
    assert least >= 0
    assert [c.behind for c in found.cut] == sorted(c.behind for c in found.cut)
    assert all(c.seeds == 2 and c.attempts for c in found.cut)
    assert all(len(r.scores) == 3 and not r.tuning_curve for r in found.rows)


def test_what_it_cost_is_in_the_record_and_is_what_was_planned(study):
    found = study[0]
    assert found.plan["fast"] is True
    extra = 9 * found.plan["extension"]
    assert found.plan["runs"] == 9 * (4 + 3 + 2) + 3 * 3 + extra
    assert found.plan["member_steps"] == 9 * (4 * 2 + 3 * 8 + 2 * 16) + 3 * 3 * 16 + extra * 2
    plan = api.plan("mlp", blobs(), techniques=NAMES, trials=4, seeds=3, steps=16, fast=True, processes=1)
    assert plan.runs == 9 * (4 + 3 + 2) + 9
    assert plan.cost == pytest.approx(9 * (4 / 8 + 3 / 2 + 2) + 9)
    assert plan.most_cost == pytest.approx(plan.cost + 9 * 2 / 8)
    assert "9 recipes x (4 settings x 1 for 2 steps + 3 settings x 1 for 8 steps + 1 settings x 2" in plan.words
    whole = api.plan("mlp", blobs(), techniques=NAMES, trials=4, seeds=3, steps=16, processes=1)
    assert whole.cost == whole.runs == 9 * (4 + 3 * 2 + 3)


def test_a_usual_fast_study_costs_less_than_a_third():
    for techniques in (6, 8, 24, 60):
        recipes, quick, whole = techniques + 1, Budget(fast=True), Budget()
        cost = {
            b: recipes * b.tuning_cost + b.extended_runs(recipes)[1] + b.confirmed(recipes) * b.fresh_seeds
            for b in (quick, whole)
        }
        assert cost[quick] < cost[whole] / 3


def test_it_is_said_in_words_table_and_page_and_comes_back_from_its_record(study):
    found = study[0]
    (note,) = (n for n in found.notes if n.startswith("fast:"))
    assert f"{len(found.cut)} of 8 techniques were cut" in note
    assert all(f"{c.technique} ({100 * c.behind:.1f} points)" in note for c in found.cut)
    (plain,) = cut_notes(found.cut, 9, "R²")
    assert f"{found.cut[0].technique} ({found.cut[0].behind:.3f})" in plain
    printed = str(Printable(summary(found))) + "".join(str(Printable(t)) for t in family_tables(found))
    assert "cut after tuning" in printed
    page = report_html(found)
    assert 'id="cut"' in page
    assert "all were trained for 2 steps, then the best 3 with 1 seeds for 8 steps" in page
    assert page.count("Seed by seed") == len(found.families()), "how often each beats the baseline, and how soon"
    assert "Tuning budget" not in page, "trials of several lengths make no such curve"
    again = read_study(json.dumps(found.to_dict()))
    assert again.to_dict() == found.to_dict()


def test_the_steps_of_a_rung_are_those_that_were_trained_even_where_there_is_but_one(study):
    plan = {**study[0].plan, "steps": 3, "rungs": compare_plan(3)}
    assert words.rungs(dataclasses.replace(study[0], plan=plan)).startswith("all were trained for 1 steps, then the")
    assert "for 2 steps, then the best 1 with 2 seeds for 3 steps" in words.rungs(
        dataclasses.replace(study[0], plan=plan)
    )
    assert [r["steps"] for r in study[0].plan["rungs"]] == [2, 8, 16]
    older = [{k: v for k, v in r.items() if k != "steps"} for r in plan["rungs"]]
    assert "for 1 steps" in words.rungs(dataclasses.replace(study[0], plan={**plan, "rungs": older}))


def compare_plan(steps):
    """The rungs that a fast study of so many steps puts down."""
    study = compare(
        "mlp", blobs(examples=60), techniques=[find("sgd")], budget=Budget(trials=2, fresh_seeds=2, fast=True),
        training=Training(steps=steps, batch_size=8), processes=1,
    )  # fmt: skip
    return study.plan["rungs"]


@pytest.mark.parametrize(
    ("rungs", "said"),
    [
        (None, "plan.rungs must be of type list; it is None"),
        ([], "plan.rungs must hold a rung at least"),
        ([{"settings": 8, "seeds": 1}], r"a rung's share must lie in \(0, 1\]"),
        ([{"settings": "8", "seeds": 1, "share": 1.0}], "a rung's settings must be of type int"),
        ([{"settings": 8, "seeds": 1, "share": 1.0, "steps": "all"}], "a rung's steps must be of type int"),
    ],
)
def test_a_record_of_a_fast_study_without_its_rungs_is_no_study(study, rungs, said):
    raw = study[0].to_dict()
    raw["plan"] = {k: v for k, v in raw["plan"].items() if k != "rungs"} | ({} if rungs is None else {"rungs": rungs})
    with pytest.raises(InvalidInput, match=said):
        read_study(json.dumps(raw))


def trials(count=4):
    return [Candidate((), Recipe()).trials(count)]


def test_a_setting_that_is_good_in_short_trainings_only_does_not_win():
    """Trial 2 leads at the first rung and falls back later: longer trainings decide, the shorter count no more."""
    given = trials()

    def train(what, runs, *, share):
        good = given[0][2 if share < 0.2 else 1].values
        return [Result(score=0.9 if run.trial.values == good else 0.5, loss=1.0) for run in runs]

    (tuned,) = tune(train, given, dataclasses.replace(QUICK, extension=0))
    assert tuned.best == 1
    assert tuned.attempts[1].score == 0.9
    assert [a.share for a in tuned.attempts] == [0.5, 1.0, 0.5, 1 / 8]
    assert [r.score for r in tuned.last] == [0.9, 0.9]


def test_the_range_is_widened_at_the_first_rung_for_all():
    seen = []

    def train(what, runs, *, share):
        seen.append((what, len(runs), share))
        return [Result(score=run.trial.values["adam.lr"], loss=1.0) for run in runs]

    more = []
    (tuned,) = tune(train, trials(), QUICK, lambda *told: more.append(told))
    assert seen[:2] == [("tuning", 4, 1 / 8), ("widening the range", 2, 1 / 8)]
    assert [what for what, *_ in seen[2:]] == ["tuning, rung 2 of 3", "tuning the finalists"], "what the bar says"
    assert more == [(2, 2 / 8)]
    assert tuned.trial.values["adam.lr"] == max(t.values["adam.lr"] for t in tuned.trials)


def test_the_baseline_always_survives_and_of_the_others_the_best():
    from trainsmith.comparison.tuning import Tuned

    def at(*scores):
        return Tuned((Trial(Recipe()),), 0, (), tuple(Result(score=s, loss=1.0) for s in scores))

    tuned = [at(0.1, 0.1), at(0.5, 0.6), at(0.9, math.nan), at(0.7, 0.7), at(0.6, 0.7)]
    assert survivors(tuned, 3) == [0, 3, 4]
    assert survivors(tuned, 2) == [0, 3]
    assert survivors(tuned, 5) == [0, 1, 2, 3, 4]


def test_a_design_cuts_no_recipe():
    plan = api.plan(
        "mlp", blobs(), techniques=["sgd", "tanh", "elu", "normal"], design="pairs", fast=True, steps=16, processes=1
    )
    assert plan.confirmed == len(plan.candidates) == 5 + 2 + 1 + 2
    assert plan.budget.confirmed(10) == 3


def test_a_limit_of_runs_counts_short_ones_by_their_length():
    asked = {"techniques": NAMES, "steps": 16, "processes": 1, "budget": "70 runs"}
    plan = api.plan("mlp", blobs(), fast=True, **asked)
    assert plan.most_cost <= 70 < plan.most_runs
    assert plan.budget.fast
    assert plan.budget.fresh_seeds == 8


def test_a_fast_study_goes_on_as_one(tmp_path):
    asked = {"techniques": ["xavier", "zeros"], "trials": 2, "seeds": 2, "steps": 8, "processes": 1}
    first = api.compare(NETWORK, blobs(examples=60), **asked, fast=True, folder=tmp_path / "s")
    assert api.resume(tmp_path / "s").to_dict()["cut"] == first.to_dict()["cut"]
    with pytest.raises(api.InvalidInput, match="other budget"):
        api.compare(NETWORK, blobs(examples=60), **asked, folder=tmp_path / "s")
