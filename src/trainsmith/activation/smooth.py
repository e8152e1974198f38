"""Activation functions that are smooth everywhere and close to a rectifier far out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.activation import plain
from trainsmith.catalogue import POSITIVE, REAL, Hyperparameter, kernel_numbers, number_in, technique

LINEAR_FROM = 40.0
"""Above it ln(1 + e^x) is x to the last digit of float64 (torch changes to x at 20, which errs by 2e-9)."""


@technique("activation", "activation", aliases=("gelu-exact",))
class GELU(nn.Module):
    """GELU: each value times the probability that a standard normal number is smaller.

        f(x) = x * Phi(x),  Phi(x) = (1 + erf(x / sqrt(2))) / 2

    Paper: Hendrycks & Gimpel 2016, Gaussian error linear units, section 2, unnumbered.

    Differs: nothing known. This is the exact form; gelu-tanh is the paper's approximation of it.

    Pitfall: a checkpoint trained with the approximation (GPT-2, JAX's default) differs by up to 5e-4 a value.

    Helps: transformers; with He initialization in deep networks much as ReLU, without its dead units. Not where time
    counts: an activation of ReLU costs a part of it.

    >>> import torch
    >>> from trainsmith.activation import GELU
    >>> round(GELU()(torch.tensor(1.0)).item(), 4)
    0.8413
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        return functional.gelu(x)

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.GELU()


@technique("activation", "activation", name="gelu-tanh", aliases=("gelu-approximate",))
class GELUTanh(nn.Module):
    """GELU, tanh form: GELU with the normal distribution's integral approximated.

        f(x) = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))

    Paper: Hendrycks & Gimpel 2016, Gaussian error linear units, section 2, unnumbered (the approximation).

    Differs: nothing known.

    Pitfall: it is not gelu: the two differ by up to 5e-4, enough to spoil a comparison with a stored result.
    Beyond 1e18 in single precision the slope overflows.

    Helps: to go on with networks that were trained with it; no faster than gelu on CPUs. Not in new networks: gelu is
    what it approximates.

    >>> import torch
    >>> from trainsmith.activation import GELUTanh
    >>> round(GELUTanh()(torch.tensor(1.0)).item(), 4)
    0.8412
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        return functional.gelu(x, approximate="tanh")

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.GELU(approximate="tanh")


@technique(
    "activation",
    "activation",
    name="silu",
    aliases=("swish",),
    beta=Hyperparameter("steepness of the gate", (0.25, 4.0), "log", REAL),
)
class SiLU(nn.Module):
    """SiLU (Swish): each value times its own sigmoid.

        f(x) = x / (1 + e^(-beta * x))

    Paper: Elfwing, Uchibe & Doya 2017, Sigmoid-weighted linear units for neural network function approximation in
    reinforcement learning, section 2 (beta 1); Ramachandran, Zoph & Le 2017, Searching for activation functions,
    section 4 (beta).

    Differs: 1. Ramachandran et al. also learn beta; here it is a number that stays as it is given.

    Pitfall: for beta -> 0 it is x / 2, a linear network; for large beta it is ReLU.

    Helps: convolutional networks deeper than those where ReLU does well. Not where units that are exactly 0 are wanted.

    >>> import torch
    >>> from trainsmith.activation import SiLU
    >>> round(SiLU()(torch.tensor(1.0)).item(), 4)
    0.7311
    """

    beta: Tensor

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor(float(beta)))

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        if kernel_numbers(x, self, "beta") == [1.0]:
            return functional.silu(x)
        return x * torch.sigmoid(self.beta * x)

    def plain(self) -> nn.Module:
        """The same without trainsmith: torch.nn has beta 1 only."""
        beta = number_in(self.beta)
        return nn.SiLU() if beta == 1 else plain.Swish(beta)


@technique("activation", "activation")
class Mish(nn.Module):
    """Mish: each value times the tanh of its softplus.

        f(x) = x * tanh(ln(1 + e^x))

    Paper: Misra 2019, Mish: a self regularized non-monotonic activation function, equation 1.

    Differs: nothing known.

    Pitfall: several times the time of ReLU on CPUs for values close to those of SiLU.

    Helps: detectors and convolutional networks, by the paper's account; compare with silu before you pay for it. Not
    where time counts: on CPUs it takes several times as long as SiLU.

    >>> import torch
    >>> from trainsmith.activation import Mish
    >>> round(Mish()(torch.tensor(1.0)).item(), 4)
    0.8651
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        return functional.mish(x)

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.Mish()


@technique(
    "activation",
    "activation",
    beta=Hyperparameter("steepness of the bend; ReLU for beta -> inf", (0.5, 20.0), "log", POSITIVE),
)
class Softplus(nn.Module):
    """Softplus: ReLU with its corner rounded off.

        f(x) = ln(1 + e^(beta * x)) / beta

    Paper: Dugas, Bengio, Bélisle, Nadeau & Garcia 2001, Incorporating second-order functional knowledge
    for better option pricing; Goodfellow, Bengio & Courville 2016, Deep Learning, equation 3.31.

    Differs: nothing known. Where beta * x > 40 it is x itself, which no type of numbers can tell apart; torch does so
    from 20 on, an error of 2.1e-9 / beta.

    Pitfall: it is positive everywhere, ln(2) / beta at 0: every layer adds to the mean of the next one's inputs.

    Helps: as an output that must be positive, such as a variance; in hidden layers Glorot et al. 2011 preferred ReLU.
    Not in deep stacks without normalization, whose mean grows from layer to layer.

    >>> import torch
    >>> from trainsmith.activation import Softplus
    >>> round(Softplus()(torch.tensor(0.0)).item(), 4)
    0.6931
    """

    beta: Tensor

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor(float(beta)))

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        if (beta := kernel_numbers(x, self, "beta")) is not None:
            return functional.softplus(x, beta[0], LINEAR_FROM)
        return functional.softplus(self.beta * x, 1.0, LINEAR_FROM) / self.beta

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.Softplus(number_in(self.beta))
