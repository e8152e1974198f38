"""A price for being too sure."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.regularization.label_smoothing import entropy, log_probabilities, mean_of


@technique(
    "regularization",
    "loss",
    name="confidence-penalty",
    beta=Hyperparameter("loss per nat of entropy that is missing", (1e-2, 1.0), "log", NON_NEGATIVE, tuned=True),
)
class ConfidencePenalty(nn.Module):
    """Confidence penalty: predictions with little entropy cost.

        loss = mean over examples of  -log p_y - beta * H(p),   H(p) = -sum_k p_k log p_k

    ignore_index: the class index of targets that are left out: the mean is over the others.

    Paper: Pereyra, Tucker, Chorowski, Kaiser & Hinton 2017, Regularizing neural networks by penalizing confident
    output distributions, section 3, unnumbered.

    Differs: nothing known.

    Pitfall: it can be negative, and its least value is not 0: report the plain cross-entropy in validation.

    Helps: where label smoothing does; it lets the network choose among which classes its doubt is spread. Not beside
    label smoothing, which does the same.

    >>> import torch
    >>> from trainsmith.regularization import ConfidencePenalty
    >>> round(ConfidencePenalty(0.5)(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
    0.3466
    """

    beta: Tensor

    def __init__(self, beta: float = 0.1, ignore_index: int = -100) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.ignore_index = ignore_index

    def forward(self, logits: Float[Tensor, "... classes"], target: Int[Tensor, "..."]) -> Float[Tensor, ""]:
        """The mean loss of class indices `target`, nan if none is left: see log_probabilities."""
        log_p, right, kept = log_probabilities(logits, target, self.ignore_index)
        return mean_of(-(right + self.beta * entropy(log_p)), kept)
