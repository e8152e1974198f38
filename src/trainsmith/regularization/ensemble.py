"""Several networks for one (Goodfellow et al. 2016, Deep Learning, section 7.11)."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import technique
from trainsmith.errors import InvalidInput

COUNT = 4


def bootstrap(examples: int, members: int, seed: int) -> np.ndarray:
    """For each member as many examples drawn with replacement, (members, examples) indices.

    Breiman 1996, Bagging predictors: a share of 1 - 1/e = 63.2 % of the examples is in each sample.
    """
    return np.random.Generator(np.random.Philox(seed)).integers(0, examples, (members, examples))


def average_probabilities(logits: Float[Tensor, "members n classes"]) -> Float[Tensor, "n classes"]:
    """The members' mean probabilities. Lakshminarayanan, Pritzel & Blundell 2017, Deep ensembles, section 2.4.

    Probabilities are averaged, not logits: the mean of logits is a geometric mean of probabilities.
    """
    return logits.softmax(-1).mean(0)


def averaged(
    outputs: Float[Tensor, "members n ..."], kind: str, weights: Float[Tensor, " members"] | None = None
) -> Float[Tensor, "n ..."]:
    """The outputs whose prediction is the members' mean one, or their weighted mean (weights add up to 1).

    kind: "classes": log of the mean of softmax, "labels": logit of the mean of sigmoids, "numbers": the mean.
    """
    shares = outputs.new_full((len(outputs),), 1 / len(outputs)) if weights is None else weights
    shares = shares.view(-1, *(1,) * (outputs.ndim - 1))
    if kind not in ("classes", "labels", "numbers"):
        raise InvalidInput(f'kind must be "classes", "labels" or "numbers"; got {kind!r}.')
    if kind == "numbers":
        return (outputs * shares).sum(0)
    if kind == "classes":
        return (outputs.log_softmax(-1) + shares.log()).logsumexp(0)
    yes, no = (functional.logsigmoid(o) + shares.log() for o in (outputs, -outputs))
    return yes.logsumexp(0) - no.logsumexp(0)


class Ensemble(nn.Module):
    """Networks that predict together: forward gives the logarithms of their mean probabilities.

    Trained as a Population, its `member`s are what to make it of. kind: what is averaged, see `averaged`.
    """

    def __init__(self, members: Sequence[nn.Module], kind: str = "classes") -> None:
        super().__init__()
        if not members:
            raise InvalidInput("an ensemble needs at least one network; got none.")
        self.members, self.kind = nn.ModuleList(members), kind

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, ...) of the mean prediction, which a softmax takes back to mean probabilities."""
        return averaged(torch.stack([m(x) for m in self.members]), self.kind)


@technique("regularization", "ensemble", name="deep-ensemble", aliases=("ensemble",))
class DeepEnsemble(Ensemble):
    """Deep ensemble: four networks that differ in their luck alone are trained, and their predictions averaged.

        p(y | x) = 1 / M sum_m p_m(y | x),   M = 4;   each network has weights, batches and noise of its own

    Paper: Lakshminarayanan, Pritzel & Blundell 2017, Simple and scalable predictive uncertainty estimation using deep
    ensembles, section 2.4 and Algorithm 1.

    Differs: 1. No adversarial examples beside it, which the paper adds; `fgsm-training` is a technique of its own.
    2. What looks at a whole gradient, such as clipping by norm, looks at the four networks' together.

    Pitfall: it costs four trainings, so a gain at equal steps is not one at equal cost: see the page on the protocol.

    Helps: nearly always; and its probabilities are better calibrated. Not where four trainings, or four passes a
    prediction, are too dear.

    >>> import torch
    >>> from trainsmith.regularization import DeepEnsemble
    >>> pair = DeepEnsemble([torch.nn.Identity(), torch.nn.Flatten()]).eval()
    >>> pair(torch.zeros(1, 2)).softmax(-1).tolist()
    [[0.5, 0.5]]
    """

    gradients = COUNT
    resampled = False

    def forward(self, x: Tensor) -> Tensor:
        """In training x holds one batch for each network, end to end, and so do the outputs."""
        if not self.training:
            return super().forward(x)
        parts = x.unflatten(0, (len(self.members), -1)).unbind()
        return torch.cat([m(part) for m, part in zip(self.members, parts, strict=True)])


@technique("regularization", "ensemble", name="bagging", aliases=("bootstrap-aggregating",))
class Bagging(DeepEnsemble):
    """Bagging: four networks, each trained on a sample of the examples drawn with replacement, predict together.

        p(y | x) = 1 / M sum_m p_m(y | x),   M = 4;   network m sees n of the n training examples, drawn one by one

    Paper: Breiman 1996, Bagging predictors, section 1; Goodfellow, Bengio & Courville 2016, Deep Learning, section
    7.11 and equation 7.52.

    Differs: 1. The networks also differ in weights, batches and noise. 2. Probabilities are averaged, Breiman votes.

    Pitfall: each network sees 63 % of the examples, which costs it more than the samples' difference brings where
    networks differ enough by their luck: compare with `deep-ensemble`. It costs four trainings.

    Helps: small noisy sets of examples and unstable networks. Not where networks differ enough by their luck: each sees
    63 % of the examples.

    >>> import torch
    >>> from trainsmith.regularization import Bagging
    >>> Bagging([torch.nn.Identity()]).eval()(torch.zeros(1, 2)).softmax(-1).tolist()
    [[0.5, 0.5]]
    """

    resampled = True


@technique("regularization", "ensemble", name="snapshot-ensemble", aliases=("snapshots",))
class SnapshotEnsemble(nn.Module):
    """Snapshot ensemble: one training in four cycles of the learning rate; the weights at their ends predict together.

        lr_t = lr / 2 (cos(pi mod(t - 1, ceil(T / M)) / ceil(T / M)) + 1),   M = 4
        p(y | x) = 1 / M sum_m p(y | x; weights at the end of cycle m)

    Paper: Huang, Li, Pleiss, Liu, Hopcroft & Weinberger 2017, Snapshot ensembles: train 1, get M for free, equation 2
    and section 3.

    Differs: 1. It has the learning rate of every step in the place of the study's schedule. 2. Until the end of the
    training the weights as they are stand for the cycle that is not over.

    Pitfall: cycles that are too short give poor networks. The last cycle alone has had a quarter of the steps at a
    falling rate. Alone, call `take` after each step and set the learning rate by `pace`.

    Helps: an ensemble for the price of one training, where that one is long. Not in short trainings, whose cycles give
    poor networks.

    >>> import torch
    >>> from trainsmith.regularization import SnapshotEnsemble
    >>> network = SnapshotEnsemble([torch.nn.Linear(1, 2) for _ in range(4)]).eval()
    >>> network(torch.ones(1, 1)).equal(network.live(torch.ones(1, 1)).log_softmax(-1))    # no cycle is over
    True
    """

    taken: nn.ModuleList
    count: Tensor

    def __init__(self, members: Sequence[nn.Module], kind: str = "classes") -> None:
        super().__init__()
        if not members:
            raise InvalidInput("an ensemble needs at least one network; got none.")
        self.live, self.kind = members[0], kind
        self.taken = nn.ModuleList(members[1:])
        self.register_buffer("count", torch.zeros(()))
        for p in self.taken.parameters():
            p.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of the network that is trained; in evaluation those of the mean prediction with the snapshots."""
        if self.training:
            return self.live(x)
        outputs = torch.stack([self.live(x), *(m(x) for m in self.taken)])
        used = (torch.arange(len(outputs), device=x.device) <= self.count).to(outputs.dtype)
        return averaged(outputs, self.kind, used / (self.count + 1))

    @staticmethod
    def due(step: int, steps: int) -> int | None:
        """Which snapshot is taken after this step, from 0; none where no cycle ends, or the training does."""
        length = math.ceil(steps / COUNT)
        return step // length - 1 if step % length == 0 and step < steps else None

    @torch.no_grad()
    def take(self, step: int, steps: int) -> None:
        """After each step of a training of `steps` steps: keep the weights where a cycle ends."""
        which = self.due(step, steps)
        if which is not None:
            self.taken[which].load_state_dict(self.live.state_dict())
            self.count.fill_(which + 1)

    @staticmethod
    def pace(step: int, steps: int, factor: float) -> float:
        """The factor on the learning rate."""
        return snapshot_rate(step, steps, COUNT)


def snapshot_rate(step: int, steps: int, cycles: int) -> float:
    """The factor on the learning rate at `step`, from 1: falls from 1 to about 0 by a cosine in each cycle.

    Huang, Li, Pleiss, Liu, Hopcroft & Weinberger 2017, Snapshot ensembles, equation 2. Take a copy of the network at
    the end of each cycle, every ceil(steps / cycles) steps.
    """
    if cycles < 1:
        raise InvalidInput(f"cycles must be a whole number of at least 1; got {cycles!r}.")
    length = math.ceil(steps / cycles)
    return (math.cos(math.pi * ((step - 1) % length) / length) + 1) / 2
