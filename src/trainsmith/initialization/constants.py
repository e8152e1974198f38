"""Initializations without a draw. They show why weights must differ."""

import torch
from jaxtyping import Inexact
from torch import Tensor

from trainsmith.catalogue import REAL, Hyperparameter, technique

Weight = Inexact[Tensor, "..."]


@technique("initialization", "weights")
def zeros(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """Zeros: every weight is 0, which makes the units of a layer identical for ever.

        w = 0

    Paper: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4, unnumbered (breaking symmetry).

    Differs: nothing known.

    Pitfall: with ReLU all hidden outputs and all gradients but the last bias's are 0: nothing is learned.

    Helps: nowhere as a whole network's start; it is here to show symmetry.

    >>> import torch
    >>> from trainsmith.initialization import zeros
    >>> zeros(torch.empty(2, 3)).sum().item()
    0.0
    """
    with torch.no_grad():
        return weight.zero_()


@technique("initialization", "weights", value=Hyperparameter("every weight", (0.001, 1.0), "log", REAL))
def constant(weight: Weight, value: float = 0.01, *, generator: torch.Generator | None = None) -> Weight:
    """Constant: every weight is the same number, so that the units of a layer stay identical.

        w = value

    Paper: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4, unnumbered (breaking symmetry).

    Differs: nothing known.

    Pitfall: signal passes, so that the loss falls at first, but each layer acts as one unit.

    Helps: nowhere as a whole network's start; it is here to show symmetry.

    >>> import torch
    >>> from trainsmith.initialization import constant
    >>> constant(torch.empty(2, 2), 0.5).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    with torch.no_grad():
        return weight.fill_(value)
