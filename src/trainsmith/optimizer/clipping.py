"""Gradient clipping: by value, by the norm over all parameters, and unit by unit in proportion to the weights.

Each rule is one function of lists, `clip(gradients, parameters, axes, **numbers)`, that changes the gradients in
place. It is written for one network and works unchanged on a population: the last axes[i] axes of gradients[i] are
the parameter's own, those before are members, and a number is a float or a tensor with one value a member. What a
member's norm is made of comes from that member alone. `clip_by_value`, `clip_by_norm` and `clip_adaptively` apply
them to the parameters of any network after backward().
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from trainsmith.catalogue import POSITIVE, Hyperparameter
from trainsmith.optimizer.matrix import norm


class ClipByValue:
    """Clipping by value: every number of the gradient between -threshold and threshold.

        g = max(-threshold, min(threshold, g))

    Paper: Mikolov 2012, Statistical language models based on neural networks, section 3.2.2.

    Differs: nothing known; torch's clip_grad_value_ is the same.

    Pitfall: it turns the gradient: large coordinates shrink and small ones do not.

    Helps: where single coordinates explode, as in recurrent networks.

    >>> import torch
    >>> from trainsmith.optimizer import clip_by_value
    >>> theta = torch.nn.Parameter(torch.zeros(3))
    >>> theta.grad = torch.tensor([0.5, -3.0, 7.0])
    >>> clip_by_value([theta], 1.0)
    >>> theta.grad.tolist()
    [0.5, -1.0, 1.0]
    """

    @staticmethod
    def clip(gradients: list[Tensor], parameters: list[Tensor], axes: list[int], *, threshold: Any) -> None:
        for g, own in zip(gradients, axes, strict=True):
            limit = _for_tensor(threshold, g, own)
            g.clamp_(min=-limit, max=limit)


class ClipByNorm:
    """Clipping by norm: the whole gradient shortened to max_norm where it is longer, its direction kept.

        g = g * min(1, max_norm / |g|)          |g| over all parameters of a network together

    Paper: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks, Algorithm 1.

    Differs: 1. The new norm is max_norm exactly, as in optax; torch's clip_grad_norm_ divides by |g| + 1e-6. 2. Where
    |g| is not finite the gradient becomes nan, so that an exploded training is seen, and not frozen at 0.

    Pitfall: where more than half of the steps are clipped it is a learning rate in disguise: lower that.

    Helps: recurrent networks and transformers, whose gradients have rare large norms.

    >>> import torch
    >>> from trainsmith.optimizer import clip_by_norm
    >>> theta = torch.nn.Parameter(torch.zeros(2))
    >>> theta.grad = torch.tensor([3.0, 4.0])
    >>> clip_by_norm([theta], 1.0).item()
    5.0
    >>> [round(x, 6) for x in theta.grad.tolist()]
    [0.6, 0.8]
    """

    @staticmethod
    def clip(gradients: list[Tensor], parameters: list[Tensor], axes: list[int], *, max_norm: Any) -> None:
        if not gradients:
            return
        size = global_norm(gradients, axes)
        limit = max_norm.to(size) if isinstance(max_norm, Tensor) else max_norm
        size = size.clamp_min(limit)
        scale = limit / size * (size / size)  # the second factor is 1, or nan where the norm is inf
        for g, own in zip(gradients, axes, strict=True):
            g.mul_(_for_tensor(scale, g, own))


class AdaptiveClipping:
    """Adaptive clipping: the gradient of each unit held to a share of the unit's own norm.

        g_i = g_i * min(1, ratio * max(|theta_i|, eps) / |g_i|)      i a row: the weights into one unit

    Paper: Brock, De, Smith & Simonyan 2021, High-performance large-scale image recognition without normalization,
    equation 3.

    Differs: 1. A vector (a bias, a gain) counts as one unit, as in the authors' code.

    Pitfall: leave the last layer out, as the paper does: pass the other parameters only.

    Helps: deep networks without normalization, at large batches and rates.

    >>> import torch
    >>> from trainsmith.optimizer import clip_adaptively
    >>> theta = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    >>> theta.grad = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    >>> clip_adaptively([theta], ratio=0.1)
    >>> [round(x, 6) for x in theta.grad[:, 1].tolist()]
    [0.5, 0.05]
    """

    @staticmethod
    def clip(gradients: list[Tensor], parameters: list[Tensor], axes: list[int], *, ratio: Any, eps: Any) -> None:
        for g, theta, own in zip(gradients, parameters, axes, strict=True):
            of_unit = own - 1 if own > 1 else own
            share, least = (_for_tensor(number, g, own) for number in (ratio, eps))
            limit = share * norm(theta, of_unit).clamp_min(least)
            size = torch.maximum(norm(g, of_unit), limit)
            g.mul_(limit / size * (size / size))


def global_norm(gradients: list[Tensor], axes: list[int]) -> Tensor:
    """The norm over all gradients together, one number for each member (*members)."""
    sizes = [norm(g, own).reshape(tuple(g.shape[: g.ndim - own])) for g, own in zip(gradients, axes, strict=True)]
    return torch.linalg.vector_norm(torch.stack([s.to(sizes[0]) for s in sizes]), dim=0)


def clip_by_value(parameters: Iterable[Tensor], threshold: float) -> None:
    """Clip the gradients of a network's parameters by value, in place. Raises InvalidInput for threshold <= 0."""
    _check("threshold", threshold, "clip_by_value")
    ClipByValue.clip(*_gradients(parameters), threshold=threshold)


def clip_by_norm(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Shorten the gradient of a network to max_norm, in place; the norm () it had. InvalidInput for max_norm <= 0."""
    _check("max_norm", max_norm, "clip_by_norm")
    gradients, trained, axes = _gradients(parameters)
    before = global_norm(gradients, axes) if gradients else torch.zeros(())
    ClipByNorm.clip(gradients, trained, axes, max_norm=max_norm)
    return before


def clip_adaptively(parameters: Iterable[Tensor], ratio: float = 0.01, eps: float = 1e-3) -> None:
    """Hold each unit's gradient to `ratio` of its weights' norm (at least eps), in place. InvalidInput for <= 0."""
    _check("ratio", ratio, "clip_adaptively")
    _check("eps", eps, "clip_adaptively")
    AdaptiveClipping.clip(*_gradients(parameters), ratio=ratio, eps=eps)


def _check(name: str, value: float, owner: str) -> None:
    Hyperparameter("", (0.1, 1.0), domain=POSITIVE).named(name, 1.0).check(value, owner)


@torch.no_grad()
def _gradients(parameters: Iterable[Tensor]) -> tuple[list[Tensor], list[Tensor], list[int]]:
    """The gradients there are, their parameters without autograd, and the axes of each."""
    trained = [p for p in parameters if p.grad is not None]
    gradients = [p.grad for p in trained if p.grad is not None]
    return gradients, [p.detach() for p in trained], [p.ndim for p in trained]


def _for_tensor(number: Any, g: Tensor, own: int) -> Any:
    """A number, or one for each member (*members), so that it multiplies g (*members, *shape)."""
    return number.to(g).reshape((*number.shape, *(1,) * own)) if isinstance(number, Tensor) else number
