"""A network that takes the numbers of examples in place of the examples: several inputs are one tensor then.

What trains many copies of a network, and what changes one, knows networks of one input tensor. Behind the numbers lie
inputs of any form: one tensor, several in a tuple, or arguments by name.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from trainsmith.inspection.passes.given import called, count, over, some
from trainsmith.inspection.passes.record import Loss, loss_value


@dataclass(frozen=True)
class Shelf:
    """Inputs, targets and loss of a network, which its copies share.

    The loss is no part of the network: where it is a module, its numbers stay what they are.
    """

    x: Any
    y: Tensor | None = None
    loss: Loss | None = None

    def __deepcopy__(self, memo: Any) -> Self:
        return self


def numbers_of(x: Any) -> Tensor:
    """The number of each example (n,)."""
    return torch.arange(count(x))


class ByNumber(nn.Module):
    """A network called with the numbers of the examples that it is to take (n,)."""

    def __init__(self, network: nn.Module, x: Any) -> None:
        super().__init__()
        self.network, self.shelf = network, Shelf(x)
        self.training = network.training  # its own alone: layers that an owner froze stay in the mode that they have

    def forward(self, numbers: Tensor) -> Any:
        # cloned, as the network may write over what it is given
        return called(self.network, over(some(self.shelf.x, numbers), Tensor.clone))


class LossByNumber(nn.Module):
    """The loss of the examples with these numbers (n,), once for each of them: their mean is the loss.

    y: the targets, None where the network makes its own loss of what it is given. loss: as for `inspect`.
    """

    def __init__(self, network: nn.Module, x: Any, y: Tensor | None, loss: Loss | None) -> None:
        super().__init__()
        self.network, self.shelf = ByNumber(network, x), Shelf(None, y, loss)
        self.training = network.training

    def forward(self, numbers: Tensor) -> Tensor:
        y = None if self.shelf.y is None else self.shelf.y[numbers]
        return loss_value(self.network(numbers), y, self.shelf.loss).reshape(()).expand(len(numbers))


def mean_of(outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss for `LossByNumber`, whose outputs are one already."""
    return outputs.mean()
