"""The batched program of a bucket: losses and gradients of all members in one straight line of operations."""

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.fx import GraphModule

from trainsmith.errors import InvalidInput
from trainsmith.luck import Luck, first_pass, silent
from trainsmith.luck.attention import nests
from trainsmith.luck.widest import widest
from trainsmith.luck.written_out import WrittenOut
from trainsmith.optimizer import whole_batches, with_statistics
from trainsmith.population.members.objective import Objective, in_training, predictions
from trainsmith.population.program.reasons import explain, hazard
from trainsmith.population.program.straighten import as_written, straighten
from trainsmith.population.program.tensors import first_names, trained_and_fixed
from trainsmith.population.program.threads import one_thread
from trainsmith.population.program.traced import trace
from trainsmith.population.program.unlocked import Unlocked, unlocked

Tensors = list[Tensor]


class Unbatchable(RuntimeError):
    """This network cannot run as one program for many members; it has to be trained by the loop."""


Way = Literal["together", "in turn", "in turn, channels last"]
"""How a chunk's members pass through their program: all in each operation, or one member after another, which
is faster where a network's operations are large or have no batched kernel, as convolutions on a CPU. Images
may lie in memory with the channels last."""
WAYS: tuple[Way, ...] = get_args(Way)


class Program:
    """Losses and gradients of K stacked members, from one module that stands for their common structure.

    The step is traced once into a straight line of tensor operations, for K members or for one, which spares
    the bookkeeping of vmap and autograd at every step; a module that cannot be traced runs as it is.
    """

    def __init__(self, base: Objective, way: Way = "together") -> None:
        self.way = way
        self.base = in_training(copy.deepcopy(base))
        self.evaluated = copy.deepcopy(base).eval()
        self.stored = first_names(base.network)
        self.parameter_names, self.buffer_names = map(list, trained_and_fixed(base))
        self.writes = self._sound = False
        """Whether the network writes to its inputs, which are others' too."""
        self._evaluates_together = not any(nests(m) for m in base.modules())
        self._lines: dict[object, Callable[..., Sequence[Tensor]]] = {}
        self._slow: dict[object, Callable[..., Sequence[Tensor]]] = {}
        self._tracing = threading.Lock()
        self._widest: dict[torch.Size, int] = {}

    def places(self, x: Tensor, y: Tensor) -> int:
        """How many times one training pass of one member draws noise; it is also seen whether it writes to x."""
        counter, self.writes = first_pass(self.base, x, y)
        return counter.calls

    def losses_and_gradients(
        self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensors]:
        """Each member's loss (K,) and gradients, for stacked tensors (K, ...); buffers move in place.

        The losses are summed, not averaged, over members, so that each gets its own gradient unscaled. When
        members go in turn, these are one member's tensors, without the axis of members.
        """
        parameters = [p.detach().requires_grad_() for p in parameters]
        with torch.enable_grad():
            if self.way == "together":
                with WrittenOut():
                    losses = vmap(self.loss, randomness="error")(parameters, buffers, keys, x, y)
            else:
                losses = self.loss(parameters, buffers, keys, x, y)
            gradients = torch.autograd.grad(losses.sum(), parameters, materialize_grads=True)
        return losses.detach(), list(gradients)

    def loss(self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """One member's loss, for its own tensors; its buffers move in place."""
        x = x.clone() if self.writes else x
        state = dict(zip(self.parameter_names + self.buffer_names, [*parameters, *buffers], strict=True))
        if keys.shape[0] == 0:
            return functional_call(self.base, state, (x, y))
        with Luck(keys):
            return functional_call(self.base, state, (x, y))

    def preflight(self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor) -> Tensors:
        """Gradients of one trial pass that changes nothing. Raises Unbatchable if vmap cannot run the module.

        Penalties are left out: their gradients lie in memory as the weights do, the network's as they come.
        """
        if not self._sound and (reason := hazard(self.base, x[0], y[0])):
            raise Unbatchable(reason)
        self._sound = True
        plain = copy.copy(self)
        plain.base = copy.deepcopy(self.base)
        plain.base.penalized = False
        plain.way = "together"
        try:
            return plain.losses_and_gradients(parameters, [b.clone() for b in buffers], keys, x, y)[1]
        except InvalidInput:
            raise
        except Exception as error:
            raise Unbatchable(explain(error, plain.base)) from error

    def run(
        self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor, gradients: Tensors
    ) -> Tensor:
        """Each member's loss (K,); its gradients are written to `gradients`."""
        lines = [
            (self._line(len(parameters), len(buffers), tensors), tensors)
            for tensors in self._calls(parameters, buffers, keys, x, y, gradients)
        ]
        losses = [line(*tensors)[0] for line, tensors in lines]
        return losses[0] if self.way == "together" else torch.stack(losses)

    def prepare(
        self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor, gradients: Tensors
    ) -> None:
        """Make the straight line for tensors like these, and change nothing."""
        self._line(len(parameters), len(buffers), next(self._calls(parameters, buffers, keys, x, y, gradients)))

    def line(
        self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor, gradients: Tensors
    ) -> Unlocked | None:
        """What such tensors pass through, where that is one program in TorchScript for all members."""
        if self.way != "together":
            return None
        found = self._line(len(parameters), len(buffers), (*parameters, *buffers, keys, x, y, *gradients))
        return found if isinstance(found, Unlocked) else None

    def _calls(
        self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor, gradients: Tensors
    ) -> Iterator[tuple[Tensor, ...]]:
        """The tensors of each call of the line: one for all members, or one for each."""
        if self.way == "in turn, channels last":
            x = _channels_last(x)
        tensors = (*parameters, *buffers, keys, x, y, *gradients)
        return iter([tensors]) if self.way == "together" else zip(*tensors, strict=True)

    def _line(self, trained: int, fixed: int, tensors: Sequence[Tensor]) -> Callable[..., Sequence[Tensor]]:
        """The straight line for tensors of these shapes, made where there is none yet."""
        x, y = tensors[trained + fixed + 1 : trained + fixed + 3]
        shapes = tensors[0].shape, x.shape, x.stride(), y.shape
        line = self._lines.get(shapes) or self._slow.get(shapes)
        if line is None:
            with self._tracing, one_thread():
                line = self._lines.get(shapes) or self._trace(trained, trained + fixed, tensors)
            kind = self._lines if isinstance(line, GraphModule | Unlocked) else self._slow
            kind[shapes] = line
        return line

    def twin(self) -> "Program":
        """The same for another chunk, on another thread: modules of its own, and the same straight lines."""
        other = Program(self.base, self.way)
        other._lines, other._tracing = self._lines, self._tracing
        return other

    def _trace(self, trained: int, given: int, tensors: Sequence[Tensor]) -> Callable[..., Sequence[Tensor]]:
        """The straight line for such tensors; for a module that resists, the same as it stands.

        trained, given: where among the tensors the buffers begin, and where the keys, x, y and gradients.
        """

        def step(*tensors: Tensor) -> tuple[Tensor]:
            weights, states = list(tensors[:trained]), list(tensors[trained:given])
            keys, x, y, *wanted = tensors[given:]
            losses, found = self.losses_and_gradients(weights, states, keys, x, y)
            for there, g in zip(wanted, found, strict=True):
                there.copy_(g)
            return (losses,)

        def untouched() -> list[Tensor]:
            buffers, wanted = tensors[trained:given], tensors[given + 3 :]
            fixed = [t.clone() for t in buffers], [torch.zeros_like(g) for g in wanted]
            return [*tensors[:trained], *fixed[0], *tensors[given : given + 3], *fixed[1]]

        try:
            line = straighten(trace(step, untouched()))
        except Exception:
            return step
        return unlocked(line, untouched) if tensors[0].device.type == "cpu" else line

    @property
    def lines(self) -> object:
        """The straight lines, which twins have in common."""
        return self._lines

    @property
    def unlocked(self) -> bool:
        """Whether every program made so far, and there is one, is all members' in TorchScript."""
        made = [*self._lines.values(), *self._slow.values()]
        return self.way == "together" and bool(made) and all(isinstance(line, Unlocked) for line in made)

    @property
    def straight(self) -> bool:
        """Whether every program made so far is a straight line."""
        return not self._slow

    def scored(self, parameters: Tensors, buffers: Tensors) -> tuple[Tensors, Tensors]:
        """The stacked tensors to score and export: the same, unless what the members minimize has a teacher."""
        if not self.base.scores_others:
            return parameters, buffers
        names = self.parameter_names + self.buffer_names
        found = vmap(self.base.scored)(dict(zip(names, [*parameters, *buffers], strict=True)))
        return [found[n] for n in self.parameter_names], [found[n] for n in self.buffer_names]

    def outputs(self, parameters: Tensors, buffers: Tensors, x: Tensor) -> Tensor:
        """The networks' outputs in evaluation mode (K, n, outputs) for inputs (K, n, *features)."""
        network = "network."
        pairs = zip(self.parameter_names + self.buffer_names, [*parameters, *buffers], strict=True)
        state = {name.removeprefix(network): t for name, t in pairs if name.startswith(network)}

        def forward(state: dict[str, Tensor], x: Tensor) -> Tensor:
            return predictions(functional_call(self.evaluated.network, state, (x.clone() if self.writes else x,)))

        with silent(self.evaluated):
            if self.way == "together" and self._evaluates_together:
                with contextlib.suppress(Exception), WrittenOut():  # in evaluation a network may do other things
                    return vmap(forward, randomness="error")(state, x)
                self._evaluates_together = False
            return torch.stack([forward({n: t[k] for n, t in state.items()}, own) for k, own in enumerate(x)])

    def numbers(self, x: Tensor, members: int) -> int:
        """What an example (n, ...) of each of so many members takes: the numbers of the largest tensor in `outputs`."""
        if x.shape[1:] not in self._widest:
            self._widest[x.shape[1:]] = widest(self.evaluated.network, x)
        at_once = members if self.way == "together" else 1
        return max(members * x[0].numel(), at_once * self._widest[x.shape[1:]])

    def statistics(self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor) -> Tensors:
        """The buffers, with running statistics as plain means over x (K, batches, n, ...) at these weights."""
        network, names = "network.", self.parameter_names + self.buffer_names
        layers = with_statistics(self.base.network)
        momenta = {m: m.momentum for m in layers if not isinstance(m.momentum, Tensor)}
        found = [b.clone() for b in buffers]

        def forward(parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor) -> Tensor:
            pairs = zip(names, [*parameters, *buffers], strict=True)
            state = {n.removeprefix(network): t for n, t in pairs if n.startswith(network)}
            with Luck(keys):
                return predictions(functional_call(self.base.network, state, (x,)))

        def follow(i: int, batch: Tensor) -> None:
            for name, b in zip(self.buffer_names, found, strict=True):
                if name.endswith(".momentum"):
                    b.fill_(1 / i)
            for m in momenta:
                m.momentum = 1 / i  # type: ignore[assignment]
            if self.way == "together":
                with WrittenOut():
                    vmap(forward, randomness="error")(parameters, found, keys, batch)
            else:
                for k in range(len(batch)):
                    forward([p[k] for p in parameters], [b[k] for b in found], keys[k], batch[k])

        with whole_batches(layers):
            for i, batch in enumerate(x.unbind(1), 1):
                follow(i, batch)
        for m, momentum in momenta.items():
            m.momentum = momentum
        kept = [name.rpartition(".")[2].startswith("running_") for name in self.buffer_names]
        return [new if keep else old for new, old, keep in zip(found, buffers, kept, strict=True)]

    def laid(self, gradients: Tensors) -> Tensors:
        """Zeros for the gradients, in the order in memory in which the program writes them, given vmap's own."""
        if self.way == "together":
            return [as_written(g) for g in gradients]
        zeros = [torch.zeros(g.shape, dtype=g.dtype, device=g.device) for g in gradients]
        return [_channels_last(z) for z in zeros] if self.way == "in turn, channels last" else zeros


def _channels_last(t: Tensor) -> Tensor:
    """Stacked images or kernels (K, n, channels, h, w) with the channels last in memory; others as they are."""
    if t.ndim != 5:
        return t
    last = t.movedim(2, -1)
    return torch.empty(last.shape, dtype=t.dtype, device=t.device).movedim(-1, 2).copy_(t)
