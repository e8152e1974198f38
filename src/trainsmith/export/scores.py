"""Loss and score of each task as source."""

from trainsmith.data import Dataset, Task
from trainsmith.population import COSTS, Member
from trainsmith.population.members.task import ByCalibration, ByRobustAccuracy, Classification

CROSS_ENTROPY = "return functional.cross_entropy(outputs, y)"
NEXT = "return functional.cross_entropy(outputs.flatten(0, -2), y.flatten())"
SQUARED = "return functional.mse_loss(outputs.{shaped}, y)"
BINARY = "return functional.binary_cross_entropy_with_logits(outputs, y)"
WEIGHTED = "return functional.cross_entropy(outputs, y, torch.tensor({weights}))"

ACCURACY = """\
loss = functional.cross_entropy(outputs, y)
return loss.item(), (outputs.argmax(-1) == y).double().mean().item()"""
BALANCED = """\
counts = torch.bincount(y, minlength=outputs.shape[-1]).double()
weight = torch.where(counts > 0, len(y) / ((counts > 0).sum() * counts.clamp(min=1)), 0)
loss = functional.cross_entropy(outputs, y, weight.to(outputs))
right = (outputs.argmax(-1) == y).double()
return loss.item(), torch.stack([right[y == c].mean() for c in y.unique()]).mean().item()"""
R2 = """\
errors = (outputs.reshape(y.shape) - y).double().square()
spread = y.double().var(0, correction=0).sum()
return errors.mean().item(), (1 - errors.mean(0).sum() / spread).item()"""
MICRO_F1 = """\
loss = functional.binary_cross_entropy_with_logits(outputs, y)
predicted, true = outputs > 0, y > 0.5
both, total = (predicted & true).sum().item(), (predicted.sum() + true.sum()).item()
return loss.item(), 2 * both / total if total else 1.0"""
BITS = """\
loss = functional.cross_entropy(outputs.flatten(0, -2), y.flatten())
return loss.item(), -loss.item() / math.log(2)"""
LOG_LOSS = """\
loss = functional.cross_entropy(outputs, y)
return loss.item(), -loss.item()"""
CALIBRATION = """\
confidence = outputs.double().softmax(-1).amax(-1)
bins = (confidence * {bins}).ceil().long().clamp(1, {bins}) - 1
right = (outputs.argmax(-1) == y).double()
gaps = torch.zeros({bins}, dtype=torch.float64).index_add_(0, bins, right - confidence)
return functional.cross_entropy(outputs, y).item(), -gaps.abs().sum().item() / len(y)"""
BALANCED_ACCURACY = """\
loss = functional.cross_entropy(outputs, y)
right = (outputs.argmax(-1) == y).double()
return loss.item(), torch.stack([right[y == c].mean() for c in y.unique()]).mean().item()"""
JUDGED: dict[str, str] = {
    "log loss": LOG_LOSS,
    "balanced accuracy": BALANCED_ACCURACY,
    "calibration error": CALIBRATION.format(bins=ByCalibration.bins),
}
"""By metrics that are not their task's own."""
SCORES: dict[Task, str] = {
    "classification": ACCURACY,
    "balanced": BALANCED,
    "regression": R2,
    "autoencoding": R2,
    "multilabel": MICRO_F1,
    "language": BITS,
}


def metric_of(member: Member) -> str:
    """What the score is called, in letters that every terminal knows; more of it is better."""
    metric = member.rules.metric
    if isinstance(member.rules, ByRobustAccuracy):
        return Classification.metric  # what the script prints: an attack needs more than a network's outputs
    return f"negative {metric}" if metric in COSTS else metric.replace("²", "2")


def score_source(dataset: Dataset) -> str:
    """The body of score(outputs, y), which returns (loss, score); classes are weighted in the loss alone."""
    source = JUDGED.get(dataset.metric) or SCORES[dataset.task]
    if not dataset.class_weights:
        return source
    if source == LOG_LOSS:
        return source.replace("return loss.item()", "return loss_of(outputs, y).item()")
    return source.replace("functional.cross_entropy(outputs, y)", "loss_of(outputs, y)")


def loss_source(dataset: Dataset, member: Member) -> str:
    """The body of loss_of(outputs, y), the loss that a step lowers."""
    if dataset.task == "balanced" or dataset.class_weights:
        return WEIGHTED.format(weights=member.objective.loss.weight.tolist())  # type: ignore[operator]
    if dataset.task == "classification":
        return CROSS_ENTROPY
    if dataset.task == "language":
        return NEXT
    if dataset.task == "multilabel":
        return BINARY
    return SQUARED.format(shaped="squeeze(-1)" if dataset.y.ndim == 1 else "flatten(1)")
