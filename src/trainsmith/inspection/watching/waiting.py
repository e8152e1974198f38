"""Measured steps that wait for others: what is done for each of them at once, and in few operations."""

import torch
from torch import Tensor

from trainsmith.inspection.statistics.sampling import Blocks, Sampled, SideBySide
from trainsmith.inspection.statistics.twins import alike
from trainsmith.inspection.watching.collect import Step
from trainsmith.inspection.watching.live import LiveLayer
from trainsmith.inspection.watching.snapshot import Form

WAITING = 2**22
"""The samples of steps that wait take so many bytes, at most."""

Place = tuple[list[tuple[list[int], SideBySide]], list[Tensor]]
"""Of one step: blocks of samples, and where in them each sample lies."""


class Shelf:
    """Where the samples of one network's steps lie until they are brought to the host.

    most: how many steps may wait. together: how many do, as long as the network does the same.
    """

    def __init__(self, most: int = 1) -> None:
        self.most, self.together = most, 1
        self._form = Form.of([], [], False)
        self._sampled: list[Sampled] = []
        self._outputs, self._looked_up, self._at = 0, -1, 0
        self._places: list[Place] = []

    @torch.no_grad()
    def step(self, number: int, called: list[LiveLayer], given: Sampled | None, closely: bool) -> Step:
        """One step, after the optimizer moved the parameters.

        called: the layers in the order of the data's way. given: a sample of the network's input.
        """
        for live in called if closely else ():
            if (pairs := alike(live.layer)) is not None:
                live.numbers["twins"] = pairs
        graded, form = [i for i, live in enumerate(called) if live.graded], self._form
        new = self._looked_up != Sampled.looked_up or not form.fits(called, graded, given is not None)
        if new:
            form = self._form = Form.of(called, graded, given is not None)
            self._meet([live.outputs for live in called], [called[i].gradients for i in graded], given)
        blocks, numbers = self._places[self._at][0], [live.numbers for live in called]
        if not new:
            self._at = (self._at + 1) % self.together
            if self._at == len(self._places):
                self._places.append(self._place())
        for sampled, slot in zip(self._sampled, self._places[self._at][1], strict=True):
            sampled.values = slot  # where the next step's is written at once
        return Step(number, {0: 0}, form, numbers, blocks, closely, new)

    def _meet(self, outputs: list[Sampled], gradients: list[Sampled], given: Sampled | None) -> None:
        """Make a place for the samples of a step that is not like the last."""
        self._sampled = [*outputs, *gradients, *([] if given is None else [given])]
        self._outputs, self._looked_up, self._at = len(outputs), Sampled.looked_up, 0
        self._places = [self._place()]
        blocks = self._places[0][0]
        for places, block in blocks:
            block.fill([self._sampled[i].values for i in places])
        self.together = min(self.most, max(1, WAITING // max(1, 4 * sum(b.numel for _, b in blocks))))

    def _place(self) -> Place:
        blocks = Blocks().places_of([s.values for s in self._sampled], self._outputs)
        slots = {i: slot for places, block in blocks for i, slot in zip(places, block.slots, strict=True)}
        return blocks, [slots[i] for i in range(len(slots))]
