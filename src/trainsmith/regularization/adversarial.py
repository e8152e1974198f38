"""Adversarial examples, training on them, and how many break a network: to be used alone."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.errors import InvalidInput
from trainsmith.regularization.inputs import needs_floats
from trainsmith.regularization.passes import Run, input_gradient
from trainsmith.regularization.semi_supervised import unit

Norm = Literal["inf", "2"]
Loss = Callable[[Tensor, Tensor], Tensor]


def fgsm(
    network: Run | nn.Module, x: Float[Tensor, "n ..."], y: Tensor, eps: float | Tensor, *,
    norm: Norm = "inf", within: tuple = (0, 1), loss: Loss = functional.cross_entropy,
) -> Float[Tensor, "n ..."]:  # fmt: skip
    """The fast gradient sign method: x + eps * sign(dJ/dx), clipped to the range of inputs.

    norm "2": x + eps * g / |g|, for each example. within: (least, most) of an input number. Paper: Goodfellow, Shlens
    & Szegedy 2015, Explaining and harnessing adversarial examples, section 4. The network's
    parameters get no gradient, and its running statistics stay. Raises InvalidInput for a norm that is none of these,
    whole numbers and an eps below 0.
    """
    _check(x, eps, norm)
    step = _direction(_gradient(network, x, y, loss), norm)
    return (x + eps * step).clamp(*within).detach()


def pgd(
    network: Run | nn.Module, x: Float[Tensor, "n ..."], y: Tensor, eps: float | Tensor, *,
    step: float | None = None, steps: int = 40, norm: Norm = "inf", within: tuple = (0, 1), random_start: bool = True,
    loss: Loss = functional.cross_entropy,
) -> Float[Tensor, "n ..."]:  # fmt: skip
    """Projected gradient descent: steps along the gradient's sign, each projected back into the ball around x.

        x' = clip(P_eps(x' + step * sign(dJ/dx')))

    step defaults to 2.5 eps / steps. random_start: uniform in the ball of the maximum norm; in that of the Euclidean
    norm a uniform direction and radius. Paper: Madry, Makelov, Schmidt, Tsipras & Vladu 2018, Towards deep learning
    models resistant to adversarial attacks, section 2. Raises InvalidInput as fgsm does, and for steps below 0.
    """
    _check(x, eps, norm, steps)
    size = 2.5 * eps / max(1, steps) if step is None else step
    moved = x + _inside(x, eps, norm) if random_start else x
    moved = moved.clamp(*within)
    for _ in range(steps):
        moved = moved + size * _direction(_gradient(network, moved, y, loss), norm)
        moved = (x + _projected(moved - x, eps, norm)).clamp(*within)
    return moved.detach()


def trades(
    network: nn.Module, x: Float[Tensor, "n ..."], y: Tensor, eps: float, beta: float = 6.0, *,
    attack: Callable[..., Tensor] = pgd, **options: object,
) -> Float[Tensor, ""]:  # fmt: skip
    """TRADES: cross-entropy of the clean examples plus beta KL(p(x) || p(x')), x' chosen to make that divergence large.

    options: of the attack, such as steps. Paper: Zhang, Yu, Jiao, Xing, El Ghaoui & Jordan 2019, Theoretically
    principled trade-off between robustness and accuracy.
    """
    clean = network(x).log_softmax(-1)
    fixed = clean.detach()

    def apart(outputs: Tensor, _: Tensor) -> Tensor:
        return functional.kl_div(outputs.log_softmax(-1), fixed, reduction="batchmean", log_target=True)

    moved = attack(network, x, y, eps, loss=apart, **options)
    divergence = functional.kl_div(network(moved).log_softmax(-1), clean, reduction="batchmean", log_target=True)
    return functional.nll_loss(clean, y) + beta * divergence


def adversarial_loss(
    network: nn.Module, x: Float[Tensor, "n ..."], y: Tensor, eps: float, alpha: float = 0.5, *,
    attack: Callable[..., Tensor] = fgsm, loss: Loss = functional.cross_entropy, **options: object,
) -> Float[Tensor, ""]:  # fmt: skip
    """alpha J(x) + (1 - alpha) J(x'), x' from the attack (Goodfellow et al. 2015, section 6)."""
    moved = attack(network, x, y, eps, loss=loss, **options)
    return alpha * loss(network(x), y) + (1 - alpha) * loss(network(moved), y)


def robust_accuracy(network: nn.Module, x: Float[Tensor, "n ..."], y: Tensor, attack: Callable[..., Tensor]) -> float:
    """The share of examples that are right both clean and under attack(network, x, y), in evaluation mode.

    attack: ours with numbers of your own, or any function that gives examples like x; it may take gradients.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        moved = attack(network, x, y)
        with torch.no_grad():
            right = (network(x).argmax(-1) == y) & (network(moved).argmax(-1) == y)
        return float(right.double().mean())
    finally:
        for module, mode in modes:  # not network.train(): what its owner froze stays frozen
            module.training = mode


def _check(x: Tensor, eps: float | Tensor, norm: str, steps: int = 1) -> None:
    if norm not in ("inf", "2"):
        raise InvalidInput(f'norm must be "inf" or "2"; got {norm!r}.')
    if not x.is_floating_point():
        raise InvalidInput(needs_floats("an attack", x))
    if not isinstance(eps, Tensor) and not eps >= 0:
        raise InvalidInput(f"eps must be a number of at least 0; got {eps!r}.")
    if steps < 0:
        raise InvalidInput(f"steps must be a whole number of at least 0; got {steps!r}.")


def _gradient(network: Run | nn.Module, x: Tensor, y: Tensor, loss: Loss) -> Tensor:
    return input_gradient(network, x, y, loss).detach()


def _direction(gradient: Tensor, norm: Norm) -> Tensor:
    return gradient.sign() if norm == "inf" else unit(gradient)


def _projected(delta: Tensor, eps: float | Tensor, norm: Norm) -> Tensor:
    if norm == "inf":
        return delta.clamp(-eps, eps)  # type: ignore[arg-type]  # both numbers, or both tensors
    return delta * (eps / _lengths(delta).clamp_min(1e-12)).clamp(max=1)


def _inside(x: Tensor, eps: float | Tensor, norm: Norm) -> Tensor:
    if norm == "inf":
        return (2 * torch.rand_like(x) - 1) * eps
    direction = torch.randn_like(x)
    return eps * torch.rand_like(_lengths(x)) * direction / _lengths(direction).clamp_min(1e-12)


def _lengths(x: Tensor) -> Tensor:
    """Each example's Euclidean norm, with axes of one for the others."""
    return x.flatten(1).norm(dim=1).view(-1, *(1,) * (x.ndim - 1))
