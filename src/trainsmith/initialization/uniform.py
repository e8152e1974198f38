"""Uniform weights, with a bound that is fixed or follows from the number of inputs."""

import torch
from jaxtyping import Inexact
from torch import Tensor

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.initialization.fan import fan_in_and_out, fill_uniform

Weight = Inexact[Tensor, "..."]


@technique(
    "initialization", "weights", bound=Hyperparameter("largest size of a weight", (1e-3, 1.0), "log", NON_NEGATIVE)
)
def uniform(weight: Weight, bound: float = 0.05, *, generator: torch.Generator | None = None) -> Weight:
    """Uniform: weights with one fixed bound, whatever the width of the layer.

        w ~ U(-bound, bound),   std = bound / sqrt(3)

    Paper: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4, unnumbered (the default bound is
    Keras's).

    Differs: nothing known.

    Pitfall: the scale ignores the fan-in: deep networks lose their signal or explode. The bound is not the spread.

    Helps: in shallow networks, or wherever a normalization follows every layer. Not in deep networks without
    normalization.

    >>> import torch
    >>> from trainsmith.initialization import uniform
    >>> bool(uniform(torch.empty(50, 50), 0.1).abs().max() <= 0.1)
    True
    """
    return fill_uniform(weight, bound, generator)


@technique("initialization", "weights", name="he-uniform", aliases=("kaiming-uniform",))
def he_uniform(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """He, uniform: the spread that keeps the second moment through layers of ReLU, from a uniform distribution.

        w ~ U(-b, b),  b = sqrt(6 / fan_in)

    Paper: He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, equation 10 (the variance).

    Differs: 1. The paper draws from a normal distribution (he); this has the same variance. 2. torch's
    kaiming_uniform_ has this bound by default, but its layers call it with a = sqrt(5), which is torch-default.

    Pitfall: b is the bound, not the standard deviation, which is b / sqrt(3).

    Helps: where he does; without its rare large weights. Not with functions that are the identity around 0, as he.

    >>> import torch
    >>> from trainsmith.initialization import he_uniform
    >>> bool(he_uniform(torch.empty(100, 600)).abs().max() <= 0.1)
    True
    """
    fan_in, _ = fan_in_and_out(weight)
    return fill_uniform(weight, (6 / fan_in) ** 0.5, generator)


@technique("initialization", "weights", name="he-uniform-fan-out", aliases=("kaiming-uniform-fan-out",))
def he_uniform_fan_out(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """He, uniform, fan-out form: the spread of he-fan-out, from a uniform distribution.

        w ~ U(-b, b),  b = sqrt(6 / fan_out)

    Paper: He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, equation 14 (the variance).

    Differs: 1. The paper draws from a normal distribution (he-fan-out); this has the same variance. 2. fan_out does not
    count the stride of a convolution, by which fewer outputs see an input.

    Pitfall: as of he-fan-out; b is the bound, not the standard deviation, which is b / sqrt(3).

    Helps: where he-fan-out does; without its rare large weights. Not where the last layer has few outputs, as
    he-fan-out.

    >>> import torch
    >>> from trainsmith.initialization import he_uniform_fan_out
    >>> bool(he_uniform_fan_out(torch.empty(600, 100)).abs().max() <= 0.1)
    True
    """
    _, fan_out = fan_in_and_out(weight)
    return fill_uniform(weight, (6 / fan_out) ** 0.5, generator)


@technique("initialization", "weights", name="lecun-uniform")
def lecun_uniform(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """LeCun, uniform: the spread that keeps the variance of a linear layer's output equal to its input's.

        w ~ U(-b, b),  b = sqrt(3 / fan_in)

    Paper: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, equation 16.

    Differs: nothing known; the normal form of it is xavier (fan-in form), also called lecun-normal.

    Pitfall: ReLU halves the second moment at every layer; b is the bound, the spread is b / sqrt(3).

    Helps: with tanh scaled as in the paper, and with SELU. Not in deep networks of ReLU, which halves the signal's
    second moment at every layer.

    >>> import torch
    >>> from trainsmith.initialization import lecun_uniform
    >>> bool(lecun_uniform(torch.empty(100, 300)).abs().max() <= 0.1)
    True
    """
    fan_in, _ = fan_in_and_out(weight)
    return fill_uniform(weight, (3 / fan_in) ** 0.5, generator)


@technique("initialization", "weights", name="torch-default", aliases=("pytorch-default",))
def torch_default(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """PyTorch's default: what nn.Linear and nn.Conv start with, a third of the variance of xavier (fan-in form).

        w ~ U(-b, b),  b = 1 / sqrt(fan_in)

    Paper: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4, unnumbered, before its equation 8.23;
    the bound is the standard deviation of LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, equation 16.

    Differs: 1. PyTorch draws the biases from the same distribution; here, as in every initialization, they are 0.

    Pitfall: a layer of ReLU keeps a sixth of the second moment: after five layers the spread is 0.01. It is no neutral
    baseline.

    Helps: to see what your network would do untouched. Not in deep networks of ReLU without normalization.

    >>> import torch
    >>> from trainsmith.initialization import torch_default
    >>> bool(torch_default(torch.empty(50, 100)).abs().max() <= 0.1)
    True
    """
    fan_in, _ = fan_in_and_out(weight)
    return fill_uniform(weight, fan_in**-0.5, generator)
