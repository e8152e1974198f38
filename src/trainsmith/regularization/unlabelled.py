"""What techniques have in common that learn from examples without labels as well."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue.fitted import Fitted
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import normal_like
from trainsmith.regularization.images import Shift
from trainsmith.regularization.passes import Loss
from trainsmith.rows import Summary


class Unlabelled(Fitted):
    """The labelled loss and a weighted term for examples whose labels are not looked at.

    A step's batch carries the unlabelled examples behind the labelled ones: x (n + m, ...), y (n,). Where it carries
    none, the labelled ones serve a second time. The labelled examples go through the network in a pass of their own,
    which alone moves running statistics; with weight 0 the loss is the supervised one, bit for bit.

    unlabelled: how many unlabelled examples a step takes for each labelled one.
    """

    kinds = ("image", "table")
    classifies: ClassVar[bool] = True
    weight: Tensor
    step: Tensor
    scale: Tensor

    def __init__(self, weight: float, unlabelled: int) -> None:
        super().__init__()
        if not isinstance(unlabelled, int) or unlabelled < 1:
            raise InvalidInput(f"unlabelled must be a whole number of at least 1; got {unlabelled!r}.")
        self.unlabelled = unlabelled
        self.register_buffer("weight", torch.tensor(float(weight)))
        self.register_buffer("step", torch.tensor(0))
        self.register_buffer("scale", torch.tensor(1.0))

    def fit(self, x: Tensor) -> "Unlabelled":
        """Take the inputs' spread from labelled ones (n, ...): of each column of a table, of all pixels together."""
        self.scale = x.std(0, correction=0) if x.ndim == 2 else x.std(correction=0)
        return self

    def fit_to(self, s: Summary, dtype: torch.dtype) -> "Unlabelled":
        """The same from a summary of the labelled inputs."""
        self.scale = s.std.to(dtype)
        return self

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
        """The loss of a batch, from logits (n, classes)."""
        n = len(y)
        value = loss(network(x[:n]), y)
        self.step.add_(1)
        return value + self.weight.to(value) * self.share().to(value) * self.term(network, x[n:] if len(x) > n else x)

    def share(self) -> Tensor:
        """How much of the weight counts at this step, from 0 to 1."""
        return torch.ones_like(self.weight)

    def term(self, network: nn.Module, x: Tensor) -> Float[Tensor, ""]:
        """The mean over unlabelled examples x (m, ...) of what they cost."""
        raise NotImplementedError


class Views(Unlabelled):
    """Terms that compare two noisy views of an example, with a weight that grows over the first steps.

    A view has normal noise added, in units of the inputs' spread, and of images a random shift.
    """

    ramp: Tensor
    noise: Tensor

    def __init__(self, weight: float, noise: float, shift: float, ramp: float, unlabelled: int) -> None:
        super().__init__(weight, unlabelled)
        self.register_buffer("noise", torch.tensor(float(noise)))
        self.register_buffer("ramp", torch.tensor(float(ramp)))
        self.shifted = Shift(shift)

    def share(self) -> Tensor:
        """exp(-5 (1 - t)^2), t = step / ramp, at most 1."""
        t = torch.where(self.ramp > 0, (self.step / self.ramp).clamp(max=1), torch.ones_like(self.ramp))
        return (-5 * (1 - t).square()).exp()

    def view(self, x: Tensor) -> Tensor:
        """The examples as they are seen once, (m, ...)."""
        if x.ndim == 4:
            x = self.shifted(x)
        return x + self.noise.to(x.dtype) * self.scale.to(x.dtype) * normal_like(x)
