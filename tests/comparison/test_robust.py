"""Accuracy under attack beside the clean one, against networks whose weakness is known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from trainsmith import compare
from trainsmith.catalogue import Recipe, Run, Trial, find
from trainsmith.comparison import read_study
from trainsmith.comparison.plan import candidates
from trainsmith.comparison.robust import robustness, under_attack
from trainsmith.data import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.population import Alone, Chunk, Result, Training, judged_by, make_member, train, trained_member
from trainsmith.population.members.attacked import attack
from trainsmith.report import report_html, words

DRAW = np.random.default_rng(0)
Y = np.arange(200) % 2
X = np.stack([DRAW.uniform(0, 1, 200), DRAW.uniform(0, 100, 200)], 1).astype(np.float32)
X[:2] = [[0, 0], [1, 100]]
X[:, 0] = np.where(Y == 1, 0.5 + X[:, 0] / 2, 0.5 - X[:, 0] / 2)
DATA = from_arrays(X, Y, "halves")


def linear(shape, outputs):
    return nn.Linear(2, 2)


def result(weight, bias):
    member = make_member(Run(Trial(Recipe()), 3), linear, DATA)
    state = {n: t.numpy().copy() for n, t in member.objective.network.state_dict().items()}
    names = list(state)
    state[names[0]], state[names[1]] = np.array(weight, np.float32), np.array(bias, np.float32)
    return Result(state=state), member, names


def test_an_attack_takes_exactly_the_examples_that_lie_within_eps_of_the_border():
    """A network that sees the first column alone: its worst move is eps of that column's range."""
    recipe = Recipe(normalization="none")
    run = Run(Trial(recipe), 3)
    found, member, _ = result([[-8.0, 0.0], [8.0, 0.0]], [4.0, -4.0])
    x, y = DATA.x[member.validation], DATA.y[member.validation]
    low, high = DATA.x[member.train, 0].min(), DATA.x[member.train, 0].max()
    eps = 0.2
    signed = torch.where(y == 1, x[:, 0] - 0.5, 0.5 - x[:, 0])
    clean, attacked = under_attack(run, found, linear, DATA, eps)
    assert clean == pytest.approx(float((signed > 0).double().mean()))
    assert attacked == pytest.approx(float((signed > eps * (high - low)).double().mean()), abs=1e-6)
    assert 0.2 < attacked < 0.8
    assert under_attack(run, found, linear, DATA, 0.0) == (clean, clean)
    assert under_attack(run, found, linear, DATA, eps) == (clean, attacked), "drawn by the seed"


@pytest.mark.parametrize("metric", ["accuracy", "log-loss", "calibration-error"])
def test_a_run_that_diverged_counts_as_the_most_common_class_whatever_is_judged(metric):
    data = judged_by(DATA, metric)
    chosen = candidates(Recipe(), data, None, [find("fgsm-training")])[0]
    runs = [[Run(Trial(c.recipe), 1000 + i) for i in range(2)] for c in chosen]
    trainer = SimpleNamespace(dataset=data, network=linear)
    found = robustness(trainer, chosen, runs, [[Result(status="diverged")] * 2] * len(chosen))
    share = max(float((data.y == c).double().mean()) for c in (0, 1))
    assert [(r.clean.mean, r.attacked.mean) for r in found] == [(share, share)] * 2


def test_a_study_with_an_adversary_says_it_of_every_row_and_others_do_not():
    options = {"trials": 1, "seeds": 3, "steps": 4, "processes": 1, "baseline": {"optimizer": "sgd"}}
    study = compare(linear, DATA, techniques=["fgsm-training", "l2"], **options).study
    assert [r.technique for r in study.robust] == ["baseline", "fgsm-training", "l2"]
    for row in study.robust:
        assert row.attacked.mean < row.clean.mean
        assert row.eps == find("pgd-training").defaults["eps"]
    assert study.robust[0].difference is None
    gap = study.robust[1].attacked.mean - study.robust[0].attacked.mean
    assert study.robust[1].difference.mean == pytest.approx(gap)
    assert read_study(json.dumps(study.to_dict())).robust == study.robust
    page = report_html(study)
    assert "Accuracy under attack" in page
    assert "at most 0.05 of its range" in page
    assert compare(linear, DATA, techniques=["l2"], **options).study.robust == ()


def test_a_euclidean_attack_moves_an_example_by_eps_as_the_root_mean_square():
    """Along the border's normal, in units of the columns' ranges: by a length of eps sqrt(2)."""
    run = Run(Trial(Recipe(normalization="none")), 3)
    found, member, _ = result([[-8.0, 0.0], [8.0, 0.0]], [4.0, -4.0])
    x, y = DATA.x[member.validation], DATA.y[member.validation]
    reach = 0.2 * 2**0.5 * (DATA.x[member.train, 0].max() - DATA.x[member.train, 0].min())
    signed = torch.where(y == 1, x[:, 0] - 0.5, 0.5 - x[:, 0])
    _, attacked = under_attack(run, found, linear, DATA, 0.2, "2")
    assert attacked == pytest.approx(float((signed > reach).double().mean()), abs=1e-6)
    assert 0.1 < attacked < under_attack(run, found, linear, DATA, 0.2)[1]


def test_a_study_judged_by_robust_accuracy_scores_under_the_attack_that_it_states():
    options = {"trials": 1, "seeds": 3, "steps": 4, "processes": 1, "baseline": {"optimizer": "sgd"}}
    study = compare(linear, DATA, techniques=["fgsm-training-l2"], metric="robust-accuracy", **options).study
    assert study.metric == "robust accuracy"
    names = ("baseline", "fgsm-training-l2")
    assert [(r.technique, r.norm) for r in study.robust] == [(n, norm) for norm in ("inf", "2") for n in names]
    held = {r.technique: r for r in study.robust if r.norm == "inf"}
    for row in study.rows:
        of = held["baseline" if row.is_baseline else row.technique]
        assert row.score.mean == pytest.approx(of.attacked.mean)
        assert of.attacked.mean < of.clean.mean
    best, (x, y) = study.best(), DATA.test.open()
    scores = []
    for seed, state in study.states.items():
        member = trained_member(Run(best.trial, seed), linear, DATA, state)
        scores.append(attack(member.objective.network, x, y, DATA.x[member.train], seed).accuracy)
    assert study.test.score.mean == pytest.approx(np.mean(scores))
    assert study.test.examples == len(y)
    assert read_study(json.dumps(study.to_dict())).robust == study.robust
    page, said = report_html(study), "right both clean and under attack: projected gradient descent, 20 steps, every"
    assert said in words.test_line(study)
    assert said in page
    assert "about accuracy under the first attack" in page
    assert "as the root mean square over an example" in page


def test_a_check_scores_the_weights_of_each_member_under_attack():
    """Together and alone alike, and as afterwards with the weights that are kept."""
    data = judged_by(DATA, "robust accuracy")
    runs = [Run(Trial(Recipe(), {"adam.lr": lr}), seed) for lr, seed in ((1e-2, 3), (3e-2, 4))]
    training = Training(steps=40, batch_size=16, checks=2)
    members = [make_member(run, linear, data) for run in runs]
    together = train(Chunk(members, data.x, data.y), data.x, data.y, training, keep_states=True)
    for run, found in zip(runs, together, strict=True):
        (alone,) = train(Alone(make_member(run, linear, data)), data.x, data.y, training)
        assert [score for *_, score in alone.curve] == pytest.approx([score for *_, score in found.curve])
        clean, attacked = under_attack(run, found, linear, DATA, find("pgd-training").defaults["eps"])
        assert found.score == attacked <= clean


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("regression", "and numbers has no classes here: task regression is judged by R². Leave it out."),
        ("multilabel", "and numbers has no classes here: task multilabel is judged by micro F1. Leave it out."),
        ("balanced", "; task balanced is judged by balanced accuracy alone. Choose --task classification, or leave it"),
    ],
)
def test_robust_accuracy_is_refused_where_it_is_no_score(task, said):
    y = {"multilabel": np.stack([Y, 1 - Y], 1), "regression": X[:, 0]}.get(task, Y)
    with pytest.raises(InvalidInput, match=f"robust accuracy is the share .* stays right under attack,? ?{said}"):
        judged_by(from_arrays(X, y, "numbers", task), "robust-accuracy")
