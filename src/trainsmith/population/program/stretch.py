"""Several steps of a chunk in one call of TorchScript: nothing of Python between them, whose lock threads would share.

A step's own call hands over hundreds of small tensors, which takes as long as much of the arithmetic of small networks;
here that is done once for many steps. The operations, and so the bits, are those of single steps.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from trainsmith.population.program.kernels import Kernel, Rate
from trainsmith.population.program.unlocked import Unlocked, script

MOST, SECONDS = 64, 0.1
"""Steps of a stretch, and how long it may take: meanwhile nobody sees Ctrl-C, and nothing is told of what is done."""
FIRST = 4
"""Steps of the first stretch, after which it is known how long one takes."""
TARGETS = 2**22
"""The targets of a stretch are laid out beforehand: numbers, at most."""


class Pace:
    """How many steps to take at once, by the least that one took so far: others may have had the machine meanwhile."""

    def __init__(self) -> None:
        self.ahead, self._least = FIRST, math.inf

    def note(self, steps: int, seconds: float) -> None:
        """So many steps took so long."""
        self._least = min(self._least, max(seconds, 1e-9) / steps)
        self.ahead = max(1, min(MOST, int(SECONDS / self._least)))


class Stretch:
    """Steps through `line`, each followed by the kernel's; the tensors are those of `Program.run`.

    Raises Inexpressible.
    """

    def __init__(
        self, line: Unlocked, kernel: Kernel, weights: list[Tensor], buffers: list[Tensor], gradients: list[Tensor]
    ) -> None:
        self.line, self.kernel = line, kernel
        self._tensors = (line.constants, weights, buffers, gradients)
        self._run = script(_source(line, kernel, *map(len, self._tensors)), "stretch")

    def __call__(
        self, number: int, rates: Sequence[Rate], keys: Tensor, x: Tensor, y: Tensor, chosen: Tensor
    ) -> Tensor:
        """Steps number, number + 1 ... on the examples x[chosen]; the losses (steps, members) before them.

        rates: the factors of each step. keys: of each step's noise (steps, members, ...). x: all examples. y: each
        step's targets (steps, members, ...). chosen: (steps, members, batch), or (steps, batch): the same for all.
        """
        row = [*chosen.shape[1:], *x.shape[1:]]
        wide = [keys.shape[1], *row[-x.ndim :]]
        numbers = [*self.kernel.numbers.values()]
        place = [*self.kernel.numbers].index("lr")
        own = [self.kernel.rates(rate) for rate in rates]
        losses: Tensor = self._run(
            *self._tensors, keys, x, y, chosen, row, wide, float(number), *self.kernel.stacks, own,
            *numbers[:place], *numbers[place + 1 :],
        )  # fmt: skip
        return losses


def _source(line: Unlocked, kernel: Kernel, constants: int, weights: int, buffers: int, gradients: int) -> str:
    """The line, the kernel and what calls them in turns."""
    lists = {"constants": constants, "weights": weights, "buffers": buffers, "gradients": gradients}
    each = {name: [f"{name}[{i}]" for i in range(n)] for name, n in lists.items()}
    given = [*each["constants"], *each["weights"], *each["buffers"], "keys[at]", "own", "y[at]", *each["gradients"]]
    stacks = ("w", "g", *kernel.rule.moments)
    others = [name for name in kernel.numbers if name != "lr"]
    arguments = [
        *(f"{name}: List[Tensor]" for name in lists), "keys", "x", "y", "chosen", "row: List[int]", "wide: List[int]",
        "first: float", *(f"{name}: List[List[Tensor]]" for name in stacks), "rates: List[List[float]]",
        *(f"{name}: List[float]" for name in others),
    ]  # fmt: skip
    numbers = ["rates[at]" if name == "lr" else name for name in kernel.numbers]
    return f"""{line.source}
{kernel.source}
def stretch({", ".join(arguments)}):
    losses: List[Tensor] = []
    for at in range(chosen.size(0)):
        own = x.index_select(0, chosen[at].flatten()).view(row).expand(wide)
        losses.append(step({", ".join(given)})[0])
        move({", ".join(["first + at", *stacks, *numbers])})
    return torch.stack(losses)
"""


def gathered(x: Tensor, chosen: Tensor) -> Tensor:
    """x[chosen] for indices chosen (...) of examples x (n, ...), copied row by row: up to five times as fast."""
    return x.index_select(0, chosen.flatten()).view(*chosen.shape, *x.shape[1:])


def batch(x: Tensor, chosen: Tensor, members: int) -> Tensor:
    """The examples x[chosen] of each member (members, n, ...), for chosen (members, n), or (n): the same for all."""
    found = gathered(x, chosen)
    return found if chosen.ndim == 2 else found.expand(members, *found.shape)


class Stepping(Protocol):
    """What takes steps: see course.Trainer."""

    members: Any

    def ahead(self, number: int) -> int: ...
    def step(self, number: int, rate: Rate, x: Tensor, y: Tensor) -> Tensor: ...
    def stretch(self, number: int, rates: Sequence[Rate], x: Tensor, y: Tensor, chosen: Tensor) -> Tensor: ...


def one_by_one(trainer: Stepping, number: int, rates: Sequence[Rate], x: Tensor, y: Tensor, chosen: Tensor) -> Tensor:
    """What `stretch` does, step by step."""
    own = [batch(x, c, len(trainer.members)) for c in chosen]
    return torch.stack([trainer.step(number + s, rate, own[s], y[s]) for s, rate in enumerate(rates)])


def in_stretches(
    trainer: Stepping,
    first: int,
    rates: Callable[[int], Rate],
    x: Tensor,
    y: Tensor,
    chosen: Tensor,
    labelled: int,
    targets: Callable[[Tensor], Tensor] = lambda y: y,
    singly: bool = False,
) -> Iterator[tuple[int, Tensor]]:
    """Take the steps first, first + 1 ...; of each its number and the members' losses (members,) before it.

    x, y: all examples (n, ...) and targets. chosen: each step's (steps, members, batch), or (steps, batch): the same
    for all; the first `labelled` of a batch have targets. targets: makes them (steps, members, ...) the members' own.
    singly: whether a step's rates may hang on the losses of the one before.
    """
    start, members = 0, len(trainer.members)
    while start < len(chosen):
        each = members * labelled * y[0].numel()
        steps = 1 if singly else max(1, min(trainer.ahead(first + start), len(chosen) - start, TARGETS // each))
        some = chosen[start : start + steps]
        ys = gathered(y, some[..., :labelled])
        own = targets(ys if chosen.ndim == 3 else ys[:, None].expand(steps, members, *ys.shape[1:]))
        factors = [rates(first + s) for s in range(start, start + steps)]
        if steps == 1:
            yield first + start, trainer.step(first + start, factors[0], batch(x, some[0], members), own[0])
        else:
            losses = trainer.stretch(first + start, factors, x, own, some)
            yield from enumerate(losses, first + start)
        start += steps
