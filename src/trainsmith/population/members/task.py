"""What a task asks of a network: its loss, its score and that score's name, and what a constant scores."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.data import Dataset, Task
from trainsmith.errors import InvalidInput, unknown_name
from trainsmith.population.members.objective import (
    BalancedCrossEntropy,
    BinaryCrossEntropy,
    CrossEntropy,
    NextCharacter,
    SquaredError,
)

Scored = tuple[float, float]
"""(loss, score); of scores higher is better. That of a metric in COSTS is its negative."""


@dataclass(frozen=True)
class Classification:
    """One class an example, outputs (n, classes): cross-entropy and accuracy."""

    metric: str = "accuracy"

    def loss(self, y: Tensor) -> nn.Module:
        """The loss of a network that is trained on examples with targets y."""
        return CrossEntropy()

    def score(self, outputs: Tensor, targets: Tensor) -> Scored:
        """(loss, score) of outputs on all examples at once."""
        return float(functional.cross_entropy(outputs, targets)), float(_right(outputs, targets).mean())

    def constant(self, y: Tensor) -> float:
        """The best score of a prediction that does not look at the example."""
        return float(torch.bincount(y).max() / len(y))


@dataclass(frozen=True)
class ByLogLoss(Classification):
    """Classification judged by the cross-entropy in nats an example, the score its negative."""

    metric: str = "log loss"

    def score(self, outputs: Tensor, targets: Tensor) -> Scored:
        loss = float(functional.cross_entropy(outputs, targets))
        return loss, -loss

    def constant(self, y: Tensor) -> float:
        """The entropy of the classes' frequencies, negative."""
        return _negative_entropy(y)


@dataclass(frozen=True)
class ByCalibration(Classification):
    """Classification judged by how far its confidence is from its accuracy, the score its negative.

    The expected calibration error with 15 bins of equal width (Guo, Pleiss, Sun & Weinberger 2017, On calibration of
    modern neural networks, equation 3): the mean over all examples of |share right - mean confidence| of the example's
    bin, the confidence being the largest probability. A network that knows nothing and says so has 0: read it beside
    the accuracy.
    """

    metric: str = "calibration error"
    bins: int = 15

    def gaps(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Of each example its bin, (n,) from 0 on, and by how much its being right, 0 or 1, is above its confidence."""
        confidence = outputs.double().softmax(-1).amax(-1)
        bin = (confidence * self.bins).ceil().long().clamp(1, self.bins) - 1
        return bin, _right(outputs, targets) - confidence

    def score(self, outputs: Tensor, targets: Tensor) -> Scored:
        bin, each = self.gaps(outputs, targets)
        gap = torch.zeros(self.bins, dtype=torch.float64)
        gap.index_add_(0, bin, each)
        return float(functional.cross_entropy(outputs, targets)), -float(gap.abs().sum() / len(targets))

    def constant(self, y: Tensor) -> float:
        """A run that diverged has the largest error there is."""
        return -1.0


@dataclass(frozen=True)
class Balanced:
    """One class an example, each class counting the same however rare: weighted cross-entropy, balanced accuracy.

    Balanced accuracy is the mean over the classes of the share of a class's examples that is found (Brodersen et al.
    2010, The balanced accuracy and its posterior distribution). The loss weighs an example of class c by n / (k n_c),
    with n_c of the n training examples in class c of k, and divides by the sum of the weights.
    """

    metric: str = "balanced accuracy"

    def loss(self, y: Tensor) -> nn.Module:
        return BalancedCrossEntropy(balanced_weights(y))

    def score(self, outputs: Tensor, targets: Tensor) -> Scored:
        weight = balanced_weights(targets, outputs.shape[-1]).to(outputs)
        return float(functional.cross_entropy(outputs, targets, weight)), _balanced_accuracy(outputs, targets)

    def constant(self, y: Tensor) -> float:
        return 1 / len(y.unique())


@dataclass(frozen=True)
class Regression:
    """One number an example or several, outputs of as many: mean squared error and R².

    R² of several is 1 - (sum of all squared errors) / (sum of all squared deviations from each one's mean), in the
    units the network is trained in: each number standardized, so that all count; pixels of images together. Where the
    targets that are scored do not deviate at all, the deviations are those of the training part, 1 in these units.
    """

    metric: str = "R²"

    def loss(self, y: Tensor) -> nn.Module:
        return SquaredError()

    def score(self, outputs: Tensor, targets: Tensor) -> Scored:
        errors = (outputs.reshape(targets.shape) - targets).double().square()
        spread = targets.double().var(0, correction=0).sum() or targets[0].numel()
        return float(errors.mean()), float(1 - errors.mean(0).sum() / spread)

    def constant(self, y: Tensor) -> float:
        return 0.0


@dataclass(frozen=True)
class MultiLabel:
    """Any number of labels an example, targets (n, labels) of 0 and 1, a logit each: binary cross-entropy, micro F1.

    F1 = 2 TP / (2 TP + FP + FN), counted over all examples and labels; a label is predicted where its logit is > 0
    """

    metric: str = "micro F1"

    def loss(self, y: Tensor) -> nn.Module:
        return BinaryCrossEntropy()

    def score(self, outputs: Tensor, targets: Tensor) -> Scored:
        loss = functional.binary_cross_entropy_with_logits(outputs, targets)
        predicted, true = outputs > 0, targets > 0.5
        total = int(predicted.sum() + true.sum())
        return float(loss), 2 * int((predicted & true).sum()) / total if total else 1.0

    def constant(self, y: Tensor) -> float:
        """Always the same labels: the m most common ones, for the best m."""
        share = y.double().mean(0).sort(descending=True).values
        sizes = torch.arange(1, len(share) + 1)
        return float((2 * share.cumsum(0) / (sizes + share.sum())).max())


@dataclass(frozen=True)
class Language:
    """The next character at every position, targets (n, positions), outputs (n, positions, characters).

    Cross-entropy, and as the score the negative of bits per character: the mean over all positions of -log2 of what
    the network gave the character that came.
    """

    metric: str = "bits per character"

    def loss(self, y: Tensor) -> nn.Module:
        return NextCharacter()

    def score(self, outputs: Tensor, targets: Tensor) -> Scored:
        loss = float(functional.cross_entropy(outputs.flatten(0, -2), targets.flatten()))
        return loss, -loss / math.log(2)

    def constant(self, y: Tensor) -> float:
        """The entropy of the characters' frequencies, negative."""
        return _negative_entropy(y.flatten()) / math.log(2)


@dataclass(frozen=True)
class ByBalancedAccuracy(Classification):
    """Classification judged by balanced accuracy, as Balanced is; the loss is the usual one."""

    metric: str = "balanced accuracy"

    def score(self, outputs: Tensor, targets: Tensor) -> Scored:
        return float(functional.cross_entropy(outputs, targets)), _balanced_accuracy(outputs, targets)

    def constant(self, y: Tensor) -> float:
        return 1 / len(y.unique())


@dataclass(frozen=True)
class ByRobustAccuracy(Classification):
    """Classification judged by the share of examples that are right both clean and under attack (see attacked.py).

    The attack needs the network: `score` is of clean examples, as accuracy is.
    """

    metric: str = "robust accuracy"


Rules = Classification | Balanced | Regression | MultiLabel | Language
RULES: dict[Task, Rules] = {
    "classification": Classification(),
    "balanced": Balanced(),
    "regression": Regression(),
    "multilabel": MultiLabel(),
    "autoencoding": Regression(),
    "language": Language(),
}
ALTERNATIVES: dict[Task, tuple[Rules, ...]] = {
    "classification": (ByLogLoss(), ByCalibration(), ByBalancedAccuracy(), ByRobustAccuracy())
}
"""Other metrics that a task can be judged by."""
COSTS = frozenset(rules.metric for rules in (Language(), ByLogLoss(), ByCalibration()))
"""Metrics of which less is better."""


def rules_of(dataset: Dataset) -> Rules:
    """The rules of the data set's task and metric."""
    known = {rules.metric: rules for rules in (RULES[dataset.task], *ALTERNATIVES.get(dataset.task, ()))}
    return known[dataset.metric] if dataset.metric else RULES[dataset.task]


def loss_of(dataset: Dataset, y: Tensor) -> nn.Module:
    """The loss of a network that is trained on examples of the data set with targets y, its classes weighted."""
    if not dataset.class_weights:
        return rules_of(dataset).loss(y)
    if dataset.class_weights == "balanced":
        return BalancedCrossEntropy(balanced_weights(y, len(dataset.classes)))
    return BalancedCrossEntropy(torch.tensor(dataset.class_weights, dtype=torch.float32))


def judged_by(dataset: Dataset, metric: str) -> Dataset:
    """The same data, judged by another metric of its task. Raises InvalidInput for one that the task has not."""
    known = [RULES[dataset.task].metric, *(rules.metric for rules in ALTERNATIVES.get(dataset.task, ()))]
    wanted = " ".join(metric.replace("-", " ").replace("_", " ").split()).lower()
    found = next((name for name in known if name.lower() == wanted), None)
    if found is None and wanted == ByRobustAccuracy.metric:
        raise InvalidInput(_not_attacked(dataset))
    if found is None:
        raise unknown_name(f"metric of a {dataset.task}", metric, [name.replace(" ", "-") for name in known])
    return replace(dataset, metric=found)


def _not_attacked(dataset: Dataset) -> str:
    """Why data of another task than classification are not judged by robust accuracy, and what to do."""
    usual = RULES[dataset.task].metric
    said = "robust accuracy is the share of examples whose class stays right under attack"
    if dataset.classifies:
        return f"{said}; task {dataset.task} is judged by {usual} alone. Choose --task classification, or leave it out."
    return f"{said}, and {dataset.name} has no classes here: task {dataset.task} is judged by {usual}. Leave it out."


def balanced_weights(y: Tensor, classes: int | None = None) -> Tensor:
    """n / (k n_c) for each class c of the k in y (n,); 0 for a class that y does not hold. (classes,) float32."""
    counts = torch.bincount(y, minlength=classes or 0).double()
    present = counts > 0
    return torch.where(present, len(y) / (present.sum() * counts.clamp(min=1)), 0).float()


def _negative_entropy(y: Tensor) -> float:
    """Of the classes' frequencies in y (n,), in nats."""
    share = torch.bincount(y).double() / len(y)
    share = share[share > 0]
    return float((share * share.log()).sum())


def _balanced_accuracy(outputs: Tensor, targets: Tensor) -> float:
    found = _right(outputs, targets)
    return float(torch.stack([found[targets == c].mean() for c in targets.unique()]).mean())


def _right(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(-1) == targets).double()
