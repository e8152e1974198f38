"""What a training under watch has shown so far: the measured steps, thinned out, and the findings, told once."""

import dataclasses
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from trainsmith.inspection.faults.fault import Finding
from trainsmith.inspection.watching.measurement import MOST_MATRICES

MOST_KEPT = 128
"""So many measured steps are kept; when there are more, every second one is, from the first on."""
CLOSELY_EVERY = 64
"""Histograms, effective rank, equal units and batch normalization's averages are looked at in the first two measured
steps, and then again as soon as so many steps have passed."""
AT_ONCE = ("not finite", "optimizer's state not finite", MOST_MATRICES)
"""Findings, or quantities, told the first time. Others must be there at two measured steps in a row."""
CLOSELY = ("symmetric units",)
"""Findings that take a close look, and two of these in a row."""


class Kept(Protocol):
    """A measured step, or what it can be made of."""

    @property
    def step(self) -> int:
        """Its number from 0."""


M = TypeVar("M", bound=Kept)


class Log(Generic[M]):
    """The measurements of one training, and its findings, each with the step at which it was first seen."""

    def __init__(self) -> None:
        self.measurements: list[M] = []
        self.findings: tuple[Finding, ...] = ()
        self._stride, self._count, self._last_close = 1, 0, 0
        self._before: dict[tuple[str, str], Finding] = {}  # each finding as it was first seen

    def closely(self, step: int) -> bool:
        """Whether this step is one to be looked at closely, if it is measured."""
        return self._count < 2 or step - self._last_close >= CLOSELY_EVERY

    def keep(self, measured: M, closely: bool) -> None:
        """Keep one more measured step, and thin out the others where they are too many."""
        if closely:
            self._last_close = measured.step
        if (self._count - 1) % self._stride:
            self.measurements.pop()  # it was there only as the last one
        self.measurements.append(measured)
        if len(self.measurements) > MOST_KEPT:
            self.measurements, self._stride = [*self.measurements[:-1:2], measured], 2 * self._stride
        self._count += 1

    def tell(self, step: int, found: Sequence[Finding], closely: bool) -> tuple[Finding, ...]:
        """What is sure now, given what this step shows."""
        found = [f for f in found if closely or f.short not in CLOSELY]
        now = {(f.short, f.layer): dataclasses.replace(f, step=step) for f in found}
        now |= {key: f for key, f in self._before.items() if key in now}
        if not closely:
            now |= {key: f for key, f in self._before.items() if key[0] in CLOSELY}  # of the last close look
        told = {(f.short, f.layer) for f in self.findings}
        new = []
        for f in found:
            key = (f.short, f.layer)
            if key not in told and (f.short in AT_ONCE or f.quantity in AT_ONCE or key in self._before):
                told.add(key)
                new.append(now[key])
        self._before = now
        self.findings += tuple(new)
        return tuple(new)
