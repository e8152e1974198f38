"""Normal weights, with a spread that is fixed or follows from the number of inputs."""

import torch
from jaxtyping import Inexact
from torch import Tensor

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.initialization.fan import fan_in_and_out, fill_normal

Weight = Inexact[Tensor, "..."]


@technique(
    "initialization", "weights", std=Hyperparameter("standard deviation of a weight", (1e-3, 1.0), "log", NON_NEGATIVE)
)
def normal(weight: Weight, std: float = 0.01, *, generator: torch.Generator | None = None) -> Weight:
    """Normal: weights with one fixed spread, whatever the width of the layer.

        w ~ N(0, std^2)

    Paper: Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep convolutional neural networks,
    section 5, unnumbered (std 0.01).

    Differs: nothing known; the biases of that paper (1 in some layers) are not part of it.

    Pitfall: the scale ignores the fan-in. With 100 inputs and ReLU, std 0.01 loses a factor of 200 of the
    second moment at every layer: five layers are silent.

    Helps: in shallow networks, or wherever a normalization follows every layer. Not in deep networks without
    normalization.

    >>> import torch
    >>> from trainsmith.initialization import normal
    >>> w = normal(torch.empty(100, 100), 0.01, generator=torch.Generator().manual_seed(0))
    >>> round(w.std().item(), 3)
    0.01
    """
    return fill_normal(weight, std, generator)


@technique("initialization", "weights", aliases=("lecun-normal", "lecun"))
def xavier(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """Xavier (fan-in form): the spread that keeps the variance of a linear layer's output equal to its input's.

        w ~ N(0, 1 / fan_in)

    Paper: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, equation 16; the simplification of Glorot &
    Bengio 2010 that courses call Xavier.

    Differs: 1. Glorot & Bengio average fan_in and fan_out (see glorot-normal); the two agree for square layers.

    Pitfall: ReLU halves the second moment at every layer; with 30 layers nothing arrives.

    Helps: with tanh and other functions that are the identity around 0; SELU requires it. Not in deep networks of ReLU,
    which halves the signal's second moment at every layer.

    >>> import torch
    >>> from trainsmith.initialization import xavier
    >>> w = xavier(torch.empty(100, 400), generator=torch.Generator().manual_seed(0))
    >>> round(w.std().item(), 2)
    0.05
    """
    fan_in, _ = fan_in_and_out(weight)
    return fill_normal(weight, fan_in**-0.5, generator)


@technique("initialization", "weights", aliases=("kaiming", "he-normal"))
def he(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """He: the spread that keeps the second moment of activations through layers of ReLU.

        w ~ N(0, 2 / fan_in)

    Paper: He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, equation 10.

    Differs: 1. The first layer sees no ReLU and the paper notes that its factor could be 1; like everybody we use 2.
    2. It is applied to the output layer too, whose logits then have a spread of about 1.4.

    Pitfall: it keeps E[x^2], not Var[x]: a healthy layer has mean 0.56 and spread 0.83 for unit inputs.

    Helps: with ReLU and its kin, above all in deep networks without normalization. Not with functions that are the
    identity around 0, such as tanh and SELU: their signal grows.

    >>> import torch
    >>> from trainsmith.initialization import he
    >>> w = he(torch.empty(100, 200), generator=torch.Generator().manual_seed(0))
    >>> round(w.std().item(), 2)
    0.1
    """
    fan_in, _ = fan_in_and_out(weight)
    return fill_normal(weight, (2 / fan_in) ** 0.5, generator)


@technique("initialization", "weights", name="he-fan-out", aliases=("kaiming-fan-out",))
def he_fan_out(weight: Weight, *, generator: torch.Generator | None = None) -> Weight:
    """He, fan-out form: the spread that keeps the second moment of gradients on their way back through ReLU.

        w ~ N(0, 2 / fan_out)

    Paper: He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, equation 14.

    Differs: 1. fan_out does not count the stride of a convolution, by which fewer outputs see an input.

    Pitfall: where the width changes, signal and gradient cannot both be kept: a last layer with 10 outputs and 100
    inputs gets ten times the variance of he, and logits with a spread of 4.

    Helps: residual networks, in whose reference code it is the rule; with equal widths it is he. Not where the last
    layer has few outputs: its logits start large.

    >>> import torch
    >>> from trainsmith.initialization import he_fan_out
    >>> w = he_fan_out(torch.empty(200, 100), generator=torch.Generator().manual_seed(0))
    >>> round(w.std().item(), 2)
    0.1
    """
    _, fan_out = fan_in_and_out(weight)
    return fill_normal(weight, (2 / fan_out) ** 0.5, generator)
