"""Learning from unlabelled examples by predicting the same for two noisy views of each."""

import copy
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, Hyperparameter, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.regularization.passes import Loss, needs_module, still, trained
from trainsmith.regularization.semi_supervised import consistency
from trainsmith.regularization.unlabelled import Views

WEIGHT = Hyperparameter("loss per squared difference of probabilities", (1.0, 100.0), "log", NON_NEGATIVE, tuned=True)
NOISE = Hyperparameter("noise over the inputs' own spread", (0.05, 1.0), "log", NON_NEGATIVE, tuned=True)
SHIFT = Hyperparameter("largest shift of an image over its side", (0.0, 0.15), "linear", FRACTION)
TEACHERS = re.compile(r"(mean|statistic)\d+")
"""What the teacher's tensors are called."""
RAMP = Hyperparameter("steps in which the weight grows", (0.0, 400.0), "linear", NON_NEGATIVE)


@technique("regularization", "pass", name="pi-model", weight=WEIGHT, noise=NOISE, shift=SHIFT, ramp=RAMP)
class PiModel(Views):
    """Pi-model: two noisy passes of an unlabelled example should agree.

        loss = J(labelled) + w(t) mean over unlabelled and classes of (p(x') - p(x''))^2,   p(x'') without gradient
        w(t) = weight * exp(-5 (1 - t / ramp)^2) up to step ramp;   x', x'' = x shifted and with noise, drawn twice

    Paper: Laine & Aila 2017, Temporal ensembling for semi-supervised learning, Algorithm 1.

    Differs: 1. The term is over the unlabelled part of the batch; the labelled examples, among the unlabelled with
    their labels unseen, come as the recipe gives them. 2. ramp counts steps, the paper's 80 pass over the data. 3. The
    weight is not multiplied by the share of labelled examples. 4. Its passes leave running statistics as they are.
    5. The gradient goes through one of the two passes; in Algorithm 1 nothing stops it from going through both.

    Pitfall: with a large weight early the network agrees with itself on one class for everything. Dropout in the
    network is part of the noise. It costs two and a third gradients a step.

    Helps: images, with shifts that do not change the class. Not where neither the network nor a shift draws anything:
    both passes are the same then.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import PiModel
    >>> x, y, network = torch.rand(6, 3), torch.tensor([0, 1]), nn.Linear(3, 2)    # two labelled, four unlabelled
    >>> torch.equal(PiModel(noise=0.0)(network, cross_entropy, x, y), cross_entropy(network(x[:2]), y))
    True
    """

    gradients: ClassVar[int] = 2

    def __init__(
        self, weight: float = 10.0, noise: float = 0.3, shift: float = 0.0625, ramp: float = 200.0, unlabelled: int = 1
    ) -> None:
        super().__init__(weight, noise, shift, ramp, unlabelled)

    def term(self, network: nn.Module, x: Tensor) -> Float[Tensor, ""]:
        """The squared distance of the predictions of two views."""
        run = still(network)
        with torch.no_grad():
            target = run(self.view(x))
        return consistency(run(self.view(x)), target)


@technique(
    "regularization",
    "pass",
    name="mean-teacher",
    weight=WEIGHT,
    noise=NOISE,
    shift=SHIFT,
    ramp=RAMP,
    decay=Hyperparameter("share of the teacher that a step keeps", (0.9, 0.999), "logit", FRACTION),
)
class MeanTeacher(Views):
    """Mean teacher: the network should predict what the mean of its own past weights predicts of another noisy view.

        loss = J(labelled) + w(t) mean over unlabelled and classes of (p(x'; theta) - p(x''; theta'))^2
        theta' <- a theta' + (1 - a) theta,   a = min(1 - 1 / (t + 1), decay), after step t;   theta' without gradient
        w(t) = weight * exp(-5 (1 - t / ramp)^2) up to step ramp;   x', x'' = x shifted and with noise, drawn twice

    Paper: Tarvainen & Valpola 2017, Mean teachers are better role models, section 2; what is scored and exported is the
    teacher, as in the paper.

    Differs: 1. The term is over the unlabelled part of the batch; the labelled examples come as the recipe gives them.
    2. decay stays as it is; the paper's grows from 0.99 to 0.999 over more steps than a study has. 3. ramp counts
    steps, the paper's 80 pass over the data. 4. The teacher keeps running statistics of its own, which its passes move,
    and starts from the network's; its passes leave the network's as they are.

    Pitfall: with a decay near 1 and few steps the teacher is behind: it is the mean of about 1 / (1 - decay) steps. It
    costs two and a third gradients a step and the memory of a second network.

    Helps: few labels; its scores move less from step to step than the network's own. Not in trainings so short that the
    teacher lags behind.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import MeanTeacher
    >>> x, y, network = torch.rand(6, 3), torch.tensor([0, 1]), nn.Linear(3, 2)    # two labelled, four unlabelled
    >>> technique = MeanTeacher().begun(network)
    >>> loss = technique(network, cross_entropy, x, y)
    >>> sorted(technique.teacher(network)) == ["bias", "weight"]    # what to score: functional_call(network, ...)
    True
    """

    gradients: ClassVar[int] = 2
    decay: Tensor

    def __init__(
        self,
        weight: float = 10.0,
        noise: float = 0.3,
        shift: float = 0.0625,
        ramp: float = 200.0,
        decay: float = 0.99,
        unlabelled: int = 1,
    ) -> None:
        super().__init__(weight, noise, shift, ramp, unlabelled)
        self.register_buffer("decay", torch.tensor(float(decay)))
        self.taught: tuple[str, ...] = ()
        self.kept: tuple[str, ...] = ()

    def begun(self, network: nn.Module) -> "MeanTeacher":
        """A copy of this that has the network's weights for its teacher's; the first step does it where nobody did."""
        own = copy.deepcopy(self)
        for name in [name for name in own._buffers if TEACHERS.fullmatch(name)]:
            del own._buffers[name]
        own._take(network)
        return own

    def _take(self, network: nn.Module) -> None:
        """Learn the network's names, and take its weights where no stored state brought a teacher's."""
        weights, buffers = trained(network), dict(network.named_buffers())
        self.taught, self.kept = tuple(weights), tuple(buffers)
        means = {name: single(t) for name, t in weights.items()}  # half precision has no room for small shares
        for kind, tensors in (("mean", means), ("statistic", buffers)):
            for i, t in enumerate(tensors.values()):
                if f"{kind}{i}" not in self._buffers:
                    self.register_buffer(f"{kind}{i}", t.detach().clone())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        names = [key.removeprefix(prefix) for key in state_dict if key.startswith(prefix)]
        for name in [name for name in names if TEACHERS.fullmatch(name) and name not in self._buffers]:
            self.register_buffer(name, torch.empty_like(state_dict[prefix + name], device=self.step.device))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
        """The loss of a batch, from logits (n, classes), after the teacher followed the step before."""
        if not isinstance(network, nn.Module):
            raise InvalidInput(needs_module(self, network))
        if not self.taught:
            self._take(network)
        for name, followed in self._followed(trained(network), dict(self.named_buffers())).items():
            getattr(self, f"mean{self.taught.index(name)}").copy_(followed)
        return super().forward(network, loss, x, y)

    def _followed(self, weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The teacher's weights, in its precision, once it has followed the steps so far, of which `own` counts all."""
        a = torch.minimum(1 - 1 / (own["step"] + 1), own["decay"])
        means = {name: own[f"mean{i}"] for i, name in enumerate(self.taught)}
        return {name: a.to(m) * m + (1 - a.to(m)) * weights[name].detach().to(m) for name, m in means.items()}

    def term(self, network: nn.Module, x: Tensor) -> Float[Tensor, ""]:
        """The squared distance from what the teacher predicts."""
        weights = trained(network)
        means = {name: getattr(self, f"mean{i}").to(weights[name]) for i, name in enumerate(self.taught)}
        statistics = {name: getattr(self, f"statistic{i}") for i, name in enumerate(self.kept)}
        with torch.no_grad():
            target = functional_call(network, {**means, **statistics}, (self.view(x),))
        return consistency(still(network)(self.view(x)), target)

    def teacher(self, network: nn.Module) -> dict[str, Tensor]:
        """The teacher's weights and running statistics after the network's last step, by the network's names."""
        if not self.taught:
            self._take(network)
        return self.scored(trained(network), dict(self.named_buffers()))

    def scored(self, weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same out of tensors by their names: the network's `weights`, and this technique's `own` buffers."""
        statistics = {name: own[f"statistic{i}"] for i, name in enumerate(self.kept)}
        means = {name: mean.to(weights[name]) for name, mean in self._followed(weights, own).items()}
        return {**means, **statistics}
