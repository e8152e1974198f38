"""Activation functions that are the identity for x > 0."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import NON_NEGATIVE, REAL, Hyperparameter, kernel_numbers, number_in, technique


@technique("activation", "activation")
class ReLU(nn.Module):
    """ReLU: the positive part.

        f(x) = max(0, x)

    Paper: Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines, section 2; Goodfellow,
    Bengio & Courville 2016, Deep Learning, section 6.3.1, unnumbered.

    Differs: 1. The slope at 0 is taken as 0, as torch does.

    Pitfall: a unit that is negative on all data has no gradient and stays dead; high learning rates make many.

    Helps: almost everywhere; with He initialization, deep networks train. Not at learning rates so high that units die.

    >>> import torch
    >>> from trainsmith.activation import ReLU
    >>> ReLU()(torch.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        return torch.relu(x)

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.ReLU()


@technique(
    "activation",
    "activation",
    name="leaky-relu",
    aliases=("leakyrelu",),
    slope=Hyperparameter("slope for x < 0", (0.01, 0.3), "log", REAL),
)
class LeakyReLU(nn.Module):
    """Leaky ReLU: a small slope instead of 0 keeps every unit learning.

        f(x) = x  for x > 0,  slope * x  for x <= 0

    Paper: Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models, equation 3.

    Differs: nothing known. The default slope 0.01 is the paper's and torch's; Keras's layer has 0.3.

    Pitfall: with the small default slope it is close to ReLU; differences need many seeds to be seen.

    Helps: where ReLU leaves dead units. Not where units that are exactly 0 are wanted.

    >>> import torch
    >>> from trainsmith.activation import LeakyReLU
    >>> LeakyReLU(0.5)(torch.tensor([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    slope: Tensor

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.register_buffer("slope", torch.tensor(float(slope)))

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        if (slope := kernel_numbers(x, self, "slope")) is not None:
            return functional.leaky_relu(x, slope[0])
        return x * (self.slope + (1 - self.slope) * (x > 0))  # a product: torch.where is ten times slower on CPUs

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.LeakyReLU(number_in(self.slope))


@technique(
    "activation",
    "activation",
    alpha=Hyperparameter("minus the limit for x -> -inf", (0.5, 1.5), "linear", NON_NEGATIVE),
)
class ELU(nn.Module):
    """ELU: negative values level off smoothly, which brings the mean of a layer closer to 0.

        f(x) = x  for x > 0,  alpha * (e^x - 1)  for x <= 0

    Paper: Clevert, Unterthiner & Hochreiter 2015, Fast and accurate deep network learning by exponential linear units
    (ELUs), equation 15.

    Differs: nothing known.

    Pitfall: for alpha other than 1 the slope jumps at 0. With He initialization its activations grow slowly with depth.

    Helps: in deep networks without normalization; it has no dead units. Not where ReLU does and time counts: an
    exponential costs more.

    >>> import torch
    >>> from trainsmith.activation import ELU
    >>> ELU()(torch.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    alpha: Tensor

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.tensor(float(alpha)))

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element. expm1 sees no positive number, so that nothing overflows."""
        if (alpha := kernel_numbers(x, self, "alpha")) is not None:
            return functional.elu(x, alpha[0])
        return torch.relu(x) + self.alpha * torch.expm1(x.clamp(max=0))

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.ELU(number_in(self.alpha))
