"""Gradient clipping: by value, by the norm over all parameters, and unit by unit in proportion to the weights.

Each rule is one function of lists, `clip(gradients, parameters, axes, **numbers)`, that changes the gradients in
place. It is written for one network and works unchanged on a population: the last axes[i] axes of gradients[i] are
the parameter's own, those before are members, and a number is a float or a tensor with one value a member. What a
member's norm is made of comes from that member alone. An object of the class, called with the parameters of any
network after backward(), does the same for it; `clip_by_value`, `clip_by_norm` and `clip_adaptively` do so at once.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import POSITIVE, Hyperparameter, technique
from trainsmith.errors import InvalidInput
from trainsmith.optimizer.matrix import norm
from trainsmith.optimizer.stored import SPARSE


class Clipping:
    """What all share: called with parameters, it clips their gradients in place; those without one are left out.

    spares_last_layer: whether a training that clips leaves the network's last layer out.
    """

    clip: ClassVar[Callable[..., None]]
    spares_last_layer: ClassVar[bool] = False

    def __init__(self, **numbers: float) -> None:
        self.numbers = numbers

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor] | Tensor) -> None:
        trained = with_gradients(parameters)
        gradients = [p.grad for p in trained if p.grad is not None]
        self.clip(gradients, [p.detach() for p in trained], [p.ndim for p in trained], **self.numbers)


@technique(
    "optimizer",
    "clipping",
    name="clip-by-value",
    aliases=("clipbyvalue", "value-clipping"),
    threshold=Hyperparameter("largest size of a number of the gradient", (1e-3, 10.0), "log", POSITIVE, tuned=True),
)
class ClipByValue(Clipping):
    """Clipping by value: every number of the gradient between -threshold and threshold.

        g = max(-threshold, min(threshold, g))

    Paper: Mikolov 2012, Statistical language models based on neural networks (thesis); Goodfellow, Bengio &
    Courville 2016, Deep Learning, section 10.11.1, unnumbered.

    Differs: nothing known; torch's clip_grad_value_ is the same.

    Pitfall: it turns the gradient: large coordinates shrink and small ones do not.

    Helps: where single coordinates explode, as in recurrent networks. Not where the gradient's direction counts.

    >>> import torch
    >>> from trainsmith.optimizer import clip_by_value
    >>> theta = torch.nn.Parameter(torch.zeros(3))
    >>> theta.grad = torch.tensor([0.5, -3.0, 7.0])
    >>> clip_by_value([theta], 1.0)
    >>> theta.grad.tolist()
    [0.5, -1.0, 1.0]
    """

    def __init__(self, threshold: float = 1.0) -> None:
        super().__init__(threshold=threshold)

    @staticmethod
    def clip(gradients: list[Tensor], parameters: list[Tensor], axes: list[int], *, threshold: Any) -> None:
        for g, own in zip(gradients, axes, strict=True):
            limit = _for_tensor(threshold, g, own)
            g.clamp_(min=-limit, max=limit)


@technique(
    "optimizer",
    "clipping",
    name="clip-by-norm",
    aliases=("clipbynorm", "gradient-clipping", "clip-by-global-norm"),
    max_norm=Hyperparameter("largest norm of the whole gradient", (1e-2, 10.0), "log", POSITIVE, tuned=True),
)
class ClipByNorm(Clipping):
    """Clipping by norm: the whole gradient shortened to max_norm where it is longer, its direction kept.

        g = g * min(1, max_norm / |g|)          |g| over all parameters of a network together

    Paper: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks, Algorithm 1.

    Differs: 1. The new norm is max_norm exactly, as in optax; torch's clip_grad_norm_ divides by |g| + 1e-6. 2. Where
    |g| is not finite the gradient becomes nan, so that an exploded training is seen, and not frozen at 0.

    Pitfall: where more than half of the steps are clipped it is a learning rate in disguise: lower that.

    Helps: recurrent networks and transformers, whose gradients have rare large norms. Not as a brake for every step:
    where it clips most of them, lower the learning rate.

    >>> import torch
    >>> from trainsmith.optimizer import clip_by_norm
    >>> theta = torch.nn.Parameter(torch.zeros(2))
    >>> theta.grad = torch.tensor([3.0, 4.0])
    >>> clip_by_norm([theta], 1.0).item()
    5.0
    >>> [round(x, 6) for x in theta.grad.tolist()]
    [0.6, 0.8]
    """

    def __init__(self, max_norm: float = 1.0) -> None:
        super().__init__(max_norm=max_norm)

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


@technique(
    "optimizer",
    "clipping",
    name="adaptive-clipping",
    aliases=("agc", "adaptiveclipping", "adaptive-gradient-clipping"),
    ratio=Hyperparameter(
        "largest gradient of a unit over its weights, by norm", (1e-3, 0.3), "log", POSITIVE, tuned=True
    ),
    eps=Hyperparameter("least norm that a unit's weights count with", (1e-4, 1e-2), "log", POSITIVE),
)
class AdaptiveClipping(Clipping):
    """Adaptive clipping: the gradient of each unit held to a share of the unit's own norm.

        g_i = g_i * min(1, ratio * max(|theta_i|, eps) / |g_i|)      i a row: the weights into one unit

    Paper: Brock, De, Smith & Simonyan 2021, High-performance large-scale image recognition without normalization,
    equation 3.

    Differs: 1. A vector (a bias, a gain) counts as one unit, as in the authors' code.

    Pitfall: alone, leave the last layer out, as the paper does: pass the other parameters only. In a study and in a
    population that is done: the layer that a pass calls last is not clipped.

    Helps: deep networks without normalization, at large batches and rates. Not for the last layer, which it leaves
    alone here as in the paper.

    >>> import torch
    >>> from trainsmith.optimizer import clip_adaptively
    >>> theta = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    >>> theta.grad = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    >>> clip_adaptively([theta], ratio=0.1)
    >>> [round(x, 6) for x in theta.grad[:, 1].tolist()]
    [0.5, 0.05]
    """

    spares_last_layer: ClassVar[bool] = True

    def __init__(self, ratio: float = 0.01, eps: float = 1e-3) -> None:
        super().__init__(ratio=ratio, eps=eps)

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


def with_gradients(parameters: Iterable[Tensor] | Tensor) -> list[Tensor]:
    """Those with a gradient; a single tensor counts as one parameter, as for torch's functions, and not as its rows.

    Raises InvalidInput where a gradient is sparse.
    """
    trained = [p for p in ([parameters] if isinstance(parameters, Tensor) else parameters) if p.grad is not None]
    if any(p.grad.is_sparse for p in trained if p.grad is not None):
        raise InvalidInput(SPARSE)
    return trained


def clip_by_value(parameters: Iterable[Tensor] | Tensor, threshold: float) -> None:
    """Clip the gradients of a network's parameters by value, in place. Raises InvalidInput for threshold <= 0."""
    ClipByValue(threshold)(parameters)


@torch.no_grad()
def clip_by_norm(parameters: Iterable[Tensor] | Tensor, max_norm: float) -> Tensor:
    """Shorten the gradient of a network to max_norm, in place; the norm () it had. InvalidInput for max_norm <= 0."""
    trained = with_gradients(parameters)
    gradients = [p.grad for p in trained if p.grad is not None]
    before = global_norm(gradients, [p.ndim for p in trained]) if trained else torch.zeros(())
    ClipByNorm(max_norm)(trained)
    return before


def clip_adaptively(parameters: Iterable[Tensor] | Tensor, **numbers: float) -> None:
    """Hold each unit's gradient to a share of its weights' norm, in place; numbers: AdaptiveClipping's ratio, eps."""
    AdaptiveClipping(**numbers)(parameters)


def _for_tensor(number: Any, g: Tensor, own: int) -> Any:
    """A number, or one for each member (*members), so that it multiplies g (*members, *shape)."""
    if not isinstance(number, Tensor):
        return number
    kind = torch.promote_types(g.dtype, torch.float32)  # a factor may be smaller than half precision tells apart
    return number.to(g.device, kind).reshape((*number.shape, *(1,) * own))
