"""Targets that are not quite sure."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import FRACTION, Hyperparameter, technique
from trainsmith.errors import InvalidInput


@technique(
    "regularization",
    "loss",
    name="label-smoothing",
    epsilon=Hyperparameter("share of the target spread over all classes", (0.01, 0.2), "linear", FRACTION, tuned=True),
)
class LabelSmoothing(nn.Module):
    """Label smoothing: a small share of the target is spread evenly over all classes.

        target = (1 - epsilon) * onehot + epsilon / K;   loss = -mean over examples of sum_k target_k log p_k

    ignore_index: the class index of targets that are left out: the mean is over the others.

    Paper: Szegedy, Vanhoucke, Ioffe, Shlens & Wojna 2016, Rethinking the inception architecture for computer
    vision, section 7, unnumbered.

    Differs: nothing known; torch, Keras and timm have the same formula, fairseq spreads epsilon / (K - 1) over the
    others.

    Pitfall: the loss has the target's entropy as its floor, not 0: report the plain cross-entropy in validation.

    Helps: classification with many classes or noisy labels; it improves calibration. Not for a teacher whose
    probabilities another network shall learn.

    >>> import torch
    >>> from trainsmith.regularization import LabelSmoothing
    >>> round(LabelSmoothing(0.1)(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
    0.6931
    """

    epsilon: Tensor

    def __init__(self, epsilon: float = 0.1, ignore_index: int = -100) -> None:
        super().__init__()
        self.register_buffer("epsilon", torch.tensor(float(epsilon)))
        self.ignore_index = ignore_index

    def forward(self, logits: Float[Tensor, "... classes"], target: Int[Tensor, "..."]) -> Float[Tensor, ""]:
        """The mean loss of class indices `target`, nan if none is left: see log_probabilities."""
        log_p, right, kept = log_probabilities(logits, target, self.ignore_index)
        return mean_of(-((1 - self.epsilon) * right + self.epsilon * log_p.mean(-1)), kept)


def log_probabilities(logits: Tensor, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of logits (n, classes) those of all classes, likewise, and of the class indices `target` (n,); and which of these
    are none to ignore (n,), bool.

    Or (n, ..., classes) and (n, ...) where each example has several. Raises InvalidInput where the shapes do not belong
    together.
    """
    if logits.shape[:-1] != target.shape:
        raise InvalidInput(
            f"logits must be (*targets, classes); got {tuple(logits.shape)} for targets {tuple(target.shape)}."
        )
    log_p, kept = functional.log_softmax(logits, -1), target != ignore_index
    return log_p, log_p.gather(-1, torch.where(kept, target, 0).unsqueeze(-1)).squeeze(-1), kept


def entropy(log_p: Float[Tensor, "... classes"]) -> Float[Tensor, "..."]:
    """-sum_k p_k log p_k, to which a class that is ruled out, log p_k = -inf, adds nothing."""
    least = torch.finfo(log_p.dtype).min
    return -(log_p.exp() * log_p.clamp(min=least)).sum(-1)


def mean_of(losses: Float[Tensor, "..."], kept: Bool[Tensor, "..."]) -> Float[Tensor, ""]:
    """The mean of those that are kept, nan if there are none."""
    return torch.where(kept, losses, 0).sum() / kept.sum()
