"""Mean-field theory: what a wide random layer does to the size of its signal and gradient.

With weights of variance s2 / n and pre-activations of second moment q, a layer of n units has

    q'   = s2 * E[f(sqrt(q) z)^2] + Var b        (Poole et al. 2016, equation 3),  z ~ N(0, 1)
    chi  = s2 * E[f'(sqrt(q) z)^2]               (Schoenholz et al. 2017, equation 4)

where chi is the factor on the gradient's second moment from one layer to the one before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]
_STEP = 18 / 2**16
_GRID = (torch.arange(2**16, dtype=torch.float64) + 0.5) * _STEP - 9
_WEIGHTS = torch.exp(-_GRID.square() / 2) / (2 * torch.pi) ** 0.5 * _STEP
"""The midpoint rule on +-9 standard deviations. No node lies at 0, so that a kink there costs 1e-8; with one, the
jump of ReLU's slope would cost 1e-4. A jump of the slope elsewhere does cost up to 1e-4."""


@dataclass(frozen=True)
class Moments:
    """Gaussian expectations of f at pre-activations N(0, q): E f, E f^2, E f'^2."""

    mean: float
    second: float
    slope: float

    @property
    def std(self) -> float:
        return max(0.0, self.second - self.mean**2) ** 0.5


def moments(f: Function, q: float) -> Moments:
    """E f(sqrt(q) z), E f(sqrt(q) z)^2 and E f'(sqrt(q) z)^2 for z ~ N(0, 1), by quadrature in float64."""
    x = (_GRID * q**0.5).requires_grad_()
    with torch.enable_grad():
        y = f(x.clone())  # f may work in place
        (slope,) = torch.autograd.grad(y.sum(), x)
    y = y.detach()
    return Moments(*(float((_WEIGHTS * v).sum()) for v in (y, y.square(), slope.square())))


@dataclass(frozen=True)
class Layer:
    """What theory predicts of one layer: pre-activations' second moment, activations' moments, and chi."""

    q: float
    activation: Moments
    chi: float


def recursion(f: Function, weight_gains: list[float], q_input: float = 1.0, bias_variances: float = 0.0) -> list[Layer]:
    """The predicted layers of a network in which each layer's weights have n * Var(w) = its gain.

    q_input: the mean square of the inputs. bias_variances: the variance of every bias.
    """
    layers, second = [], q_input
    for gain in weight_gains:
        q = gain * second + bias_variances
        activation = moments(f, q)
        layers.append(Layer(q, activation, gain * activation.slope))
        second = activation.second
    return layers
