"""Averages of the weights of a training, to evaluate and export in place of the last ones."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.catalogue import FRACTION, Hyperparameter
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput


class WeightAverage:
    """Weight averaging around any optimizer: the mean of the weights after its steps, kept beside them.

        average = average + max(1 / n, 1 - decay) (theta - average)        n = 1, 2, ... the weights taken in

    decay: below 1 an exponential moving average (Tarvainen & Valpola 2017, Mean teachers, section 2), which is the
    plain mean while that is the shorter memory, so that its start needs no correction. None: the plain mean of all
    that is taken in (Polyak & Juditsky 1992). With `start` and `every`, stochastic weight averaging (Izmailov et al.
    2018, Algorithm 1). start: how many steps go by before. every: steps from one taking-in to the next.
    module: whose floating-point buffers (running statistics) are averaged and swapped too, and its other buffers
    kept as they are; for exact statistics see `recompute_statistics`.

    Differs: 1. The weights before the first step are not part of the mean; Mean teachers' are.

    `eval()` puts the averages into the parameters and `train()` takes them out; calling either twice does no harm,
    and state_dict, taken in either state, goes on from where it was.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        decay: float | None = 0.999,
        start: int = 0,
        every: int = 1,
        module: nn.Module | None = None,
    ) -> None:
        if decay is not None:
            Hyperparameter("", (0.1, 0.9), domain=FRACTION).named("decay", 0.5).check(decay, "weight average")
        for name, value, least in (("start", start, 0), ("every", every, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidInput(f"{name} must be a whole number of at least {least}; got {value!r}.")
        self.optimizer, self.module = optimizer, module
        self.decay, self.start, self.every = decay, start, every
        self.steps = self.taken = 0
        self.averages: list[Tensor] = []
        self.trained: list[Tensor] = []

    def _tensors(self) -> list[Tensor]:
        """What is averaged: the optimizer's parameters, and the module's floating-point buffers."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        buffers = self.module.buffers() if self.module is not None else ()
        return [*parameters, *(b for b in buffers if b.is_floating_point())]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """The optimizer's step, and the weights after it taken in. Raises InvalidInput while evaluating."""
        if self.trained:
            raise InvalidInput("the parameters hold the averaged weights: call train() before step().")
        loss = self.optimizer.step(closure)
        self.steps += 1
        if self.steps > self.start and (self.steps - self.start - 1) % self.every == 0:
            self._take_in()
        return loss

    def _take_in(self) -> None:
        tensors = [single(t.detach()) for t in self._tensors()]  # half precision has no room for small shares
        self.taken += 1
        if self.taken == 1:
            self.averages = [t.clone() for t in tensors]
            return
        new = max(1 / self.taken, 1 - (1.0 if self.decay is None else self.decay))
        torch._foreach_lerp_(self.averages, tensors, new)

    @torch.no_grad()
    def eval(self) -> None:
        """Put the averages, if there are any yet, into the parameters and buffers."""
        if self.averages and not self.trained:
            self.trained = [t.detach().clone() for t in self._tensors()]
            torch._foreach_copy_([t.detach() for t in self._tensors()], self.averages)

    @torch.no_grad()
    def train(self) -> None:
        """Put what is trained back."""
        if self.trained:
            torch._foreach_copy_([t.detach() for t in self._tensors()], self.trained)
            self.trained = []

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """`with average.evaluating():` evaluates the averages inside and trains on after it."""
        self.eval()
        try:
            yield
        finally:
            self.train()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """The optimizer's."""
        self.optimizer.zero_grad(set_to_none)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's, so that learning rates are seen and set through it."""
        return self.optimizer.param_groups

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state and the averages."""
        own = {name: getattr(self, name) for name in ("steps", "taken", "averages", "trained")}
        return {"optimizer": self.optimizer.state_dict(), **own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state_dict. Raises InvalidInput where its tensors are not those of these parameters."""
        tensors = self._tensors()
        for name in ("averages", "trained"):
            if state[name] and [t.shape for t in state[name]] != [t.shape for t in tensors]:
                raise InvalidInput("the stored averages have other shapes than the parameters: pass the same network.")
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.taken = state["steps"], state["taken"]
        for name, like in (("averages", [single(t.detach()) for t in tensors]), ("trained", tensors)):
            setattr(self, name, [a.to(t, copy=True) for a, t in zip(state[name], like, strict=bool(state[name]))])


def with_statistics(module: nn.Module) -> list[nn.Module]:
    """The layers with running statistics, torch's or ours; an instance normalization may have none."""
    return [m for m in module.modules() if isinstance(getattr(m, "running_mean", None), Tensor)]


@contextlib.contextmanager
def whole_batches(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Layers that normalize a batch by parts take it `whole`."""
    by_parts = [layer for layer in layers if hasattr(layer, "whole")]
    for layer in by_parts:
        layer.whole = True  # type: ignore[assignment]
    try:
        yield
    finally:
        for layer in by_parts:
            layer.whole = False  # type: ignore[assignment]


@torch.no_grad()
def recompute_statistics(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Running statistics as plain means over `batches` of inputs, for weights they were not taken at.

    For every layer that has a `running_mean` and a `momentum`, torch's or ours; one that normalizes a batch by parts
    takes it `whole`. Weights, modes and a count of training steps stay. A module in evaluation mode trains as a whole
    meanwhile; in one in training mode layers that their owner froze stay as they are.
    """
    layers = with_statistics(module)
    modes = {m: m.training for m in module.modules()}
    momenta = [m.momentum.clone() if isinstance(m.momentum, Tensor) else m.momentum for m in layers]
    counts = [(c, c.clone()) for m in layers if isinstance(c := getattr(m, "steps", None), Tensor)]
    try:
        if not module.training:
            module.train()
        with whole_batches(layers):
            for i, x in enumerate(batches if layers else (), 1):
                for layer in layers:
                    _set_momentum(layer, 1 / i)
                module(x)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            _set_momentum(layer, momentum)
        for steps, before in counts:
            steps.copy_(before)
        for m, mode in modes.items():
            m.training = mode


def _set_momentum(layer: nn.Module, value: Any) -> None:
    if isinstance(layer.momentum, Tensor):
        layer.momentum.copy_(torch.as_tensor(value))
    else:
        layer.momentum = value
