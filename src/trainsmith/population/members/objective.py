"""What a member minimizes: its network, loss and penalties as one module, so that all of it can be stacked."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from trainsmith.errors import InvalidInput
from trainsmith.luck.widest import at_once
from trainsmith.regularization import DeepEnsemble, activity_cost, mixed_loss
from trainsmith.rows import PIECE, Examples, pieces


class SquaredError(nn.Module):
    """Mean squared error: outputs (n, 1) of targets (n,), or outputs (n, ...) of as many targets (n, k)."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        aligned = outputs.squeeze(-1) if targets.ndim == 1 else outputs.flatten(1)
        return functional.mse_loss(aligned, targets)


class BinaryCrossEntropy(nn.Module):
    """Mean over examples and labels of the cross-entropy of a yes or no: logits and targets (n, labels)."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (functional.softplus(logits) - logits * targets).mean()


class BalancedCrossEntropy(nn.Module):
    """sum of weight[y] * -log p_y over the examples / sum of weight[y]: logits (n, classes), class indices (n,)."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        each = self.weight.gather(0, targets)
        return -(each * functional.log_softmax(logits, -1).gather(-1, targets[:, None]).squeeze(-1)).sum() / each.sum()


class NextCharacter(nn.Module):
    """Mean cross-entropy over all positions: logits (n, positions, characters), targets (n, positions)."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return -functional.log_softmax(logits, -1).gather(-1, targets[..., None]).mean()


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


@torch.no_grad()
def outputs_by_pieces(network: nn.Module, x: Examples) -> Tensor:
    """The network's predictions in evaluation mode for x (n, ...), of which no more than a piece is in memory.

    Nor do its own tensors take more than in other evaluations.
    """
    network.eval()
    outputs = []
    most = min(PIECE, x.shape[1:].numel() * at_once(network, x[:3]))
    held: Tensor | None = None
    for part in pieces(x, most):  # into one place: freed ones would be cut up by the outputs that stay
        held = torch.empty_like(part) if held is None else held
        outputs.append(predictions(network(held[: len(part)].copy_(part))).clone())
    return torch.cat(outputs)


class Predicting(nn.Module):
    """A network that returns its predictions and nothing else. frozen: the names of the parameters that stay."""

    def __init__(self, network: nn.Module, frozen: frozenset[str]) -> None:
        super().__init__()
        self.network = network
        self.frozen = frozen

    def forward(self, x: Tensor) -> Tensor:
        return predictions(self.network(x))


class Objective(nn.Module):
    """loss(network(x), y) + the sum of penalties on the network's weights (tensors with two axes or more).

    In training, in this order: augmentations change x; a mixing mixes examples, and the loss by the same share;
    perturbations change the weights for this pass; what activations cost is added; gradients, terms of the loss that
    are 0, change the gradients of all parameters. What has passes of its own gets network and loss and gives the value;
    it stands alone, without mixing and perturbations; parameters of its own are trained and penalized as the network's
    are. If it learns from unlabelled examples, x has them behind those that y is of. networks: how many an ensemble
    trains side by side, each on its own part of x; the value is the sum of their losses.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        penalties: Sequence[nn.Module] = (),
        augmentations: Sequence[nn.Module] = (),
        mixing: nn.Module | None = None,
        perturbations: Sequence[nn.Module] = (),
        gradients: Sequence[nn.Module] = (),
        passes: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.penalties = nn.ModuleList(penalties)
        self.augmentations = nn.ModuleList(augmentations)
        self.mixing = mixing
        self.perturbations = nn.ModuleList(perturbations)
        self.gradients = nn.ModuleList(gradients)
        self.penalized = True
        self.networks = len(network.members) if isinstance(network, DeepEnsemble) else 1
        self.frozen = frozenset(f"network.{n}" for n, p in network.named_parameters() if not p.requires_grad)
        self.passes = passes
        self.begin()

    def begin(self) -> None:
        """What keeps weights of its own beside the network's starts from those that it has now."""
        begun = getattr(self.passes, "begun", None)
        if begun is not None:
            self.passes = begun(Predicting(self.network, self.frozen))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        for augment in self.augmentations:
            x = augment(x)
        if self.passes is not None and self.training:
            value = self.passes(Predicting(self.network, self.frozen), self.loss, x, y)
        elif self.mixing is None or not self.training:
            value = self.loss(self._outputs(x), y)
        else:
            x, *partners = self.mixing(x, y)
            value = mixed_loss(self.loss, self._outputs(x), y, *partners)
        if self.training:
            value = self.networks * value  # each network of an ensemble has the gradient of its own mean loss
        for cost in activity_cost(self.network):
            value = value + cost
        if not self.penalized:
            return value
        own = [] if self.passes is None else list(self.passes.parameters())
        weights = [*self._weights().values(), *(p for p in own if p.ndim >= 2)]
        for penalty in self.penalties:
            value = value + penalty(weights)
        for noise in self.gradients:
            value = value + noise([*self.network.parameters(), *own])
        return value

    @property
    def unlabelled(self) -> int:
        """How many unlabelled examples a step takes for each labelled one."""
        return getattr(self.passes, "unlabelled", 0)

    @property
    def scores_others(self) -> bool:
        """Whether other weights are scored and exported than are trained: a teacher's."""
        return hasattr(self.passes, "scored")

    def scored(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What to score and export in place of some of the objective's tensors, given all of them by name."""
        own = {n.removeprefix("passes."): t for n, t in state.items() if n.startswith("passes.")}
        found: dict[str, Tensor] = self.passes.scored(state, own)  # type: ignore[union-attr, operator]
        return {**state, **found}

    def _weights(self) -> dict[str, Tensor]:
        weights = {name: p for name, p in self.network.named_parameters() if p.ndim >= 2}
        return {name: p for name, p in weights.items() if f"network.{name}" not in self.frozen}

    def _outputs(self, x: Tensor) -> Tensor:
        if not len(self.perturbations):
            return predictions(self.network(x))
        weights = self._weights()
        changed = list(weights.values())
        for perturb in self.perturbations:
            changed = perturb(changed)
        return predictions(functional_call(self.network, dict(zip(weights, changed, strict=True)), (x,)))


def in_training(objective: Objective) -> Objective:
    """The objective ready to train: a network handed over in evaluation mode is switched as a whole.

    One in training mode stays as it is, so that layers its owner froze, such as a batch normalization in
    evaluation mode, stay frozen.
    """
    if not objective.network.training:
        objective.network.train()
    return objective
