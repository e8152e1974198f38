"""What a member minimizes: its network, loss and penalties as one module, so that all of it can be stacked."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from trainsmith.errors import InvalidInput


class SquaredError(nn.Module):
    """Mean squared error of one output per example: outputs (n, 1), targets (n,)."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(outputs.squeeze(-1), targets)


class CrossEntropy(nn.Module):
    """Mean cross-entropy: logits (n, classes), targets (n,) class indices.

    torch's cross_entropy also looks for targets to ignore, which costs a third more calls a step.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return -functional.log_softmax(logits, -1).gather(-1, targets[:, None]).mean()


def predictions(output: Any) -> Tensor:
    """The tensor a network's output predicts with: itself, its `logits`, or the first of a tuple or list.

    Raises InvalidInput for any other output.
    """
    output = getattr(output, "logits", output)
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise InvalidInput(
            f"the network must return a tensor, an object with `logits` or a tuple that begins with a tensor; it "
            f"returned {type(output).__name__}. Wrap it in a module that returns its predictions."
        )
    return output


class Objective(nn.Module):
    """loss(network(x), y) + the sum of penalties on the network's weights (tensors with two axes or more)."""

    def __init__(self, network: nn.Module, loss: nn.Module, penalties: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.penalties = nn.ModuleList(penalties)
        self.penalized = True

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        value = self.loss(predictions(self.network(x)), y)
        weights = [p for p in self.network.parameters() if p.ndim >= 2]
        for penalty in self.penalties if self.penalized else ():
            value = value + penalty(weights)
        return value


def in_training(objective: Objective) -> Objective:
    """The objective ready to train: a network handed over in evaluation mode is switched as a whole.

    One in training mode stays as it is, so that layers its owner froze, such as a batch normalization in
    evaluation mode, stay frozen.
    """
    if not objective.network.training:
        objective.network.train()
    return objective
