"""Several tasks with one trunk (Caruana 1997, Multitask learning). To be used alone."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trainsmith.errors import InvalidInput


class SharedTrunk(nn.Module):
    """One network whose features go into a head for each task: {task: outputs}."""

    def __init__(self, trunk: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict(dict(heads))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Each head's outputs for the trunk's features of x."""
        features = self.trunk(x)
        return {task: head(features) for task, head in self.heads.items()}


class UncertaintyWeights(nn.Module):
    """Weights of several losses that are learned as the tasks' noise.

        J = sum_i a_i exp(-s_i) L_i + s_i / 2,   s_i = log sigma_i^2, learned
        a_i = 1/2 for a squared error, 1 for a cross-entropy

    Kendall, Gal & Cipolla 2018, Multi-task learning using uncertainty to weigh losses for scene geometry and semantics,
    equations 7 and 10. For fixed losses it is least at s_i = log(2 a_i L_i). The weights are parameters: give them
    to the optimizer, without weight decay.
    """

    squared: Tensor

    def __init__(self, squared: tuple[bool, ...]) -> None:
        """squared: for each task, whether its loss is a squared error (True) or a cross-entropy."""
        super().__init__()
        self.register_buffer("squared", torch.tensor(squared))
        self.log_variance = nn.Parameter(torch.zeros(len(squared)))

    def forward(self, losses: Float[Tensor, " tasks"] | Sequence[Tensor]) -> Float[Tensor, ""]:
        """The weighted sum of the tasks' losses, (tasks,) or a list. Raises InvalidInput for another number of them."""
        losses = losses if isinstance(losses, Tensor) else torch.stack(list(losses))
        if len(losses) != len(self.log_variance):
            raise InvalidInput(f"expected {len(self.log_variance)} losses, one a task; got {len(losses)}.")
        factors = 1 - 0.5 * self.squared.to(losses.dtype)
        return (factors * (-self.log_variance).exp() * losses + self.log_variance / 2).sum()


def rotated(
    x: Float[Tensor, "n channels side side"],
) -> tuple[Float[Tensor, "m channels side side"], Int[Tensor, " m"]]:
    """All images turned by 0, 90, 180 and 270 degrees, (4 n, ...), with the quarters as classes, an auxiliary task.

    Gidaris, Singh & Komodakis 2018, Unsupervised representation learning by predicting image rotations, section 2.2.
    """
    if x.ndim != 4 or x.shape[2] != x.shape[3]:
        raise InvalidInput(f"square images (n, channels, side, side) can be turned by quarters; got {tuple(x.shape)}.")
    turned = torch.cat([torch.rot90(x, k, (2, 3)) for k in range(4)])
    return turned, torch.arange(4, device=x.device).repeat_interleave(len(x))
