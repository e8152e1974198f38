"""One measured step of a network, or of all members of a population: its numbers, and whether they can mean anything.

Each member's `Measurement` is made of them when somebody asks for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainsmith.inspection.faults.findings import DEAD, SATURATED, TRAINABLE, TWINS
from trainsmith.inspection.statistics.histogram import BINS, Histogram
from trainsmith.inspection.statistics.layers import ratio
from trainsmith.inspection.watching.live import LiveLayer, Look, WatchedLayer
from trainsmith.inspection.watching.measurement import FAST, Measurement
from trainsmith.inspection.watching.moved import Norms

_UNSEEN = {"histogram": Histogram(0.0, 1.0, (0,) * BINS), "twins": 0.0}


@dataclass(frozen=True)
class Form:
    """What a network does at a step, the same for every member.

    layers: the calls in the order of the data's way. shapes, examples: of each, what it gave for one example, and for
    how many. graded: the layers that got a gradient, by their place. given: whether the network's input is measured.
    """

    layers: list[LiveLayer]
    shapes: list[tuple[int, ...]]
    examples: list[int]
    graded: list[int]
    given: bool

    def fits(self, layers: list[LiveLayer], graded: list[int], given: bool) -> bool:
        """Whether it is that of these calls, if their shapes are the same."""
        return self.layers == layers and self.graded == graded and self.given == given

    @classmethod
    def of(cls, layers: list[LiveLayer], graded: list[int], given: bool) -> "Form":
        """Of the layers as they are now."""
        return cls(layers, [tuple(m.shape) for m in layers], [m.examples for m in layers], graded, given)


@dataclass
class Snapshot:
    """One measured step of some members, from which each one's measurement can be made.

    rows: where each member, by its place in the population, stands in all that follows. seen, looks: of each layer, how
    many examples were counted so far, and the last close look. moments: mean, variance within units, share of zeros,
    variance between units, of outputs, gradients and the network's input, if it is given (samples, 4, members). shares:
    of units dead, on, finite (layers, 3, members). saturated: (layers, members), NaN where it is not measured. twins:
    share of equal units (layers, members) at a step looked at closely, else nothing.
    """

    step: int
    rows: dict[int, int]
    form: Form
    seen: list[int]
    looks: list[Look | None]
    moments: np.ndarray
    shares: np.ndarray
    saturated: np.ndarray
    twins: np.ndarray | None
    norms: Norms

    def alone(self, row: int, step: int, seen: list[int]) -> "Snapshot":
        """That of the row there, of this step, which holds nothing of the others."""
        twins = None if self.twins is None else self.twins[:, [row]]
        return Snapshot(
            step, {0: 0}, self.form, seen, self.looks, self.moments[:, :, [row]], self.shares[:, :, [row]],
            self.saturated[:, [row]], twins, self.norms.alone(row),
        )  # fmt: skip

    def calm(self) -> np.ndarray:
        """Of which members these numbers cannot give a finding (members,)."""
        with np.errstate(all="ignore"):
            fine: np.ndarray = self.norms.calm(FAST)
            if self.form.layers:
                fine &= (self.shares[:, 2].min(0) == 1) & np.isfinite(self.moments[:, 0].sum(0))
                fine &= ~((self.shares[:, 0] > DEAD) | (self.saturated > SATURATED)).any(0)
                fine &= True if self.twins is None else self.twins.max(0) <= TWINS
                for first, last in self._ways():
                    fine &= (last >= first / TRAINABLE) & (last <= first * TRAINABLE) & (first > 0)
        return fine

    def _ways(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of the signal on its way, and of the gradient on its way back, what there is first and last (members,): a way
        on which these are near to each other gives no finding, whatever lies between."""
        hidden = range(len(self.form.layers) - 1)
        functions = [i for i in hidden if self.form.layers[i].edges is not None and not self._unknown(i)]
        judged = functions if len(functions) > 1 else [i for i in hidden if self.form.layers[i].parameters]
        ways = []
        if judged:
            ways.append((self.moments[judged[0], 1], self.moments[judged[-1], 1]))
        back = [i for i in reversed(judged) if i in self.form.graded]
        if len(back) > 1:
            ways.append((self._square(back[0]), self._square(0 if 0 in self.form.graded else back[-1])))
        return ways

    def _unknown(self, i: int) -> bool:
        """Whether layer i is an activation function of which nobody saw how much of it is saturated."""
        edges = self.form.layers[i].edges
        return edges is not None and len(edges) > 0 and bool(np.isnan(self.saturated[i, 0]))

    def _square(self, i: int) -> np.ndarray:
        """The squared length, per example, of the gradient that layer i got (members,)."""
        squares: np.ndarray = self.moments[len(self.form.layers) + self.form.graded.index(i), 1::2].sum(0)
        return squares * math.prod(self.form.shapes[i])

    def measurement(self, member: int) -> Measurement:
        """That of the member whose place in the population this is."""
        row, graded = self.rows[member], self.form.graded
        moments = self.moments[:, :, row].tolist()
        variances = [m[1] + m[3] for m in moments]
        place, inside = (math.nan, math.nan), math.nan
        if self.form.given:
            inside, place = variances[-1], (moments[-1][0], math.sqrt(variances[-1]))
        behind = {i: (moments[j][0], math.sqrt(variances[j])) for j, i in enumerate(graded, len(self.form.layers))}
        last = behind[graded[-1]][1] if behind else math.nan
        before = [math.nan, *variances]
        layers = tuple(
            self._layer(i, member, moments[i], behind.get(i, (0.0, math.nan)), (before[i], inside, last))
            for i in range(len(self.form.layers))
        )
        return Measurement(self.step, place, layers, self.norms.parameters(row))

    def _layer(
        self,
        i: int,
        member: int,
        own: Sequence[float],
        gradient: tuple[float, float],
        reference: tuple[float, float, float],
    ) -> WatchedLayer:
        """own: mean, variance within units, share of zeros, variance between. gradient: its mean and spread. reference:
        variance of the layer before and of the network's input, spread of the last layer's gradient."""
        layer, row, (mean, within, zeros, between) = self.form.layers[i], self.rows[member], own
        variance, look = between + within, self.looks[i]
        dead, always_on, finite = self.shares[i, :, row].tolist()
        saturated = float(self.saturated[i, row])
        if math.isnan(saturated):
            saturated = 0.0 if layer.edges is not None and not len(layer.edges) else math.nan
        return WatchedLayer(
            name=layer.name,
            kind=layer.kind,
            shape=self.form.shapes[i],
            mean=mean,
            std=math.sqrt(variance),
            second_moment=variance + mean**2,
            signal=within if self.form.examples[i] > 1 else math.nan,
            zeros=zeros,
            dead=dead,
            always_on=always_on,
            saturated=None if math.isnan(saturated) else saturated,
            gradient=gradient[1],
            predicted=None,
            parameters=layer.parameters,
            finite=finite == 1,
            gradient_finite=math.isfinite(gradient[0]),
            variance_ratio=ratio(variance, reference[0]),
            input_ratio=ratio(variance, reference[1]),
            gradient_ratio=ratio(gradient[1], reference[2]),
            examples=self.seen[i],
            **(_UNSEEN if look is None else look.of(member)),
        )


@dataclass(frozen=True)
class Later:
    """A member's measurement, made when it is asked for."""

    snapshot: Snapshot
    member: int

    @property
    def step(self) -> int:
        """Its number from 0."""
        return self.snapshot.step

    def made(self) -> Measurement:
        """The measurement."""
        return self.snapshot.measurement(self.member)
