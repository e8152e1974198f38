"""A whole study: equal budgets, locked test data, fresh seeds, one split a seed, an honest winner."""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from torch import nn

from make_runs import blobs, line
from make_store import NETWORK
from reference import statistics as reference
from trainsmith.catalogue import Recipe, find, techniques
from trainsmith.comparison import Announce, Budget, compare, read_study
from trainsmith.comparison.plan import (
    FIRST_FRESH_SEED,
    FIRST_LOOK,
    Candidate,
    candidates,
    default_baseline,
    fresh_runs,
    tuning_runs,
)
from trainsmith.comparison.points import shared_quantiles
from trainsmith.comparison.rows import attempts, best_positions, curve, edges, make_rows
from trainsmith.comparison.study import EqualCost, Estimate
from trainsmith.comparison.trainings import PROCESS_MEGABYTES, Trainings
from trainsmith.comparison.tuning import tune
from trainsmith.data import load, split
from trainsmith.errors import InvalidInput
from trainsmith.population import Result, Training
from trainsmith.population.calibrate import Packing
from trainsmith.population.memory import peak_megabytes

TRAINING = Training(steps=25, batch_size=16, checks=5)
BUDGET = Budget(trials=3, finalists=2, final_seeds=1, fresh_seeds=4)


@pytest.fixture(scope="module")
def study():
    data = blobs(examples=300, shift=3.0)
    chosen = [find(n) for n in ("sgd", "standardization", "zeros", "label-smoothing")]
    return compare(NETWORK, data, baseline=Recipe(), techniques=chosen, budget=BUDGET, training=TRAINING, processes=1)


def test_every_technique_and_the_baseline_get_the_same_number_of_trials(study):
    tried = BUDGET.trials + study.plan["extension"]
    assert {len(row.attempts) for row in study.rows} == {tried}
    assert {len(row.scores) for row in study.rows} == {BUDGET.fresh_seeds}
    assert {tuple(sorted(a.seeds for a in row.attempts)) for row in study.rows} == {(*[1] * (tried - 2), 2, 2)}
    assert study.plan["runs"] == 5 * (tried + 2 + 4)


def test_the_first_trial_is_the_default_and_the_rest_share_their_quantiles():
    sgd, adam = (Candidate((find(n),), Recipe(optimizer=n)).trials(6) for n in ("sgd", "adam"))
    assert sgd[0].values["sgd.lr"] == find("sgd").defaults["lr"]

    def quantiles(trials, name):
        low, high = map(math.log, find(name).hyperparameters[0].search)
        return [(math.log(t.values[f"{name}.lr"]) - low) / (high - low) for t in trials[1:]]

    assert quantiles(sgd, "sgd") == pytest.approx(quantiles(adam, "adam"))


def test_tuning_points_cover_every_range_evenly():
    points = shared_quantiles(7)
    for column in points.T:
        assert sorted(column) == pytest.approx([(i + 0.5) / 7 for i in range(7)])
    assert shared_quantiles(0).shape == (0, 8)


def test_fresh_seeds_were_not_seen_in_tuning_and_each_draws_its_own_split():
    trial = Candidate((), Recipe()).trials(1)[0]
    tuned = {run.seed for run in (*tuning_runs([trial], 0, 1), *tuning_runs([trial], 1, 5))}
    assert len(tuned) == 6
    fresh = [run.seed for run in fresh_runs(trial, Budget())]
    assert tuned.isdisjoint(fresh)
    assert min(fresh) == FIRST_FRESH_SEED
    data = blobs()
    assert len({tuple(split(data, seed)[1]) for seed in fresh}) == len(fresh)


def test_a_hopeless_technique_is_called_worse_and_a_needed_one_wins(study):
    rows = {row.technique: row for row in study.rows}
    assert rows["zeros"].difference.high < 0
    assert rows["zeros"].words
    assert rows["adam"].is_baseline
    assert rows["sgd"].recipe == Recipe(optimizer="sgd")
    assert study.best().technique in rows


def test_differences_are_paired_by_seed(study):
    baseline = next(r for r in study.rows if r.is_baseline)
    for row in study.rows:
        if row.difference is not None:
            paired = np.subtract(row.scores, baseline.scores)
            assert row.difference.mean == pytest.approx(paired.mean())
            assert row.difference.high - row.difference.low == pytest.approx(
                2 * 3.182446 * paired.std(ddof=1) / 2, rel=1e-5
            )  # t quantile with 3 degrees of freedom, n = 4


def test_the_test_part_is_opened_once_and_only_at_the_end():
    data = blobs(examples=200)
    events = []

    class Spy(Announce):
        def planned(self, *_):
            pass

        def extended(self, *_):
            pass

        def progress_made(self, what, steps, runs):
            events.append(data.test.opened)

    compare(NETWORK, data, techniques=[find("sgd")], budget=BUDGET, training=TRAINING, processes=1, announce=Spy())
    assert set(events) == {0}
    assert data.test.opened == 1


def test_a_study_survives_json(study):
    again = read_study(json.dumps(study.to_dict(), allow_nan=False))
    assert json.dumps(again.to_dict()) == json.dumps(study.to_dict())
    assert again.best().recipe == study.best().recipe


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"rows": 3}', '{"rows": [{"a": 1}]}'])
def test_anything_else_is_not_a_study(text):
    with pytest.raises(InvalidInput, match="not a study that trainsmith wrote"):
        read_study(text)


def test_regression_scores_r_squared_and_leaves_out_what_needs_classes():
    data = line()
    chosen = [find(name) for name in ("dropout", "label-smoothing", "mixup")]
    study = compare(NETWORK, data, techniques=chosen, budget=BUDGET, training=TRAINING, processes=1)
    assert study.metric == "R²"
    assert {"dropout", "mixup"} < {row.technique for row in study.rows}
    assert any("label-smoothing was left out" in note for note in study.notes)
    assert "label-smoothing" not in {row.technique for row in study.rows}


def test_the_same_study_again_gives_the_same_numbers():
    def numbers():
        study = compare(
            NETWORK, blobs(), techniques=[find("dropout")], budget=BUDGET, training=TRAINING, processes=1
        ).to_dict()
        return study["rows"], study["test"]

    assert numbers() == numbers()


def test_tables_are_standardized_in_the_baseline_and_images_are_not():
    assert default_baseline(load("wine")).normalization == "standardization"
    assert default_baseline(load("digits")).normalization == "none"


def test_the_baseline_has_what_the_network_has():
    def network():
        return nn.Sequential(nn.Flatten(), nn.Linear(13, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))

    assert default_baseline(load("wine"), network) == Recipe(normalization="batch", activation="tanh")
    assert default_baseline(load("wine"), "mlp") == default_baseline(load("wine"))


def test_the_usual_techniques_are_candidates_and_need_no_note():
    found, notes = candidates(Recipe(), load("digits"), None, None)
    assert not notes
    assert found[0].techniques == ()
    assert len({c.recipe for c in found}) == len(found) >= 22


class Functional(nn.Module):
    """A network without an activation function that can be replaced."""

    def __init__(self, shape, outputs):
        super().__init__()
        self.a, self.b = nn.Linear(shape[0], 8), nn.Linear(8, outputs)

    def forward(self, x):
        return self.b(self.a(x).clamp(min=0))


class WithMore(nn.Module):
    """Networks whose output is more than their predictions, as those of others are."""

    def __init__(self, shape, outputs):
        super().__init__()
        self.layer = nn.Linear(shape[0], outputs)

    def forward(self, x):
        return self.layer(x), x


class WithLogits(WithMore):
    def forward(self, x):
        return SimpleNamespace(logits=self.layer(x))


@pytest.mark.parametrize("network", [WithMore, WithLogits])
def test_a_network_may_return_more_than_its_predictions(network):
    budget, training = Budget(trials=1, finalists=1, final_seeds=0, fresh_seeds=2, extension=0), Training(steps=5)
    study = compare(network, blobs(), techniques=[find("sgd")], budget=budget, training=training, processes=1)
    assert 0 <= study.test.score.mean <= 1


def test_a_technique_that_cannot_be_put_into_the_network_is_left_out_and_said():
    chosen = [find(n) for n in ("tanh", "batch", "dropout", "sgd")]
    study = compare(Functional, blobs(), techniques=chosen, budget=BUDGET, training=TRAINING, processes=1)
    assert {row.technique for row in study.rows} == {"adam", "sgd"}
    assert len([note for note in study.notes if "fresh seeds can show" not in note]) == 4
    assert any("batch was left out: no weight layer" in note for note in study.notes)
    with pytest.raises(InvalidInput, match="nothing to compare: tanh was left out"):
        compare(Functional, blobs(), techniques=[find("tanh")], budget=BUDGET, training=TRAINING, processes=1)
    with pytest.raises(InvalidInput) as refused:
        compare(Functional, blobs(), techniques=chosen[:3], budget=BUDGET, training=TRAINING, processes=1)
    said = str(refused.value)
    assert said.count("left out: ") == len(set(re.findall("left out: ([^;]*)", said))), "each reason once"
    assert all(re.search(rf"\b{name}\b.* left out: ", said) for name in ("tanh", "batch", "dropout"))


def test_techniques_left_out_for_one_reason_are_named_together():
    dataset = load("diabetes")
    losses = [find("label-smoothing"), find("confidence-penalty")]
    names = r"(label-smoothing, confidence-penalty|confidence-penalty, label-smoothing)"
    with pytest.raises(InvalidInput, match=rf"^nothing to compare: {names} were left out: it is defined for class"):
        candidates(Recipe(), dataset, None, losses)


def test_none_of_the_regularizers_can_be_compared_with_a_regularized_baseline():
    baseline = Recipe(regularization=("dropout",))
    found, _ = candidates(baseline, load("digits"), ["regularization"], None)
    assert Recipe() in {c.recipe for c in found}


def test_the_schedule_of_the_baseline_is_not_compared_with_itself():
    schedules = {t.name for t in techniques("optimizer") if t.role == "schedule"}
    for own, name in (("cosine", "cosine"), ("staircase", "step-decay"), ("plateau", "plateau")):
        found, notes = candidates(Recipe(), load("digits"), ["optimizer"], None, own)
        assert {c.recipe.schedule for c in found} == schedules - {name} | {"none"}
        assert notes == [f"{name} was left out: the baseline has this schedule (--schedule {own})."]
    found, notes = candidates(Recipe(schedule="one-cycle"), load("digits"), ["optimizer"], None, "cosine")
    assert {c.recipe.schedule for c in found} == schedules
    assert not notes


def test_a_study_does_not_compare_the_schedule_of_its_trainings():
    budget = Budget(trials=1, finalists=1, final_seeds=0, fresh_seeds=2, extension=0)
    chosen, training = [find(n) for n in ("one-cycle", "wsd")], Training(steps=5, schedule="one-cycle")
    study = compare("mlp", blobs(), techniques=chosen, budget=budget, training=training, processes=1)
    assert {row.technique for row in study.rows} == {"adam", "stable-decay"}
    assert "one-cycle was left out: the baseline has this schedule (--schedule one-cycle)." in study.notes


def test_the_plan_says_the_schedule_that_the_baseline_has():
    budget, training = Budget(trials=1, finalists=1, final_seeds=0, fresh_seeds=2, extension=0), Training(steps=5)
    for baseline, said in ((None, "5% linear warm-up, then cosine to 0"), (Recipe(schedule="wsd"), "stable-decay, of")):
        study = compare("mlp", blobs(), baseline=baseline, techniques=[find("sgd")], budget=budget, training=training)
        assert study.plan["schedule"].startswith(said)


def test_the_best_trial_wins_ties_by_loss_and_never_after_diverging():
    def result(score, loss):
        return [Result(score=score, loss=loss)]

    results = [result(0.9, 0.5), result(0.9, 0.4), result(math.nan, 0.1), result(0.8, 0.1)]
    assert best_positions(results, 2) == [1, 0]
    assert best_positions(results, 9) == [1, 0, 3, 2]
    assert best_positions([result(math.nan, math.nan), result(0.0, 9.0)], 1) == [1]


def test_a_lucky_first_seed_does_not_choose_the_setting():
    """The trial that leads on the first seed falls back on the further ones: another one is chosen."""
    trials = [Candidate((), Recipe()).trials(4)]

    def trainer(what, runs, *, share):
        lucky = trials[0][2].values
        return [
            Result(score=(0.99 if run.seed == 0 else 0.5) if run.trial.values == lucky else 0.9, loss=1.0)
            for run in runs
        ]

    (tuned,) = tune(trainer, trials, Budget(trials=4, finalists=2, final_seeds=2, extension=0))
    best, tried = tuned.best, tuned.attempts
    assert best == 0
    assert [a.seeds for a in tried] == [3, 1, 3, 1]
    assert tried[2].score == pytest.approx((0.99 + 0.5 + 0.5) / 3)


def test_a_best_value_at_the_edge_of_what_was_tried_is_marked():
    candidate = Candidate((), Recipe())
    trials = candidate.trials(5)
    tried = attempts(trials, [[Result(score=0.5, loss=1.0)]] * 5, [1.0] * 5)
    values = [a.values["adam.lr"] for a in tried]
    assert edges(candidate, tried, values.index(max(values))) == ("adam.lr",)
    assert edges(candidate, tried, values.index(sorted(values)[2])) == ()


def test_a_diverged_run_counts_as_the_best_constant_prediction():
    def results(*scores):
        return [
            Result(status="diverged" if math.isnan(s) else "finished", score=s, curve=[(1, 0.0, 0.0, 0.5)])
            for s in scores
        ]

    chosen = [Candidate((), Recipe()), Candidate((find("sgd"),), Recipe(optimizer="sgd"))]
    tried = [(0, attempts(c.trials(1), [results(0.9)], [1.0])) for c in chosen]
    rows = make_rows(chosen, tried, [results(0.9, 0.8, 0.9), results(0.9, math.nan, 0.7)], 0.25, 0.01, 1)
    sgd = next(row for row in rows if row.technique == "sgd")
    assert sgd.scores == (0.9, 0.25, 0.7)
    assert sgd.diverged == 1


def test_where_no_run_of_either_trained_there_is_no_verdict():
    def results(*scores):
        return [Result(status="diverged" if math.isnan(s) else "finished", score=s) for s in scores]

    nothing, some = [math.nan] * 8, [*[math.nan] * 7, 0.25]
    chosen = [Candidate((), Recipe()), *(Candidate((find(n),), Recipe(optimizer=n)) for n in ("sgd", "lion"))]
    tried = [(0, attempts(c.trials(1), [results(0.9)], [1.0])) for c in chosen]
    zero = Estimate(0.0, 0.0, 0.0)
    equal = {
        i: EqualCost(5, zero, zero, 1.0, "no difference worth having", "", diverged) for i, diverged in ((1, 8), (2, 7))
    }
    rows = make_rows(chosen, tried, [results(*s) for s in (nothing, nothing, some)], 0.25, 0.01, 1, equal)
    verdicts = {r.technique: (r.words, r.equal_cost and r.equal_cost.verdict) for r in rows}
    lost, same = "cannot tell yet: all runs of both diverged", "no difference worth having"
    assert verdicts == {"adam": ("baseline", None), "sgd": (lost, "cannot tell yet"), "lion": (same, same)}
    held = make_rows(chosen, tried, [results(*s) for s in (some, nothing, nothing)], 0.25, 0.01, 1)
    assert {r.verdict for r in held if not r.is_baseline} == {same}


def test_the_seeds_that_would_do_count_how_many_techniques_of_the_family_are_compared():
    base = np.linspace(0.80, 0.84, 8)
    d = np.array([0.05, -0.02, 0.04, -0.01, 0.05, 0.03, -0.03, 0.06])
    named = ["sgd", "momentum", "nesterov", "lion"]
    chosen = [Candidate((), Recipe()), *(Candidate((find(n),), Recipe(optimizer=n)) for n in named)]
    tried = [(0, attempts(c.trials(1), [[Result(score=0.8, loss=1.0)]], [1.0])) for c in chosen]
    scores = [base, base + d, *(base + np.roll(-d, i) for i in (1, 2, 3))]
    results = [[Result(status="finished", score=s, curve=[(1, 0.0, 0.0, s)]) for s in of] for of in scores]
    sgd = next(r for r in make_rows(chosen, tried, results, 0.25, 0.01, 1) if r.technique == "sgd")
    mean, sd = d.mean(), d.std(ddof=1)
    n = next(n for n in range(9, 99) if stats.t.ppf((1 + 0.95**0.25) / 2, n - 1) * sd / n**0.5 <= mean)
    assert sgd.words == f"cannot tell yet: about {n} seeds would"


def test_a_curve_keeps_the_last_score_of_runs_that_ended():
    short = Result(curve=[(1, 0.0, 0.0, 0.4)])
    full = Result(curve=[(1, 0.0, 0.0, 0.6), (2, 0.0, 0.0, 0.8)])
    drawn = curve([short, full], 0.25)
    assert drawn.steps == (1, 2)
    assert drawn.mean == pytest.approx((0.5, 0.6))


@pytest.mark.parametrize("score", [math.nan, -math.inf])
def test_a_point_of_a_curve_that_is_not_finite_counts_as_the_constant_prediction(score):
    diverged = Result(status="diverged", score=math.nan, curve=[(1, 0.0, 0.0, 0.5), (2, math.inf, math.inf, score)])
    full = Result(curve=[(1, 0.0, 0.0, 0.5), (2, 0.0, 0.0, 0.75)])
    assert curve([diverged, full], 0.25).mean == pytest.approx((0.5, 0.5))
    recovered = Result(curve=[(1, 0.0, 0.0, score), (2, 0.0, 0.0, 0.25)])
    assert curve([recovered, full], 0.25).mean == pytest.approx((0.375, 0.5))


def test_a_curve_ends_where_a_diverged_run_is_counted_whatever_accuracy_its_outputs_have():
    """Outputs of nan are all of the first class, and one loss that was not finite may leave a network that is good."""
    lucky = Result(status="diverged", score=math.nan, curve=[(1, 0.0, 0.0, 0.5), (2, math.nan, math.nan, 0.9)])
    full = Result(curve=[(1, 0.0, 0.0, 0.5), (2, 0.0, 0.0, 0.7), (3, 0.0, 0.0, 0.75)])
    assert curve([lucky, full], 0.25).mean == pytest.approx((0.5, (0.25 + 0.7) / 2, (0.25 + 0.75) / 2))


def judged(families, scores):
    """The rows of a study with as many optimizers and activations, and their scores, the baseline's first."""
    names = [t for f, count in families.items() for t in [t for t in techniques(f) if t.role == f][:count]]
    chosen = [Candidate((), Recipe(optimizer="lars", activation="gelu"))]
    chosen += [Candidate((t,), chosen[0].recipe.having(t)) for t in names]
    tried = [(0, attempts(c.trials(1), [[Result(score=0.8, loss=1.0)]], [1.0])) for c in chosen]
    results = [[Result(score=s, curve=[(1, 0.0, 0.0, s)]) for s in of] for of in scores]
    return [r for r in make_rows(chosen, tried, results, 0.0, 1e-9, 1) if not r.is_baseline]


def test_p_over_the_study_is_adjusted_for_the_techniques_of_all_families():
    scores = np.random.default_rng(4).normal(0.8, 0.01, (6, 8))
    scores[2] += 0.02
    rows = judged({"activation": 2, "optimizer": 3}, scores)
    expected = reference.max_t_sign_flip([(s - scores[0]).tolist() for s in scores[1:]])
    assert sorted(r.p_study for r in rows) == pytest.approx(sorted(expected))
    assert all(r.p_study >= r.p for r in rows)
    assert any(r.p_study > r.p for r in rows)
    alone = judged({"optimizer": 3}, scores[:4])
    assert [r.p_study for r in alone] == [r.p for r in alone]


def test_where_nothing_differs_few_studies_have_a_winner_by_the_p_of_all_families():
    luck = np.random.default_rng(5)
    by_family, by_study = 0, 0
    for _ in range(300):
        rows = judged({"activation": 4, "optimizer": 4}, luck.normal(size=(9, 8)))
        by_family += any(r.p < 0.05 for r in rows)
        by_study += any(r.p_study < 0.05 for r in rows)
    assert by_study <= 24, "5 % of 300, and 2.4 standard errors"
    assert by_family > by_study


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": ["optimiser"]}, "did you mean optimizer"),
        ({"techniques": [find("adam")]}, "already part of the baseline"),
        ({"training": Training(batch_size=10_000)}, "larger than the"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused_before_it_trains(options, message):
    with pytest.raises(InvalidInput, match=message):
        compare("mlp", blobs(), **options)


@pytest.mark.parametrize("name", ["trials", "finalists", "final_seeds", "fresh_seeds"])
@pytest.mark.parametrize("value", [-1, 2.5, True])
def test_a_budget_must_be_counts(name, value):
    with pytest.raises(InvalidInput, match=rf"{name.replace('_', ' ')} must be a whole number"):
        Budget(**{name: value})


def test_the_first_look_names_techniques_that_exist():
    assert {t.name for t in techniques()} >= FIRST_LOOK


def test_a_family_asked_for_is_compared_whole():
    chosen, _ = candidates(Recipe(), blobs(examples=20, shift=1.0), ["activation"], None)
    assert {c.recipe.activation for c in chosen} == {t.name for t in techniques("activation")}


def test_the_plan_says_how_runs_are_packed_and_what_they_will_take(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSMITH_CACHE", str(tmp_path))
    trainer = Trainings("mlp", blobs(examples=300, shift=3.0), Training(steps=500), 2, lambda *told: None)
    words = trainer.prepare(Recipe(), 1000)
    assert "in populations of up to" in words
    assert f"about {trainer.memory:,.0f} MB of memory in all" in words
    assert trainer.expected(1000, 3) > trainer.expected(500, 3) > 0
    assert 0 < trainer.seconds_evaluated < 16 * trainer.packing.seconds, "an example, against the steps of a batch each"
    assert list(tmp_path.iterdir()), "what was measured is remembered"


def test_packings_are_measured_on_copies_of_one_member(tmp_path, monkeypatch):
    """A factory takes its time, and may make another structure for each seed."""
    monkeypatch.setenv("TRAINSMITH_CACHE", str(tmp_path))
    widths = []

    def network(shape, outputs):
        widths.append(int(np.random.randint(2, 99)))
        return nn.Sequential(nn.Linear(shape[0], widths[-1]), nn.ReLU(), nn.Linear(widths[-1], outputs))

    trainer = Trainings(network, blobs(examples=300, shift=3.0), Training(steps=500), 2, lambda *told: None)
    trainer.prepare(Recipe(), 1000)
    assert trainer.packing.seconds > 0
    assert trainer.packing.members > 1
    assert len(set(widths)) == 1


@pytest.mark.parametrize(
    ("processes", "held", "said"),
    [(1, 800.0, 800), (3, 800.0, 3200), (3, 100.0, 4 * PROCESS_MEGABYTES), (1, None, 500)],
)
def test_the_memory_is_that_of_every_process(monkeypatch, processes, held, said):
    """Each holds what this one held while packings were measured, or what torch and tracing take at least."""
    monkeypatch.setattr("trainsmith.comparison.trainings.peak_megabytes", lambda: held)
    trainer = Trainings("mlp", blobs(examples=300, shift=3.0), Training(steps=5), processes, lambda *told: None)
    trainer.prepare(Recipe(), 1)
    assert trainer.memory == said
    assert trainer.expected(1, 1) > 0, "a study too short to measure packings for has an estimate too"


def test_what_this_process_held_is_what_the_system_says(monkeypatch):
    held = np.ones(2**24)
    assert peak_megabytes() > held.nbytes / 2**20
    monkeypatch.setattr(Path, "read_text", lambda path: "VmPeak:\t  900000 kB\nVmHWM:\t  204800 kB\nVmRSS:\t 100 kB\n")
    assert peak_megabytes() == 200
    monkeypatch.setattr(Path, "read_text", lambda path: "")
    assert held.nbytes / 2**20 < peak_megabytes() < 10**5, "where there is no such file"


def test_other_processes_are_started_only_where_they_pay(monkeypatch):
    monkeypatch.setattr("trainsmith.comparison.trainings.processes_available", lambda: 4)
    measured = Packing("together", 16, 2e-4)  # the machine may be busy while this is tested
    monkeypatch.setattr("trainsmith.comparison.trainings.choose", lambda *members, **how: measured)
    for runs, chosen in ((2, 1), (1_000_000, 4)):
        trainer = Trainings("mlp", blobs(examples=300, shift=3.0), Training(steps=500), None, lambda *told: None)
        trainer.prepare(Recipe(), runs)
        assert trainer.workers == chosen
    trainer = Trainings("mlp", blobs(examples=300, shift=3.0), Training(steps=500), 3, lambda *told: None)
    trainer.prepare(Recipe(), 2)
    assert trainer.workers == 3, "as many as were asked for"


@pytest.mark.parametrize(("steps", "runs"), [(500, 1000), (4, 10)])
def test_a_study_whose_network_cannot_be_batched_says_so_before_it_starts(steps, runs):
    def recurrent(shape, outputs):
        return Recurrent(shape[0], outputs)

    trainer = Trainings(recurrent, blobs(examples=300, shift=3.0), Training(steps=steps), 2, lambda *told: None)
    assert "by the loop" in trainer.prepare(Recipe(), runs)
    assert trainer.expected(runs, 3) > 0


class Recurrent(nn.Module):
    def __init__(self, features, outputs):
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, outputs)

    def forward(self, x):
        return self.head(self.lstm(x[..., None])[0][:, -1])
