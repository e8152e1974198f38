"""Why a run diverged: what is said of it is what the steps of the very run show."""

import dataclasses
import json
import math
import statistics

import pytest
from click.testing import CliRunner

import trainsmith
from make_runs import blobs
from make_store import NETWORK, table
from make_study import make_study
from trainsmith.catalogue import Recipe, Run, Trial, find
from trainsmith.cli import main
from trainsmith.comparison import explained as explaining
from trainsmith.comparison import read_study
from trainsmith.comparison.explained import explain, explained
from trainsmith.comparison.trainings import Trainings
from trainsmith.population import Result, Training
from trainsmith.report.html import report_html
from trainsmith.report.study_table import summary
from trainsmith.report.terminal import Printable
from trainsmith.store import Store

TRAINING = Training(steps=40, batch_size=16, checks=2)


def trainings(*runs, training=TRAINING):
    trainer = Trainings(NETWORK, table(), training, 1, lambda *_: None)
    return trainer, trainer("trying", runs)


def run(rate, seed=1000, optimizer="sgd"):
    return Run(Trial(Recipe(optimizer=optimizer), {f"{optimizer}.lr": rate}), seed)


def test_it_ends_where_the_run_did_and_names_the_cause_first():
    _, (result,) = trainings(run(1e4))
    assert result.status == "diverged"
    first = next(i for i, loss in enumerate(result.first_losses) if not math.isfinite(loss))
    why = explain(run(1e4), result, TRAINING, NETWORK, table())
    assert why.step == first
    assert why.findings[0].short == "learning rate too high"
    assert why.findings[0].step <= first
    assert f"lr 1e+04, seed 1000: the loss is {result.first_losses[first]} at step {first}" in why.words
    assert f"Step {why.findings[0].step}: {why.findings[0].words}" in why.words
    assert len({f.short for f in why.findings}) == len(why.findings) <= explaining.MOST_FINDINGS


def test_which_runs_are_explained_hangs_on_no_order_in_which_processes_end(monkeypatch):
    runs = [run(1e4), run(1e3, seed=1001), run(1e4, optimizer="momentum")]
    in_turn, _ = trainings(*runs)
    usual = Trainings._records
    monkeypatch.setattr(Trainings, "_records", lambda self, what, jobs: reversed(list(usual(self, what, jobs))))
    monkeypatch.setattr("trainsmith.comparison.trainings.MOST", 1)
    backwards, _ = trainings(*runs)
    assert [r for r, _, _ in backwards.diverged] == [r for r, _, _ in in_turn.diverged] == runs


def test_the_update_it_names_is_that_of_the_plain_loop():
    """One step of gradient descent on the run's own first batch, with torch alone."""
    from trainsmith.population import make_member

    _, (result,) = trainings(run(1e4))
    named = explain(run(1e4), result, TRAINING, NETWORK, table()).findings[0]
    member = make_member(run(1e4), NETWORK, table())
    x, y = member.batch(table(), 16)
    member.objective.train()(x, y).backward()
    matrices = [p for p in member.objective.network.parameters() if p.ndim > 1]
    ratios = [(1e4 * TRAINING.rate(1) * p.grad.norm() / p.detach().norm()).item() for p in matrices]
    assert named.step == 0
    assert named.value == pytest.approx(statistics.median_low(ratios), rel=1e-3)


def test_of_each_recipe_one_run_is_explained_fresh_ones_first_then_that_at_the_lowest_rate(monkeypatch):
    trainer, results = trainings(
        run(1e4, 0), run(1e3, 1), run(1e-2, 2), run(1e5), run(1e5, 1001), run(1e30, 1, "adam"), run(1e25, 0, "adam")
    )
    assert [r.status for r in results].count("diverged") == 6
    found = explained(trainer)
    assert [(e.recipe.optimizer, e.seed) for e in found] == [("sgd", 1000), ("adam", 0)]
    monkeypatch.setattr(explaining, "MOST", 1)
    assert len(explained(trainer)) == 1
    monkeypatch.setattr(explaining, "FEWEST_STEPS", 19)
    assert explained(trainer) == (), "a run is looked at until the check that found its end: 20 steps"


def test_who_trains_well_is_not_explained():
    trainer, _ = trainings(run(1e-2))
    assert explained(trainer) == ()


@pytest.mark.parametrize("technique", ["sam", "fgsm-training", "pgd-training", "trades", "vat", "r-drop", "mixup"])
def test_techniques_with_passes_and_gradients_of_their_own_are_explained(technique):
    """What happened is told, not that the network resists: a rate of 1e30 throws the weights away at once."""
    recipe = Recipe(optimizer="sgd").having(find(technique))
    trainer, (result,) = trainings(Run(Trial(recipe, {"sgd.lr": 1e30}), 1000))
    assert result.status == "diverged"
    (why,) = explained(trainer)
    assert "could not be looked at" not in why.words
    assert ": one step moved it by" in why.words


def test_a_network_that_resists_does_not_stop_the_study(monkeypatch):
    trainer, _ = trainings(run(1e4))
    monkeypatch.setattr(explaining, "Watch", lambda *_, **__: 1 / 0)
    (why,) = explained(trainer)
    assert "could not be looked at: division by zero" in why.words
    assert why.findings == ()


def test_a_validation_loss_alone_that_is_not_finite_is_said():
    why = explain(run(1e-3), Result("diverged", 3), TRAINING, NETWORK, blobs())
    assert "but the validation loss is not finite" in why.words
    assert "Nothing else stands out" in why.words
    assert why.step == 2


def test_the_study_its_page_and_the_run_say_why(tmp_path, monkeypatch):
    hot = {"sgd.lr": 1e4}
    monkeypatch.setattr("trainsmith.comparison.plan.Candidate.trials", lambda self, count: hopeless(self, count, hot))
    out = tmp_path / "study"
    asked = {"techniques": ["sgd"], "trials": 2, "seeds": 2, "steps": 20, "processes": 1}
    trainsmith.compare(NETWORK, table(), **asked, folder=out)
    study = read_study(json.dumps(Store(out).about("result")))
    (why,) = study.explained
    assert why.recipe.optimizer == "sgd"
    assert why.findings[0].short == "learning rate too high"
    assert "times their norm" in why.words
    assert Store(out).about("result")["explained"][0]["words"] == why.words
    assert why.words.partition(": the")[0] in report_html(study)
    assert "diverged: he" in " ".join(str(Printable(summary(study))).split())
    tuned = dataclasses.replace(study, explained=(dataclasses.replace(why, seed=0),))
    assert "diverged: he" not in " ".join(str(Printable(summary(tuned))).split())
    runs = Store(out).runs()
    number = next(i for i, r in runs.iterrows() if (r.seed, r.status) == (why.seed, "diverged"))
    shown = " ".join(CliRunner().invoke(main, ["show", str(out), str(number)], catch_exceptions=False).output.split())
    assert why.words in shown
    healthy = next(i for i, r in runs.iterrows() if r.status == "finished")
    assert "its norm" not in CliRunner().invoke(main, ["show", str(out), str(healthy)]).output


def hopeless(candidate, count, values):
    return [Trial(candidate.recipe, values if candidate.recipe.optimizer == "sgd" else {})] * count


def test_studies_without_any_say_nothing():
    study = make_study(most=2)
    assert study.explained == ()
    assert "<h3>Why</h3>" not in report_html(study)
    assert "diverged:" not in str(Printable(summary(study)))
