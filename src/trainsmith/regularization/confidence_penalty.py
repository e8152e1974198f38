"""A price for being too sure."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.regularization.label_smoothing import log_probabilities


@technique(
    "regularization",
    "loss",
    name="confidence-penalty",
    beta=Hyperparameter("loss per nat of entropy that is missing", (1e-2, 1.0), "log", NON_NEGATIVE, tuned=True),
)
class ConfidencePenalty(nn.Module):
    """Confidence penalty: predictions with little entropy cost.

        loss = mean over examples of  -log p_y - beta * H(p),   H(p) = -sum_k p_k log p_k

    Paper: Pereyra, Tucker, Chorowski, Kaiser & Hinton 2017, Regularizing neural networks by penalizing confident output
    distributions, section 3.

    Differs: 1. No target is left out, as torch's ignore_index does: one of -100 is an error.

    Pitfall: it can be negative, and its least value is not 0: report the plain cross-entropy in validation.

    Helps: where label smoothing does; it lets the network choose among which classes its doubt is spread.

    >>> import torch
    >>> from trainsmith.regularization import ConfidencePenalty
    >>> round(ConfidencePenalty(0.5)(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
    0.3466
    """

    beta: Tensor

    def __init__(self, beta: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor(float(beta)))

    def forward(self, logits: Float[Tensor, "... classes"], target: Int[Tensor, "..."]) -> Float[Tensor, ""]:
        """The mean loss of class indices `target`: see log_probabilities."""
        log_p, right = log_probabilities(logits, target)
        entropy = -(log_p.exp() * log_p).sum(-1)
        return -(right + self.beta * entropy).mean()
