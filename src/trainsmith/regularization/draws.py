"""Random numbers made of uniform ones, so that torch.rand_like is all that has to be drawn for each member."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def uniform_like(x: Shaped[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """A uniform number in [0, 1) for each number: in double precision for such, else in single."""
    return torch.rand_like(x.to(drawn_type(x)))


def drawn_type(x: Tensor) -> torch.dtype:
    """In which type numbers for x are drawn: half precision has too few in [0, 1), and whole numbers have none."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def normal_like(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Standard normal numbers, two uniforms each (Box & Muller 1958)."""
    radius = uniform_like(x).neg().log1p().mul(-2).sqrt()
    return (radius * (2 * math.pi * uniform_like(x)).cos()).to(x.dtype)


def one_each(x: Shaped[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """A uniform number in [0, 1) for each example."""
    return uniform_like(x.flatten(1)[:, 0])


def one(x: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
    """A uniform number in [0, 1) for the whole batch."""
    return uniform_like(x.flatten()[0] if x.numel() else x.new_zeros(()))


def partners(x: Shaped[Tensor, "n ..."]) -> Tensor:
    """A random order of the examples, (n,) int64."""
    return one_each(x).argsort(stable=True)


def symmetric_beta(alpha: Float[Tensor, ""], x: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
    """A draw from Beta(alpha, alpha) for any alpha >= 0, from four uniforms and without rejection.

    B ~ Beta(a, a) with a = alpha + 1 is 1/2 + 1/2 sqrt(1 - U^(2 / (2a - 1))) cos(2 pi V) (Ulrich 1984, Computer
    generation of distributions on the m-sphere; Devroye 1986, chapter IX.3.1). A Gamma(alpha) is a Gamma(alpha + 1)
    times U^(1/alpha), which takes B to logit(B) + (log U1 - log U2) / alpha. At alpha 0 it is a fair coin: 0 or 1.
    """
    alpha = alpha.to(drawn_type(x))
    u, v, first, second = (1 - one(x) for _ in range(4))
    b = 0.5 + 0.5 * (1 - u ** (2 / (2 * alpha + 1))).sqrt() * (2 * math.pi * v).cos()
    apart = first.log() - second.log()
    shifted = torch.where(alpha > 0, apart / alpha, torch.where(apart < 0, -torch.inf, torch.inf))
    return torch.sigmoid(b.logit(eps=1e-12 if x.dtype == torch.float64 else 1e-7) + shifted)


def pairing(alpha: Float[Tensor, ""], x: Shaped[Tensor, "n ..."]) -> tuple[Tensor, Float[Tensor, ""]]:
    """A random order of the examples, with which they are mixed, and their own share max(b, 1 - b), b ~ Beta(alpha)."""
    order = partners(x)
    b = symmetric_beta(alpha, x)
    return order, torch.maximum(b, 1 - b)
