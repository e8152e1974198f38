"""The door for Python users who ask why a network trains badly: inspect, and what one does with the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Group
from torch import nn

from trainsmith import inspection
from trainsmith.errors import PAGE, PICTURE, InvalidInput, named, shown
from trainsmith.inspection.inspect import followed
from trainsmith.inspection.passes.given import check_made
from trainsmith.inspection.passes.loader import is_loader, loaded
from trainsmith.inspection.remedies import try_remedies
from trainsmith.inspection.tried.treatment import Treatment
from trainsmith.report.course_frame import HISTOGRAMS, layers_frame
from trainsmith.report.course_table import course_table
from trainsmith.report.inspection_figure import layer_figure
from trainsmith.report.inspection_page import page, remedies_html
from trainsmith.report.inspection_table import layer_table, remedies_table
from trainsmith.report.notebook import framed
from trainsmith.report.terminal import Printable

if TYPE_CHECKING:
    import pandas as pd


class Remedies:
    """What came of trying the remedies; print it. treatment: None if nothing was to be tried."""

    def __init__(self, treatment: Treatment | None) -> None:
        self.treatment = treatment

    def __rich__(self) -> Any:
        return remedies_table(self.treatment)

    def __str__(self) -> str:
        return str(Printable(remedies_table(self.treatment)))

    def to_dict(self) -> dict[str, Any] | None:
        """Everything, as values that JSON knows; None if nothing was to be tried."""
        return self.treatment.to_dict() if self.treatment is not None else None

    def frame(self) -> pd.DataFrame:
        """One row for the network as it is, and one for each remedy, best first."""
        import pandas as pd

        if self.treatment is None:
            return pd.DataFrame()
        rows = [self.treatment.as_it_is, *self.treatment.remedies]
        return pd.DataFrame([{**vars(r), "verdict": r.verdict, "cures": ", ".join(r.cures)} for r in rows])

    def _repr_html_(self) -> str:
        return remedies_html(self.treatment)


class Inspection:
    """What `inspect` measured, and how one looks at it."""

    def __init__(self, measured: inspection.Inspection, network: str = "network", **given: Any) -> None:
        self.measured, self.network = measured, network
        self.notes: tuple[str, ...] = ()  # what is said of the data, for the page
        self._given = given
        self._remedies: Remedies | None = None

    @property
    def layers(self) -> tuple[inspection.LayerStatistics, ...]:
        return self.measured.layers

    @property
    def findings(self) -> tuple[inspection.Finding, ...]:
        return self.measured.findings

    def remedies(self, *, seeds: int = 8, steps: int = 100, batch_size: int | None = None) -> Remedies:
        """Try the findings' remedies on copies of the network, as one population, and say how much each helps.

        Each is trained for `steps` steps with `seeds` seeds and compared with the network as it is, seed by seed; its
        loss is that of the whole batch afterwards. batch_size: examples a step, by default those that `inspect` was
        told of or saw in a loader's batch, else 64. Raises InvalidInput for a batch without targets, unless the network
        makes a loss of its own.
        """
        given = self._given
        size = given.get("batch_size") if batch_size is None else batch_size
        if batch_size is None and size is not None:
            size = max(size, 2)  # one example trains no copies
        treatment = try_remedies(
            given["module"], given["batch"], self.measured, given.get("loss"), optimizer=given.get("optimizer"),
            seeds=seeds, steps=steps, batch_size=64 if size is None else size,
        )  # fmt: skip
        self._remedies = Remedies(treatment)
        return self._remedies

    def train(self, steps: int, every: int | None = None, data: Any = None) -> Inspection:
        """Train a copy for `steps` steps and measure it at every `every`-th; its findings come after those there are.

        data: (inputs, targets) to train on, by default the batch. Returns the inspection itself.
        Raises InvalidInput for a number of steps, or of steps between two measurements, below 1.
        """
        given = self._given
        self.measured = followed(
            self.measured, given["module"], given["batch"] if data is None else data, given.get("loss"), steps=steps,
            every=every, optimizer=given.get("optimizer"), batch_size=given.get("batch_size"),
        )  # fmt: skip
        return self

    def table(self) -> Printable:
        """One row per layer, the findings in words, the course of the training and the remedies; print it."""
        parts = [layer_table(self.measured)]
        if self.measured.course is not None:
            parts.append(course_table(self.measured.course, self.layers))
        if self._remedies is not None:
            parts.append(remedies_table(self._remedies.treatment))
        return Printable(Group(*parts))

    def figure(self, path: str | Path) -> Path:
        """Write one histogram per layer as a PNG; returns its path. Raises InvalidInput for another kind of file."""
        path = named(path, "a figure is written as a picture", *PICTURE)
        layer_figure(self.measured, path)
        return path

    def frame(self) -> pd.DataFrame:
        """One row per layer, in the order of the data's way."""
        import pandas as pd

        rows = [{k: v for k, v in vars(m).items() if k not in HISTOGRAMS} for m in self.layers]
        return pd.DataFrame(rows)

    def course_frame(self) -> pd.DataFrame:
        """One row per measured step of the training and layer; without a training none."""
        course = self.measured.course
        return layers_frame(() if course is None else course.measurements)

    def findings_frame(self) -> pd.DataFrame:
        """One row per finding."""
        import pandas as pd

        columns = list(inspection.Finding.__dataclass_fields__)
        return pd.DataFrame([vars(f) for f in self.findings], columns=columns).astype({"step": "Int64"})

    def report(self, path: str | Path) -> Path:
        """Write everything as one HTML file that opens offline; returns its path. Raises InvalidInput for another."""
        path = named(path, "a report is a page", *PAGE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows; with "remedies" if they were tried."""
        tried = {"remedies": self._remedies.to_dict()} if self._remedies is not None else {}
        return {**self.measured.to_dict(), **tried}

    def html(self) -> str:
        """The page as text."""
        treatment = self._remedies.treatment if self._remedies is not None else None
        return page(self.measured, treatment, self.network, self.notes)

    def __repr__(self) -> str:
        kinds = ", ".join(f.short for f, _ in inspection.ranked(self.findings)) or "no finding"
        return f"<Inspection of {self.network} on {self.measured.examples} examples: {kinds}>"

    def _repr_html_(self) -> str:
        return framed(self.html())


def inspect(
    module: nn.Module,
    batch: Any,
    loss: Any = None,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    validation: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    every: int | None = None,
) -> Inspection:
    """How signal and gradient pass through every layer of `module` on `batch`, and what is wrong with it.

    The module is left as it was. batch: inputs (n, ...), or (inputs, targets); inputs may be several in a tuple, or a
    mapping of arguments by name, as Hugging Face's models take them; or what gives such batches, as a DataLoader, of
    which the first ones are taken, up to 1,000 examples. loss: loss(outputs, targets) -> scalar; by default
    cross-entropy for class indices and squared error for numbers. optimizer: that of the training: its state is looked
    at, and other learning rates are tried on copies. validation: (inputs, targets) held back from training: are they
    apart, and does what is learned hold for them? batch_size: examples a step of the training, by default those of a
    loader's batch, else all. steps: also train a copy
    for so many, and measure it at every `every`-th, by default a sixteenth of them.
    Raises InvalidInput for what cannot be inspected.
    """
    if not isinstance(module, nn.Module):
        raise InvalidInput(
            f"what is inspected must be an nn.Module; got {shown(repr(module))}. The command `trainsmith inspect` "
            "takes names of networks; here build('mlp', input_shape, outputs) of trainsmith.network makes one."
        )
    check_made(module)
    batches = None
    if is_loader(batch):
        taken = loaded(batch, module)
        batch, batches, batch_size = taken.batch, taken.batches, taken.size if batch_size is None else batch_size
    if is_loader(validation):
        validation = loaded(validation, module).batch
    given: dict[str, Any] = {"loss": loss, "optimizer": optimizer, "batch_size": batch_size}
    found = inspection.inspect(module, batch, **given, validation=validation, steps=steps, every=every)
    found = replace(found, batches=batches)
    return Inspection(found, type(module).__name__, module=module, batch=batch, **given)
