"""What a training under watch has shown so far: the measured steps, thinned out, and the findings, told once."""

import dataclasses

from trainsmith.inspection.fault import Finding
from trainsmith.inspection.measurement import Measurement, findings_of

MOST_KEPT = 128
"""So many measured steps are kept; when there are more, every second one is, from the first on."""
CLOSELY_EVERY = 64
"""Histograms, effective rank, equal units and batch normalization's averages are looked at in the first two measured
steps, and then again as soon as so many steps have passed."""
AT_ONCE = ("not finite", "optimizer's state not finite")
"""Findings told the first time. Any other must be there at two measured steps in a row: one batch may be odd."""
CLOSELY = ("symmetric units",)
"""Findings that take a close look, and two of these in a row."""


class Log:
    """The measurements of one training, and its findings, each with the step at which it was first seen."""

    def __init__(self) -> None:
        self.measurements: list[Measurement] = []
        self.findings: tuple[Finding, ...] = ()
        self._stride, self._count, self._last_close = 1, 0, 0
        self._before: dict[tuple[str, str], int] = {}  # since which step each finding has been seen

    def closely(self, step: int) -> bool:
        """Whether this step is one to be looked at closely, if it is measured."""
        return self._count < 2 or step - self._last_close >= CLOSELY_EVERY

    def add(self, measured: Measurement, closely: bool) -> tuple[Finding, ...]:
        """Keep what was measured; the findings that it is the first to be sure of."""
        if closely:
            self._last_close = measured.step
        if (self._count - 1) % self._stride:
            self.measurements.pop()  # it was there only as the last one
        self.measurements.append(measured)
        if len(self.measurements) > MOST_KEPT:
            self.measurements, self._stride = [*self.measurements[:-1:2], measured], 2 * self._stride
        self._count += 1
        new = self._sure(measured, closely)
        self.findings += new
        return new

    def _sure(self, measured: Measurement, closely: bool) -> tuple[Finding, ...]:
        found = [f for f in findings_of(measured) if closely or f.short not in CLOSELY]
        now = {key: self._before.get(key, measured.step) for key in ((f.short, f.layer) for f in found)}
        if not closely:
            now |= {key: step for key, step in self._before.items() if key[0] in CLOSELY}  # of the last close look
        told = {(f.short, f.layer) for f in self.findings}
        new = []
        for f in found:
            key = (f.short, f.layer)
            if key not in told and (f.short in AT_ONCE or key in self._before):
                told.add(key)
                new.append(dataclasses.replace(f, step=now[key]))
        self._before = now
        return tuple(new)
