"""Targets that are not quite sure."""

import torch
from jaxtyping import Float, Int
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

    Paper: Szegedy, Vanhoucke, Ioffe, Shlens & Wojna 2016, Rethinking the inception architecture for computer vision,
    section 7.

    Differs: 1. No target is left out: torch's ignore_index has no counterpart, and a target of -100 is an error. torch,
    Keras and timm have the same formula; fairseq spreads epsilon / (K - 1) over the others.

    Pitfall: the loss has the target's entropy as its floor, not 0: report the plain cross-entropy in validation.

    Helps: classification with many classes or noisy labels; it improves calibration.

    >>> import torch
    >>> from trainsmith.regularization import LabelSmoothing
    >>> round(LabelSmoothing(0.1)(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
    0.6931
    """

    epsilon: Tensor

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("epsilon", torch.tensor(float(epsilon)))

    def forward(self, logits: Float[Tensor, "... classes"], target: Int[Tensor, "..."]) -> Float[Tensor, ""]:
        """The mean loss of class indices `target`: see log_probabilities."""
        log_p, right = log_probabilities(logits, target)
        return -((1 - self.epsilon) * right + self.epsilon * log_p.mean(-1)).mean()


def log_probabilities(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits (n, classes) those of all classes, likewise, and of the class indices `target` (n,).

    Or (n, ..., classes) and (n, ...) where each example has several. Raises InvalidInput where the shapes do not belong
    together.
    """
    if logits.shape[:-1] != target.shape:
        raise InvalidInput(
            f"logits must be (*targets, classes); got {tuple(logits.shape)} for targets {tuple(target.shape)}."
        )
    log_p = functional.log_softmax(logits, -1)
    return log_p, log_p.gather(-1, target.unsqueeze(-1)).squeeze(-1)
