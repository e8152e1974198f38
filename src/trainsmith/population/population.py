"""A population: members of one bucket trained together as one batched program."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainsmith.network import signature
from trainsmith.population.luck import noise_keys
from trainsmith.population.member import Member
from trainsmith.population.program import Program, Tensors, Unbatchable, stack
from trainsmith.population.update import Update

COMPACT_BELOW = 0.75
"""Members that ended are taken out of the tensors once the share still training falls to this."""
EVALUATED_AT_ONCE = 2**22
"""Input numbers of all members in one evaluation pass; more are evaluated in several."""


class Population:
    """Members with equal structure and different numbers, trained together.

    x (n, *features) and y (n,) are the development part, shared by all. Raises ValueError if two members
    differ in structure (promise: nothing is silently shared), Unbatchable if the network cannot be batched.
    """

    def __init__(self, members: Sequence[Member], x: Tensor, y: Tensor) -> None:
        self.members = list(members)
        self.x, self.y = x, y
        if len({bucket_key(m, x, y) for m in self.members}) > 1:
            raise ValueError("members of one population must have equal structural signatures")
        self.rule = self.members[0].rule
        self.program = Program(self.members[0].objective)
        sample_x, sample_y = _sample(self.members[0], x, y)
        self.places = self.program.places(sample_x, sample_y)
        self._rows = list(range(len(self.members)))
        self._seeds = [m.seed for m in self.members]
        self._shape: tuple[int, ...] | None = None
        self._lay_out(*stack([m.objective for m in self.members]))
        self._update = self._make_update()

    def _lay_out(self, parameters: Tensors, buffers: Tensors) -> None:
        """One flat (K, P) buffer each for weights, gradients and moments, with the tensors as views of it.

        A tensor's axes lie in memory in the order in which the program returns its gradient, so that
        gradients are copied without being transposed.
        """
        members, kinds = len(self.members), {p.dtype for p in parameters}
        if len(kinds) > 1:
            raise Unbatchable(f"its parameters are of different types: {', '.join(sorted(map(str, kinds)))}")
        chosen = np.stack([m.train[:2] for m in self.members])
        x, y = self._batch(chosen)
        keys = noise_keys(self._seeds, 0, self.places)
        gradients = self.program.preflight(parameters, buffers, keys, x, y)
        orders = [sorted(range(1, g.ndim), key=lambda a, g=g: -g.stride(a)) for g in gradients]  # type: ignore[misc]
        sizes = [p[0].numel() for p in parameters]
        self.flat, self.gradient = (torch.zeros(members, sum(sizes), dtype=parameters[0].dtype) for _ in range(2))
        self.moments = [torch.zeros_like(self.flat) for _ in self.rule.moments]
        self._orders = orders
        self.buffers = buffers
        self._view([p.shape[1:] for p in parameters])
        for view, p in zip(self.parameters, parameters, strict=True):
            view.copy_(p)

    def _view(self, shapes: Sequence[torch.Size]) -> None:
        self._shapes = list(shapes)
        self.parameters = self._views(self.flat)
        self._gradients = self._views(self.gradient)

    def _views(self, flat: Tensor) -> Tensors:
        views, start = [], 0
        for shape, order in zip(self._shapes, self._orders, strict=True):
            stop = start + shape.numel()
            laid = flat[:, start:stop].view(len(flat), *(shape[a - 1] for a in order))
            views.append(laid.permute(0, *(order.index(a) + 1 for a in range(1, len(shape) + 1))))
            start = stop
        return views

    def _make_update(self) -> Update:
        names = self.members[0].numbers
        return Update(self.rule, {n: [m.numbers[n] for m in self.members] for n in names})

    def _batch(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        index = torch.from_numpy(chosen)
        y = self.y[index]
        if y.is_floating_point():
            y = torch.stack([m.targets(row) for m, row in zip(self.members, y, strict=True)])
        return self.x[index], y

    def step(self, number: int, rate: float, chosen: np.ndarray) -> Tensor:
        """One optimizer step of every member on its examples `chosen` (K, batch); the losses (K,) before it.

        number: the step, from 1. rate: the schedule's factor on the learning rate.
        """
        x, y = self._batch(chosen)
        if len(self._rows) < len(self.flat):
            x, y = (_spread(t, self._rows, len(self.flat)) for t in (x, y))
        keys = noise_keys(self._seeds, number, self.places)
        if self._shape != x.shape:
            self.program.trace(self.parameters, self.buffers, keys, x, y)
            self._shape = x.shape
        with torch.no_grad():
            losses, gradients = self.program.run(self.parameters, self.buffers, keys, x, y)
            for view, g in zip(self._gradients, gradients, strict=True):
                view.copy_(g)
            self._update(number, rate, self.flat, self.gradient, self.moments)
        return losses[self._rows]

    def outputs(self, chosen: np.ndarray) -> Tensor:
        """Network outputs in evaluation mode (K, n, outputs) for the examples `chosen` (K, n)."""
        rows = torch.tensor(self._rows)
        parameters, buffers = ([t[rows] for t in tensors] for tensors in (self.parameters, self.buffers))
        each = max(1, EVALUATED_AT_ONCE // (len(rows) * self.x[0].numel()))
        parts = torch.from_numpy(chosen).split(each, dim=1)
        with torch.no_grad():
            return torch.cat([self.program.outputs(parameters, buffers, self.x[part]) for part in parts], dim=1)

    def state(self, k: int) -> dict[str, Tensor]:
        """A copy of the state_dict of member k's network, for an ordinary nn.Module."""
        row = self._rows[k]
        names = self.program.parameter_names + self.program.buffer_names
        tensors = zip(names, [*self.parameters, *self.buffers], strict=True)
        return {n.removeprefix("network."): t[row].clone().contiguous() for n, t in tensors if n.startswith("network.")}

    def keep(self, which: list[int]) -> None:
        """Go on with the members `which` only; what the others cost is saved as soon as enough have ended."""
        self.members = [self.members[k] for k in which]
        self._rows = [self._rows[k] for k in which]
        if len(self._rows) > COMPACT_BELOW * len(self.flat):
            return
        rows = torch.tensor(self._rows)
        self.flat, self.gradient = self.flat[rows], self.gradient[rows]
        self.moments = [m[rows] for m in self.moments]
        self.buffers = [b[rows] for b in self.buffers]
        self._rows = list(range(len(rows)))
        self._seeds = [m.seed for m in self.members]
        self._view(self._shapes)
        self._update = self._make_update()


def bucket_key(member: Member, x: Tensor, y: Tensor) -> object:
    """Equal for members that may train as one population: structure, optimizer, numbers of examples."""
    if member.bucket is None:
        sample_x, sample_y = _sample(member, x, y)
        structure = signature(member.objective, lambda m: m.train()(sample_x, sample_y))
        member.bucket = (structure, member.rule, tuple(member.numbers), len(member.validation), len(member.watch))
    return member.bucket


def _sample(member: Member, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    chosen = torch.from_numpy(member.train[:2])
    return x[chosen], member.targets(y[chosen])


def _spread(t: Tensor, rows: list[int], members: int) -> Tensor:
    """t (active, ...) in its rows of a tensor for all members; ended members compute on the first one's."""
    out = t[:1].expand(members, *t.shape[1:]).clone()
    out[rows] = t
    return out


__all__ = ["Population", "Unbatchable", "bucket_key"]
