"""Glorot's initialization, a compromise between keeping the signal and keeping the gradient."""

import torch
from jaxtyping import Inexact
from torch import Tensor

from trainsmith.catalogue import technique
from trainsmith.initialization.fan import fan_in_and_out, fill_normal, fill_uniform

Weight = Inexact[Tensor, "..."]


@technique("initialization", "weights", name="glorot-normal")
def glorot_normal(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """Glorot, normal: the variance of signal and gradient kept in the mean of both directions.

        w ~ N(0, 2 / (fan_in + fan_out))

    Paper: Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward networks, equation 12.

    Differs: 1. The paper draws uniformly (glorot-uniform); this has the same variance.

    Pitfall: the gain 5/3 that torch recommends for tanh is not in the paper.

    Helps: with tanh and sigmoid in networks whose widths change. Not in deep networks of ReLU, which halves the
    signal's second moment at every layer.

    >>> import torch
    >>> from trainsmith.initialization import glorot_normal
    >>> w = glorot_normal(torch.empty(300, 500), generator=torch.Generator().manual_seed(0))
    >>> round(w.std().item(), 2)
    0.05
    """
    fan_in, fan_out = fan_in_and_out(weight)
    return fill_normal(weight, (2 / (fan_in + fan_out)) ** 0.5, generator)


@technique("initialization", "weights", name="glorot-uniform", aliases=("glorot",))
def glorot_uniform(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """Glorot, uniform: the variance of signal and gradient kept in the mean of both directions.

        w ~ U(-b, b),  b = sqrt(6 / (fan_in + fan_out))

    Paper: Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward networks, equation 16.

    Differs: nothing known.

    Pitfall: b is the bound, not the standard deviation, which is b / sqrt(3).

    Helps: with tanh and sigmoid in networks whose widths change; it is the default of Keras. Not in deep networks of
    ReLU, which halves the signal's second moment at every layer.

    >>> import torch
    >>> from trainsmith.initialization import glorot_uniform
    >>> w = glorot_uniform(torch.empty(100, 200), generator=torch.Generator().manual_seed(0))
    >>> bool(w.abs().max() <= 0.02**0.5)
    True
    """
    fan_in, fan_out = fan_in_and_out(weight)
    return fill_uniform(weight, (6 / (fan_in + fan_out)) ** 0.5, generator)
