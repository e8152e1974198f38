"""A second task that shares the network with the first: what it and its head have in common, whatever it is."""

import contextlib
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.regularization.passes import Loss, needs_module, still

WEIGHT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class SecondTask(nn.Module):
    """The network's own loss and, with a weight, that of a second task for the features that its last layer gets.

    loss = J + weight * J2

    The features are the inputs of the last linear or convolution layer of a pass, all numbers of an example in a row. A
    linear head of its own takes them to the second task's outputs; the network stays as it is, and so does what is
    scored and exported. The head's weights are parameters of this module, to be trained with the network's.
    """

    weight: Tensor

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(float(weight)))
        self.place = -1
        self.head: nn.Linear | None = None

    @classmethod
    def unmet(cls, network: nn.Module, x: Tensor) -> str:
        """Why this cannot act beside a network with inputs x (n, ...), or nothing."""
        return "" if _last_layer(network, x)[0] >= 0 else "the network calls no linear or convolution layer"

    def with_head(self, network: nn.Module, x: Tensor, generator: torch.Generator | None = None) -> "SecondTask":
        """Make the head for inputs like x (n, ...): weights normal with variance 1 / features, biases 0.

        The first step does it where nobody did, but then no optimizer knows the head. generator: torch's own, if none
        is given. Raises InvalidInput for a network or inputs that it cannot act with.
        """
        if not isinstance(network, nn.Module):
            raise InvalidInput(needs_module(self, network))
        if reason := self.unmet(network, x):
            raise InvalidInput(f"{type(self).__name__} cannot be used: {reason}.")
        self.place, features = _last_layer(network, x)
        made = nn.utils.skip_init(nn.Linear, features.shape[1], self.outputs(x))
        nn.init.normal_(made.weight, 0, features.shape[1] ** -0.5, generator)
        nn.init.zeros_(made.bias)
        self.head = made.to(features)
        return self

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
        """The loss of the batch x (n, ...), y (n, ...)."""
        if not isinstance(network, nn.Module):
            raise InvalidInput(needs_module(self, network))
        if self.head is None:
            self.with_head(network, x)
        return self.joined(*self.losses(network, loss, x, y))

    def joined(self, first: Float[Tensor, ""], second: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """One loss of the two tasks'."""
        return first + self.weight.to(first) * second

    def outputs(self, x: Float[Tensor, "n ..."]) -> int:
        """How many numbers the second task predicts for each of the inputs x."""
        raise NotImplementedError

    def losses(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each task."""
        raise NotImplementedError

    @contextlib.contextmanager
    def watched(self, network: nn.Module) -> Iterator[list[Tensor]]:
        """What goes into the last layer in passes made meanwhile, in their order."""
        layer = [m for m in network.modules() if isinstance(m, WEIGHT_LAYERS)][self.place]
        seen: list[Tensor] = []
        hook = layer.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        try:
            yield seen
        finally:
            hook.remove()

    def predicted(self, seen: list[Tensor]) -> Float[Tensor, "n outputs"]:
        """The head's outputs for what was seen last."""
        assert self.head is not None
        return self.head(seen[-1].flatten(1))


class Uncertain(SecondTask):
    """The same with weights of both losses that are learned as the tasks' noise.

    loss = exp(-s1) J + s1 / 2 + weight * (exp(-s2) J2 + s2 / 2),   s1 and s2 learned, 0 at the start
    """

    def __init__(self, weight: float) -> None:
        super().__init__(weight)
        self.log_variance = nn.Parameter(torch.zeros(2))

    def joined(self, first: Float[Tensor, ""], second: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """One loss of the two tasks', each in units of its own noise."""
        s = self.log_variance.to(first)
        one, two = (-s).exp() * torch.stack([first, second]) + s / 2
        return one + self.weight.to(first) * two


def _last_layer(network: nn.Module, x: Tensor) -> tuple[int, Tensor]:
    """Of the layer with weights that a pass of x calls last: its place among them, and its inputs, flattened.

    -1 and x itself where none is called.
    """
    layers = [m for m in network.modules() if isinstance(m, WEIGHT_LAYERS)]
    calls: list[tuple[int, Tensor]] = [(-1, x)]

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        calls.append((layers.index(module), args[0]))  # type: ignore[arg-type]

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            still(network)(x[:8])
    finally:
        for hook in hooks:
            hook.remove()
    place, inputs = calls[-1]
    return place, inputs.flatten(1)
