"""What one optimizer step did to each parameter: norms, gradients, updates, the optimizer's own state."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.inspection.statistics.sampling import coprime, in_single_precision
from trainsmith.population.program.layout import in_order

_NONE: frozenset[int] = frozenset()
SAMPLED, REMEMBERED, RUN = 4096, 256, 8
"""A step that is not looked at closely looks at so many values of a larger parameter, and of each larger tensor that
the optimizer remembers of it, in evenly spaced runs of 8."""


@dataclass(frozen=True)
class WatchedParameter:
    """One parameter at one measured step.

    norm: its Euclidean norm before the step. gradient: that of the gradient that the step used, NaN where there was
    none. update: that of its change. update_ratio: update / norm, NaN for a parameter of zeros. finite,
    gradient_finite, state_finite: whether its numbers after the step, its gradient's, and those that the optimizer
    remembers of it hold neither NaN nor infinity. stuck: it is the optimizer's to move and did not move at all.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    gradient: float
    update: float
    update_ratio: float
    finite: bool
    gradient_finite: bool
    state_finite: bool
    stuck: bool


class Trained:
    """Parameters by name and shape, and which of them are matrices."""

    def __init__(self, named: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        self.named = named
        self.matrices = np.array([[1.0 if len(shape) > 1 else math.inf] for _, shape in named]).reshape(-1, 1)


@dataclass(frozen=True)
class Norms:
    """What a step did to the parameters of some members.

    numbers: norms before the step, of changes, of gradients (0 where there was none), and of what the optimizer
    remembers, 0 where all of it is finite and no more was asked (4, parameters, members). without: the parameters that
    had no gradient, by place. stuck: which did not move at all (parameters, members), None where all did.
    """

    trained: Trained
    numbers: np.ndarray
    without: frozenset[int]
    stuck: np.ndarray | None

    def calm(self, fast: float) -> np.ndarray:
        """Of which members all numbers are finite, and no matrix moved by more than the share `fast` (members,)."""
        before, updates = self.numbers[:2]
        calm: np.ndarray = np.isfinite(self.numbers.sum((0, 1)))
        return calm & ~(updates > fast * self.trained.matrices * before).any(0)

    def alone(self, row: int) -> "Norms":
        """Those of the member that stands there."""
        stuck = None if self.stuck is None else self.stuck[:, [row]]
        return Norms(self.trained, self.numbers[:, :, [row]], self.without, stuck)

    def parameters(self, row: int) -> tuple[WatchedParameter, ...]:
        """Those of the member that stands there."""
        stuck = [False] * len(self.trained.named) if self.stuck is None else self.stuck[:, row].tolist()
        out = []
        rows = zip(self.trained.named, *self.numbers[:, :, row].tolist(), stuck, strict=True)
        for i, ((name, shape), before, update, gradient, kept, still) in enumerate(rows):
            ratio = update / before if before > 0 else math.nan
            out.append(WatchedParameter(
                name, shape, before, math.nan if i in self.without else gradient, update, ratio,
                math.isfinite(before + update), math.isfinite(gradient), math.isfinite(kept), still,
            ))  # fmt: skip
        return tuple(out)


class Parts:
    """Numbers of some tensors. whole: the same numbers in as few tensors as there are."""

    def __init__(self, parts: list[Tensor], whole: list[Tensor]) -> None:
        self.parts, self.whole = parts, whole


@dataclass(frozen=True)
class Move:
    """What is kept of one step: of each parameter, or a sample of it, its numbers before and after the step.

    gradients: norms of the gradients that there were. states: a number of each tensor that the optimizer remembers, or
    one that is not finite where one of a sample of all of them is not. without: which parameters had no gradient, by
    place. times: makes norms of samples those of all values (parameters, 1).
    """

    closely: bool
    before: Parts
    now: Parts
    gradients: Sequence[Tensor]
    states: Sequence[Tensor]
    without: frozenset[int]
    times: np.ndarray

    def sound(self) -> bool:
        """Whether the first gradient, and what the optimizer remembers, are finite as far as they were looked at. All
        others come out of them: NaN in a loss is NaN in every gradient."""
        return all(math.isfinite(float(t)) for t in (*self.gradients[:1], *self.states))

    def as_before(self, other: "Move") -> bool:
        """Whether the numbers of both can be read in one go."""
        same = self.times is other.times and self.without == other.without and len(self.states) == len(other.states)
        return same and not self.closely and not other.closely


@torch.no_grad()
def numbers_of(moves: Sequence[Move]) -> list[list[Tensor]]:
    """Of each of some steps like each other, all numbers on the device, which is their last use: norms before the step,
    of updates, of gradients, and those of the optimizer's state."""
    n, before = len(moves[0].before.parts), [t for move in moves for t in move.before.parts]
    norms = torch._foreach_norm(before)
    torch._foreach_sub_([t for m in moves for t in m.before.whole], [t for m in moves for t in m.now.whole])
    updates = torch._foreach_norm(before)
    return [
        [*norms[i : i + n], *updates[i : i + n], *move.gradients, *move.states]
        for i, move in zip(range(0, len(before), n), moves, strict=True)
    ]


class Moved:
    """The parameters that an optimizer moves: `before` a step, `after` it, and `read` on the host.

    together: of so many steps the samples are kept.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, together: int = 1) -> None:
        self.optimizer = optimizer
        named = _trained(model, optimizer)
        self._parameters: list[Tensor] = [p for _, p in named]
        self.trained = Trained([(name, tuple(p.shape)) for name, p in named])
        self._spaced, self._spaced_states = Spaced(SAMPLED, 2 * together), Spaced(REMEMBERED, 1)
        self._before: Parts | None = None
        self._stuck: np.ndarray | None = None
        self._states: list[list[Tensor]] = [[] for _ in named]
        self._held: list[object] = []

    def are_still(self, model: nn.Module) -> bool:
        """Whether the optimizer moves the same parameters of the model, and no others."""
        now = _trained(model, self.optimizer)
        if not now:
            return True  # all are frozen, for a while perhaps
        return [name for name, _ in now] == [name for name, _ in self.trained.named] and all(
            a is b for (_, a), b in zip(now, self._parameters, strict=True)
        )

    def graded(self) -> bool:
        """Whether any of them has a gradient."""
        return any(p.grad is not None for p in self._parameters)

    @torch.no_grad()
    def before(self, closely: bool) -> None:
        """Keep the parameters, or a sample of them, as they are."""
        self._before = self._now(closely, torch.clone)

    def _now(self, closely: bool, taken: Callable[[Tensor], Tensor] = torch.detach) -> Parts:
        if not closely:
            return self._spaced.of(self._parameters)
        all_values = [taken(p.detach()) for p in self._parameters]
        return Parts(all_values, all_values)

    @torch.no_grad()
    def after(self, closely: bool) -> Move:
        """What the step did, on the device."""
        before = self._before or self._now(closely)  # the watch may have begun inside this step
        self._before, now = None, self._now(closely)
        gradients = [p.grad for p in self._parameters]
        there = [g.coalesce().values() if g.is_sparse else g for g in gradients if g is not None]
        states = self._remembered()
        if states and closely:
            states = [*torch._foreach_norm(states)]
        elif states:
            states = [t.sum() for t in self._spaced_states.of(states).whole]
        without = _NONE if len(there) == len(gradients) else frozenset(i for i, g in enumerate(gradients) if g is None)
        norms = torch._foreach_norm(there) if there else ()
        return Move(closely, before, now, norms, states, without, self._spaced.times)

    def _remembered(self) -> list[Tensor]:
        """The numbers that the optimizer remembers of the parameters, where these are."""
        state = self.optimizer.state
        held = [state.get(p, {}) for p in self._parameters]
        values = [v for own in held for v in own.values()]
        if [*map(id, values)] != [*map(id, self._held)]:
            self._held = values
            self._states = [
                [t for t in own.values() if isinstance(t, Tensor) and t.is_floating_point() and t.device == p.device]
                for own, p in zip(held, self._parameters, strict=True)
            ]
        return [t for own in self._states for t in own]

    def read(self, numbers: np.ndarray, move: Move) -> Norms:
        """From `numbers_of` steps like this, moved to the host (steps, numbers)."""
        n, at = len(self._parameters), 3 * len(self._parameters) - len(move.without)
        found = np.zeros((4, n, len(numbers)))
        found[:2] = numbers[:, : 2 * n].reshape(-1, 2, n).transpose(1, 2, 0)
        with_gradient = [i for i in range(n) if i not in move.without] if move.without else slice(None)
        found[2, with_gradient] = numbers[:, 2 * n : at].T
        states = numbers[:, at:]
        if not move.closely:
            found[:2] *= move.times
        for row in np.flatnonzero(move.closely | ~np.isfinite(states.sum(1))):
            found[3, :, row] = self._of_states(states[row] if move.closely else None)
        if move.closely:
            still = found[1] == 0
            self._stuck = still if still.any() else None
        stuck = None if self._stuck is None else self._stuck & (found[1] == 0)
        return Norms(self.trained, found, move.without, stuck)

    def _of_states(self, norms: np.ndarray | None) -> np.ndarray:
        """Of each parameter the sum of the norms of all that the optimizer remembers of it."""
        if norms is None:  # seldom: then it is worth another transfer
            each = torch._foreach_norm([t for held in self._states for t in held])
            norms = torch.stack(in_single_precision(each, each[0].device)).cpu().numpy()
        owners = np.repeat(np.arange(len(self._states)), [len(held) for held in self._states])
        return np.bincount(owners, norms, len(self._states))


def _trained(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[tuple[str, Tensor]]:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad and id(p) in held]


class Spaced:
    """Samples of tensors, one after the other; how they are taken is looked up only where one no longer lies where it
    lay in memory.

    kept: so many samples, the last ones, stay as they are. times: makes norms of samples those of all values (tensors,
    1).
    """

    def __init__(self, most: int, kept: int) -> None:
        self._most = most
        self._places: tuple[list[int], list[int]] = [], []
        self._views: list[Tensor] = []
        self._rooms, self._at = [_Room([], []) for _ in range(kept)], 0
        self.times = np.ones((0, 1))

    def of(self, tensors: list[Tensor]) -> Parts:
        """At most so many values of each, in single precision or better."""
        places = [*map(Tensor.data_ptr, tensors)], [*map(Tensor.numel, tensors)]
        if places != self._places:
            self._views = [_spaced(t.detach(), self._most) for t in tensors]
            pairs = [*zip(self._views, tensors, strict=True)]
            shared = all(v.untyped_storage().data_ptr() == t.untyped_storage().data_ptr() for v, t in pairs)
            self._places = places if shared else ([], [])  # a copy is of this moment only
            self.times = np.array([[math.sqrt(t.numel() / max(1, v.numel()))] for v, t in pairs])
        self._at = (self._at + 1) % len(self._rooms)
        room = self._rooms[self._at]
        if room.views is not self._views:
            room = self._rooms[self._at] = _Room(self._views, tensors)
        torch._foreach_copy_(room.shaped, self._views)
        return room


class _Room(Parts):
    """Room for a sample of tensors by these views of them; shaped: its parts in the views' shapes."""

    def __init__(self, views: list[Tensor], tensors: list[Tensor]) -> None:
        self.views = views
        kind = functools.reduce(torch.promote_types, (t.dtype for t in tensors), torch.float32)
        sizes = [v.numel() for v in views]
        whole = torch.empty(sum(sizes), dtype=kind, device=tensors[0].device if tensors else None)
        super().__init__([*whole.split(sizes)] if sizes else [], [whole])
        self.shaped = [p.view(v.shape) for p, v in zip(self.parts, views, strict=True)]


def _spaced(t: Tensor, most: int) -> Tensor:
    """At most `most` values of a tensor, in evenly spaced runs; their stride shares no factor with its last axis.

    A run is read from memory in one go, and says almost as much as values that lie apart.
    """
    flat = in_order(t).reshape(-1)
    if t.numel() <= most:
        return flat
    step = coprime(math.ceil(t.numel() * RUN / most), t.shape[-1])
    return flat.unfold(0, RUN, step)
