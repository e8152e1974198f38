"""Terms of the loss for examples without labels (Goodfellow et al. 2016, section 7.6), to be weighted and added.

Targets carry no gradient. The techniques of the catalogue are made of these; see unlabelled.py for how they are given
their examples.
"""

import copy
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad
from torch.nn import functional

from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import normal_like
from trainsmith.regularization.label_smoothing import entropy

Logits = Float[Tensor, "n classes"]


def entropy_minimization(logits: Logits) -> Float[Tensor, ""]:
    """mean of H(p) = -sum_k p_k log p_k. Grandvalet & Bengio 2005, Semi-supervised learning by entropy minimization."""
    return entropy(functional.log_softmax(logits, -1)).mean()


def pseudo_label(logits: Logits, threshold: float | Tensor = 0.0) -> Float[Tensor, ""]:
    """Cross-entropy to the network's own most likely class, where it is likely enough; the mean over all examples.

    Lee 2013, Pseudo-label, equation 15 (threshold 0); Oliver et al. 2018 use a threshold of 0.95.
    """
    return fixmatch(logits, logits, threshold)


def fixmatch(weak: Logits, strong: Logits, threshold: float | Tensor = 0.95) -> Float[Tensor, ""]:
    """1/n sum of 1[max q >= threshold] CE(argmax q, strong), q = softmax(weak) without gradient.

    Sohn et al. 2020, FixMatch, equation 4: `weak` and `strong` are logits of weakly and strongly augmented inputs.
    """
    confidence, label = weak.detach().softmax(-1).max(-1)
    losses = -strong.log_softmax(-1).gather(-1, label[:, None]).squeeze(-1)
    return torch.where(confidence >= threshold, losses, 0).mean()


def consistency(logits: Logits, target: Logits) -> Float[Tensor, ""]:
    """Mean over examples and classes of (softmax(logits) - softmax(target))^2, target without gradient.

    Laine & Aila 2017, Temporal ensembling, Algorithm 1 (Pi-model: two noisy passes); Tarvainen & Valpola 2017 with a
    mean teacher's logits for a target.
    """
    return (logits.softmax(-1) - target.detach().softmax(-1)).square().mean()


def ramp_up(step: float, length: float) -> float:
    """exp(-5 (1 - t)^2), t = step / length up to 1: how the weight of consistency grows (Laine & Aila 2017).

    Of a length of 0 it is 1 at once.
    """
    return math.exp(-5 * (1 - min(max(step / length, 0.0), 1.0)) ** 2) if length > 0 else 1.0


class Teacher(nn.Module):
    """A copy of a network whose weights are an exponential mean of its own: theta' = a theta' + (1 - a) theta.

    Tarvainen & Valpola 2017, Mean teachers are better role models, section 2; a = min(1 - 1 / (t + 1), decay) in the
    t-th update, so that the first steps count. Buffers, such as running statistics, are copied. Means of half precision
    are kept in single beside the copy. A state_dict goes on from the update where it was taken.
    """

    def __init__(self, student: nn.Module, decay: float = 0.999) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise InvalidInput(f"decay must be a number in [0, 1); got {decay!r}.")
        self.teacher = copy.deepcopy(student).requires_grad_(False)
        self.decay = decay
        self.updates = 0
        for i, p in enumerate(student.parameters()):
            if single(p) is not p:  # half precision has no room for small shares
                self.register_buffer(f"mean{i}", single(p.detach()))

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Move the teacher after a step of the student."""
        self.updates += 1
        keep = min(1 - 1 / (self.updates + 1), self.decay)
        for i, (copied, now) in enumerate(zip(self.teacher.parameters(), student.parameters(), strict=True)):
            mean = getattr(self, f"mean{i}", copied)
            mean.mul_(keep).add_(now, alpha=1 - keep)
            if mean is not copied:
                copied.copy_(mean)
        for own, buffer in zip(self.teacher.buffers(), student.buffers(), strict=True):
            own.copy_(buffer)

    def get_extra_state(self) -> Tensor:
        """How many updates there were, for the state_dict."""
        return torch.tensor(self.updates)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from so many updates."""
        self.updates = int(state)

    def forward(self, x: Tensor) -> Tensor:
        """The teacher's outputs, without gradient."""
        with torch.no_grad():
            return self.teacher(x)


def adversarial_direction(
    network: Callable[[Tensor], Logits],
    x: Float[Tensor, "n *axes"],
    xi: float = 1e-2,
    rounds: int = 1,
    reach: float | Tensor = 1.0,
    before: Logits | None = None,
) -> Float[Tensor, "n *axes"]:
    """For each example the unit direction in which the prediction changes most, by power iteration.

    u <- unit(grad_u KL(p(x), p(x + xi reach u))), from a random u: it tends to the leading eigenvector of the
    divergence's Hessian. Miyato, Maeda, Koyama & Ishii 2018, Virtual adversarial training, section 3.3 and Algorithm 1;
    xi is 1e-6 in their code, which in float32 leaves nothing but rounding. reach: the units of u, for each number of an
    example or for all. before: the logarithms of p(x), where they are known already.
    """
    if before is None:
        with torch.no_grad():
            before = network(x).log_softmax(-1)
    u = unit(normal_like(x))
    for _ in range(rounds):
        u = unit(grad(lambda v: divergence(before, network(x + xi * reach * v).log_softmax(-1)))(u))
    return u.detach()


def virtual_adversarial(
    network: Callable[[Tensor], Logits],
    x: Float[Tensor, "n *axes"],
    epsilon: float | Tensor,
    xi: float = 1e-2,
    rounds: int = 1,
    reach: float | Tensor = 1.0,
) -> Float[Tensor, ""]:
    """KL(p(x), p(x + epsilon reach u)), u from `adversarial_direction`, p(x) without gradient; the mean over examples.

    Miyato et al. 2018, equations 5 and 8. epsilon is in units of the inputs times reach. Batch normalization must keep
    its statistics still in these passes: give a network that does, such as `passes.still(network)`.
    """
    with torch.no_grad():
        before = network(x).log_softmax(-1)
    u = adversarial_direction(network, x, xi, rounds, reach, before)
    return divergence(before, network(x + epsilon * reach * u).log_softmax(-1))


def divergence(log_p: Float[Tensor, "n classes"], log_q: Float[Tensor, "n classes"]) -> Float[Tensor, ""]:
    """KL(p || q), the mean over examples."""
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()  # torch has no batched kl_div


def unit(u: Float[Tensor, "n *axes"]) -> Float[Tensor, "n *axes"]:
    """Each example's vector with length 1; divided by its largest number first, so that no square underflows."""
    flat, tiny = u.flatten(1), torch.finfo(u.dtype).tiny
    flat = flat / flat.abs().amax(1, keepdim=True).clamp_min(tiny)
    return (flat / flat.norm(dim=1, keepdim=True).clamp_min(tiny)).view_as(u)
