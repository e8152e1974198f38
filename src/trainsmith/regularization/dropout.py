"""Noise that switches units off."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import FRACTION, Hyperparameter, number_in, technique
from trainsmith.regularization.draws import uniform_like


@technique(
    "regularization",
    "layer",
    rate=Hyperparameter("probability that a unit is dropped", (0.05, 0.6), "linear", FRACTION, tuned=True),
)
class Dropout(nn.Module):
    """Dropout: in training every hidden unit is switched off with a probability, anew for each example and step.

        y = x * mask / (1 - rate),   mask ~ Bernoulli(1 - rate);   in evaluation y = x

    Paper: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, Dropout, section 4, pages 1933 and 1934,
    unnumbered (section 10: inverted).

    Differs: 1. The scale is kept in training (inverted dropout), the paper scales the weights at test time.
    2. rate is the probability of dropping; the paper's p is that of keeping.

    Pitfall: training needs more steps; before batch normalization it changes the variance between training and
    evaluation. Not on logits.

    Helps: large fully connected layers on little data. Not where a network underfits.

    >>> import torch
    >>> from trainsmith.regularization import Dropout
    >>> Dropout(0.5).eval()(torch.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    rate: Tensor

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """x with units dropped in training, x itself in evaluation."""
        if not self.training:
            return x
        kept = uniform_like(x) >= self.rate
        return x * kept / (1 - self.rate)

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.Dropout(number_in(self.rate)).train(self.training)
