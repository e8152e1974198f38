"""Each task's loss, score and constant against scikit-learn and torch, and trainings that reach a score."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional

from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import from_arrays, with_class_weights
from trainsmith.errors import InvalidInput
from trainsmith.population import COSTS, Job, Training, judged_by, make_member, rules_of, work
from trainsmith.population.members.task import RULES, Regression, balanced_weights, loss_of

RNG = np.random.default_rng(3)
N = 160
X = RNG.normal(size=(N, 5)).astype(np.float32)
RARE = (X[:, 0] > 1).astype(int) + (X[:, 1] > 1.2)
LABELS = (X[:, :4] + 0.3 * RNG.normal(size=(N, 4)) > [0, 0.5, 1, -0.5]).astype(int)
NUMBERS = np.stack([X[:, 0] + X[:, 1], 1000 * X[:, 2] + 5000], 1)


def logits(*shape):
    return torch.from_numpy(RNG.normal(size=shape).astype(np.float32))


def test_micro_f1_and_binary_cross_entropy():
    outputs, targets = logits(50, 4), torch.from_numpy(LABELS[:50].astype(np.float32))
    rules = RULES["multilabel"]
    loss, score = rules.score(outputs, targets)
    assert score == pytest.approx(metrics.f1_score(targets.numpy(), outputs.numpy() > 0, average="micro"))
    p = 1 / (1 + np.exp(-outputs.double().numpy()))
    expected = -np.mean(LABELS[:50] * np.log(p) + (1 - LABELS[:50]) * np.log(1 - p))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert float(rules.loss(targets)(outputs, targets)) == pytest.approx(expected, rel=1e-5)
    assert float(rules.loss(targets)(torch.full((2, 3), 300.0), torch.zeros(2, 3))) == pytest.approx(300)
    assert rules.score(torch.full((3, 2), -1.0), torch.zeros(3, 2))[1] == 1, "nothing to find and nothing claimed"


@pytest.mark.parametrize("seed", range(5))
def test_the_best_constant_labels_by_trying_all(seed):
    y = (np.random.default_rng(seed).random((40, 4)) < np.random.default_rng(seed + 9).random(4)).astype(int)
    choices = [[int(c) for c in f"{i:04b}"] for i in range(1, 16)]
    best = max(metrics.f1_score(y, np.tile(c, (40, 1)), average="micro") for c in choices)
    assert RULES["multilabel"].constant(torch.from_numpy(y.astype(np.float32))) == pytest.approx(best)


def test_balanced_accuracy_and_weighted_cross_entropy():
    outputs, targets = logits(N, 3), torch.from_numpy(RARE)
    loss, score = RULES["balanced"].score(outputs, targets)
    assert score == pytest.approx(metrics.balanced_accuracy_score(RARE, outputs.argmax(1).numpy()))
    weight = compute_class_weight("balanced", classes=np.arange(3), y=RARE)
    np.testing.assert_allclose(balanced_weights(targets).numpy(), weight, rtol=1e-6)
    assert loss == pytest.approx(
        metrics.log_loss(RARE, outputs.softmax(1).numpy(), sample_weight=weight[RARE]), rel=1e-5
    )
    module = RULES["balanced"].loss(targets)
    batch = slice(0, 30)
    expected = functional.cross_entropy(outputs[batch], targets[batch], torch.from_numpy(weight).float())
    assert float(module(outputs[batch], targets[batch])) == pytest.approx(float(expected), rel=1e-6)
    constant = metrics.balanced_accuracy_score(RARE, np.zeros(N))
    assert RULES["balanced"].constant(targets) == pytest.approx(constant)


def test_balanced_accuracy_may_judge_what_is_trained_as_usual():
    data = judged_by(from_arrays(X, RARE), "balanced-accuracy")
    outputs, targets = logits(N, 3), torch.from_numpy(RARE)
    loss, score = rules_of(data).score(outputs, targets)
    assert score == pytest.approx(metrics.balanced_accuracy_score(RARE, outputs.argmax(1).numpy()))
    assert loss == pytest.approx(float(functional.cross_entropy(outputs, targets)))
    assert rules_of(data).constant(targets) == pytest.approx(1 / 3)
    assert float(loss_of(data, targets)(outputs, targets)) == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("given", ["balanced", [1.0, 2.5, 0.25]])
def test_class_weights_are_those_of_torchs_cross_entropy_by_the_runs_own_training_examples(given):
    data = with_class_weights(from_arrays(X, RARE), given)
    member = member_of(data)
    y = data.y[member.train]
    weight = compute_class_weight("balanced", classes=np.arange(3), y=y.numpy()) if given == "balanced" else given
    outputs = logits(30, 3)
    expected = nn.CrossEntropyLoss(torch.tensor(weight).float())(outputs, y[:30])
    assert float(member.objective.loss(outputs, y[:30])) == pytest.approx(float(expected), rel=1e-6)
    assert member.rules.score(outputs, y[:30])[0] == pytest.approx(float(functional.cross_entropy(outputs, y[:30])))


def test_a_loss_of_its_own_and_class_weights_are_not_silently_one_of_them():
    data = with_class_weights(from_arrays(X, RARE), "balanced")
    with pytest.raises(InvalidInput, match="class weights and a loss that is a technique"):
        make_member(Run(Trial(Recipe(regularization=("label-smoothing",))), 3), "mlp", data)


def test_members_with_class_weights_are_trained_together_as_alone():
    data = with_class_weights(from_arrays(X, RARE), "balanced")
    runs = tuple(Run(Trial(Recipe()), seed) for seed in (3, 4, 5))
    record = work(Job("mlp", Training(20, 16), runs, False, (0, 2)), data)
    assert not record.loops
    assert record.buckets == 1, "weights are numbers, not structure"
    assert max(record.deviations) < 1e-5


def test_a_class_that_is_missing_where_it_is_scored_does_not_count():
    outputs, targets = logits(20, 3), torch.tensor([0, 2] * 10)
    loss, score = RULES["balanced"].score(outputs, targets)
    found = (outputs.argmax(1) == targets).double()
    assert score == pytest.approx(float((found[::2].mean() + found[1::2].mean()) / 2))
    assert loss == pytest.approx(float(functional.cross_entropy(outputs, targets)), rel=1e-5)


@pytest.mark.parametrize("shape", [(30,), (30, 3)])
def test_r_squared_of_one_and_of_several_numbers(shape):
    targets = logits(*shape) * torch.tensor([1.0, 3.0, 0.5])[: shape[-1] if len(shape) > 1 else 1]
    outputs = (targets + 0.3 * logits(*shape)).reshape(30, -1)
    loss, score = RULES["regression"].score(outputs, targets)
    expected = metrics.r2_score(targets, outputs.reshape(shape), multioutput="variance_weighted")
    assert score == pytest.approx(expected, rel=1e-5)
    assert loss == pytest.approx(metrics.mean_squared_error(targets, outputs.reshape(shape)), rel=1e-5)
    assert float(RULES["regression"].loss(targets)(outputs, targets)) == pytest.approx(loss, rel=1e-5)
    mean = targets.mean(0).expand(shape)
    assert RULES["regression"].constant(targets) == 0
    assert RULES["regression"].score(mean, targets)[1] == pytest.approx(0, abs=1e-6)


def member_of(data, seed=3):
    return make_member(Run(Trial(Recipe()), seed), "mlp", data)


def test_each_of_several_numbers_is_standardized():
    data = from_arrays(X, NUMBERS)
    member = member_of(data)
    targets = member.targets(data.y[member.train])
    np.testing.assert_allclose(targets.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(targets.std(0, correction=0), 1, rtol=1e-5)


def test_pixels_are_standardized_together_and_columns_apart():
    pixels = RNG.random((40, 4, 4)).astype(np.float32) * np.linspace(0, 1, 4, dtype=np.float32)
    data = from_arrays(pixels, np.arange(40) % 2, task="autoencoding")
    member = member_of(data)
    y = data.y[member.train]
    assert torch.equal(y, data.x[member.train].flatten(1))
    torch.testing.assert_close(member.targets(y), (y - y.mean()) / y.std(correction=0))
    table = from_arrays(X * [1, 10, 100, 0, 1], np.arange(N) % 2, task="autoencoding")
    member = member_of(table)
    spread = member.targets(table.y[member.train]).std(0, correction=0)
    np.testing.assert_allclose(spread, [1, 1, 1, 0, 1], rtol=1e-4, atol=1e-6)


DATA = {
    "balanced": (lambda: from_arrays(X, RARE, task="balanced"), 0.6),
    "multilabel": (lambda: from_arrays(X, LABELS), 0.75),
    "regression": (lambda: from_arrays(X, NUMBERS), 0.8),
    "autoencoding": (lambda: from_arrays(X, np.arange(N) % 2, task="autoencoding"), 0.6),
}


@pytest.mark.parametrize("task", DATA)
def test_a_population_learns_each_task_as_its_members_would_alone(task):
    make, reached = DATA[task]
    data = make()
    assert data.task == task
    runs = (Run(Trial(Recipe()), 3), Run(Trial(Recipe(), {"adam.lr": 3e-3}), 4))
    record = work(Job("mlp", Training(steps=150, batch_size=16, checks=2), runs, keep_states=True, replay=(0, 1)), data)
    assert not record.loops
    assert record.buckets == 1
    assert all(d <= t for d, t in zip(record.deviations, record.tolerances, strict=True))
    assert max(r.score for r in record.results) > reached
    assert max(r.score for r in record.results) > RULES[task].constant(data.y) + 0.15
    for run, result in zip(runs, record.results, strict=True):
        member = make_member(run, "mlp", data)
        network = member.objective.network
        network.load_state_dict({k: torch.from_numpy(v) for k, v in result.state.items()})
        with torch.no_grad():
            outputs = network.eval()(data.x[member.validation])
        assert member.rules.score(outputs, member.targets(data.y[member.validation]))[1] == pytest.approx(
            result.score, abs=0.02
        )


def test_bits_per_character_and_the_entropy_of_the_frequencies():
    outputs, targets = logits(6, 4, 3), torch.from_numpy(RNG.integers(0, 3, (6, 4)))
    targets[0] = 0
    rules = RULES["language"]
    loss, score = rules.score(outputs, targets)
    p = outputs.double().softmax(-1).numpy().reshape(-1, 3)
    expected = metrics.log_loss(targets.flatten().numpy(), p, labels=[0, 1, 2])
    assert loss == pytest.approx(expected, rel=1e-5)
    assert score == pytest.approx(-expected / np.log(2), rel=1e-5)
    assert float(rules.loss(targets)(outputs, targets)) == pytest.approx(expected, rel=1e-5)
    share = np.bincount(targets.flatten()) / targets.numel()
    assert rules.constant(targets) == pytest.approx(-stats.entropy(share, base=2))


def test_log_loss_and_the_entropy_of_the_classes():
    outputs, targets = logits(N, 3), torch.from_numpy(RARE)
    data = judged_by(from_arrays(X, RARE), "Log-Loss")
    rules = rules_of(data)
    loss, score = rules.score(outputs, targets)
    expected = metrics.log_loss(RARE, outputs.double().softmax(1).numpy())
    assert (rules.metric, loss, score) == (
        "log loss",
        pytest.approx(expected, rel=1e-5),
        pytest.approx(-expected, rel=1e-5),
    )
    assert rules.constant(targets) == pytest.approx(-stats.entropy(np.bincount(RARE) / N))
    assert rules.metric in COSTS


def test_calibration_error_by_counting_bins():
    outputs, targets = 2 * logits(N, 3), torch.from_numpy(RARE)
    p = outputs.double().softmax(1).numpy()
    confidence, right = p.max(1), p.argmax(1) == RARE
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    rules = rules_of(judged_by(from_arrays(X, RARE), "calibration error"))
    assert rules.score(outputs, targets)[1] == pytest.approx(-expected)
    sure = torch.nn.functional.one_hot(targets, 3) * 200.0
    assert rules.score(sure, targets)[1] == pytest.approx(0), "always right and sure of it"
    assert rules.score(sure.roll(1, 1), targets)[1] == pytest.approx(-1), "always wrong and sure of it"


def test_a_metric_that_a_task_has_not_is_refused():
    with pytest.raises(InvalidInput, match="unknown metric of a classification 'logloss': did you mean log-loss"):
        judged_by(from_arrays(X, RARE), "logloss")
    with pytest.raises(InvalidInput, match="unknown metric of a regression 'accuracy': choose one of: R²"):
        judged_by(from_arrays(X, NUMBERS), "accuracy")
    assert judged_by(from_arrays(X, RARE), "accuracy").metric == "accuracy"


def test_r_squared_of_targets_that_do_not_deviate_is_against_the_training_parts_deviations():
    same = torch.full((5,), 0.5)
    loss, score = Regression().score(torch.full((5, 1), 0.7), same)
    assert (loss, score) == pytest.approx((0.04, 0.96))
    assert Regression().score(same[:, None], same) == (0.0, 1.0)
    assert Regression().score(torch.zeros(5, 2), torch.full((5, 2), 0.5))[1] == pytest.approx(0.75)
