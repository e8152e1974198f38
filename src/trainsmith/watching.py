"""The door for Python users who train themselves: watch, and what one does with what it saw."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any, Self, overload

import torch
from rich.console import Group
from rich.table import Table
from rich.text import Text
from torch import nn

from trainsmith.errors import InvalidInput
from trainsmith.inspection import Finding
from trainsmith.inspection.faults.fault import summed
from trainsmith.inspection.passes.record import ordinal
from trainsmith.inspection.watching.members_watch import MembersWatch
from trainsmith.inspection.watching.watch import Watch as Measuring
from trainsmith.population import Population
from trainsmith.report.board import Board
from trainsmith.report.course_frame import layers_frame, parameters_frame
from trainsmith.report.terminal import Printable

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    "mean": "mean", "std": "spread", "zeros": "zeros", "dead": "dead", "saturated": "saturated",
    "variance_ratio": "variance ratio", "effective_rank": "rank", "gradient": "gradient",
    "gradient_ratio": "gradient ratio",
}  # fmt: skip


class Watch(Measuring):
    """A training under watch: see `trainsmith.watch`."""

    def frame(self) -> pd.DataFrame:
        """One row per measured step and layer, in the order of the data's way."""
        return layers_frame(self.measurements)

    def parameters_frame(self) -> pd.DataFrame:
        """One row per measured step and parameter."""
        return parameters_frame(self.measurements)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows: NaN and infinity are None."""
        return {
            "every": self.every,
            "steps": self.steps,
            "measurements": _plain([asdict(m) for m in self.measurements]),
            "findings": _plain([asdict(f) for f in self.findings]),
        }

    def json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def table(self) -> Printable:
        """The layers and parameters at the last measured step, and the findings in words; print it."""
        if not self.measurements:
            return Printable(Text("Nothing is measured yet: no optimizer step was taken under watch."))
        last = self.measurements[-1]
        layers = Table(title=f"step {last.step}: layers, in the order of the data's way")
        for title in ("layer", *_COLUMNS.values()):
            layers.add_column(title, justify="left" if title == "layer" else "right")
        for m in last.layers:
            layers.add_row(m.name, *(_cell(name, getattr(m, name)) for name in _COLUMNS))
        parameters = Table(title=f"step {last.step}: parameters")
        for title in ("parameter", "norm", "gradient", "update / norm"):
            parameters.add_column(title, justify="left" if title == "parameter" else "right")
        for p in last.parameters:
            parameters.add_row(p.name, *(_cell("", v) for v in (p.norm, p.gradient, p.update_ratio)))
        said = [Text(f"• {_when(f)}{words} ({f.source})") for f, words in summed(self.findings)]
        said = said or [Text("No findings.")]
        if not last.layers:
            said.insert(0, Text("No layer was seen: the network did not run in training mode with gradients."))
        return Printable(Group(layers, parameters, *said))

    def tensorboard(self, writer: Any) -> Self:
        """Write every measured step for TensorBoard too, from now on: curves, histograms, findings as texts.

            with trainsmith.watch(model, optimizer).tensorboard("runs/first") as w: ...

        writer: a folder, or a SummaryWriter of torch or one like it. Raises InvalidInput for anything else, and without
        the package tensorboard.
        """
        board = Board(writer)
        self.listeners.append(board.write)
        self.at_stop(board.close)
        return self

    def _repr_html_(self) -> str:
        import pandas as pd

        last = pd.DataFrame([{"layer": m.name, **{t: getattr(m, n) for n, t in _COLUMNS.items()}} for m in self.layers])
        said = "".join(f"<li>{_when(f)}{escape(words)}</li>" for f, words in summed(self.findings))
        findings = f"<ul>{said}</ul>" if said else "<p>No findings.</p>"
        step = (
            f"<p>step {self.measurements[-1].step} of {self.steps}</p>" if self.measurements else "<p>nothing yet</p>"
        )
        return step + last.to_html(index=False, float_format=lambda v: f"{v:.3g}", na_rep="") + findings


class PopulationWatch(MembersWatch):
    """A population under watch: see `trainsmith.watch`."""

    @property
    def findings(self) -> dict[int, tuple[Finding, ...]]:
        """All findings so far of the members that have some."""
        return {k: log.findings for k, log in enumerate(self.logs) if log.findings}

    def frame(self) -> pd.DataFrame:
        """One row per member, measured step and layer, in the order of the data's way."""
        return _by_member(layers_frame(self.measurements(k)) for k in range(len(self.logs)))

    def parameters_frame(self) -> pd.DataFrame:
        """One row per member, measured step and parameter."""
        return _by_member(parameters_frame(self.measurements(k)) for k in range(len(self.logs)))

    def findings_frame(self) -> pd.DataFrame:
        """One row per member and finding."""
        import pandas as pd

        columns = ["member", *Finding.__dataclass_fields__]
        return pd.DataFrame(
            [{"member": k, **vars(f)} for k, own in self.findings.items() for f in own], columns=columns
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows: NaN and infinity are None."""
        return {
            "every": self.every,
            "unseen": list(self.unseen),
            "members": [
                {"measurements": _plain([asdict(m) for m in self.measurements(k)]),
                 "findings": _plain([asdict(f) for f in log.findings])}
                for k, log in enumerate(self.logs)
            ],
        }  # fmt: skip

    def json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def table(self) -> Printable:
        """What was found of each member, and since which step; print it."""
        table = Table(title=f"{len(self.logs)} members, every {ordinal(self.every)} step")
        for title, side in (("member", "right"), ("measured until step", "right"), ("findings", "left")):
            table.add_column(title, justify=side, overflow="fold")  # type: ignore[arg-type]
        for k, log in enumerate(self.logs):
            last = str(log.measurements[-1].step) if log.measurements else ""
            table.add_row(str(k), last, Text("; ".join(_when(f) + words for f, words in summed(log.findings))))
        return Printable(Group(table, *(Text(reason) for reason in self.unseen)))

    def _repr_html_(self) -> str:
        import pandas as pd

        found = pd.DataFrame(
            [{"member": k, "step": f.step, "layer": f.layer, "finding": f.short, "words": words}
             for k, own in self.findings.items() for f, words in summed(own)]
        )  # fmt: skip
        unseen = "".join(f"<p>{escape(reason)}</p>" for reason in self.unseen)
        return f"<p>{len(self.logs)} members</p>{unseen}" + (
            found.to_html(index=False) if len(found) else "<p>No findings.</p>"
        )


def _by_member(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The members' frames one below the other, with a first column that says whose they are."""
    import pandas as pd

    own = [f.assign(member=k)[["member", *f]] for k, f in enumerate(frames) if len(f)]
    return pd.concat(own, ignore_index=True) if own else pd.DataFrame()


@overload
def watch(model: nn.Module, optimizer: torch.optim.Optimizer, every: int = 16, warn: bool = True) -> Watch:
    """A network in a loop of your own."""


@overload
def watch(model: Population, optimizer: None = None, every: int = 16) -> PopulationWatch:
    """Every member of a population."""


def watch(
    model: nn.Module | Population, optimizer: torch.optim.Optimizer | None = None, every: int = 16, warn: bool = True
) -> Watch | PopulationWatch:
    """Measure every layer and parameter of `model` at every `every`-th step of `optimizer`, from the first on.

        with trainsmith.watch(model, optimizer) as w:
            for x, y in batches:
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()
        print(w.table())

    A finding is told once, as a `FindingWarning` while the network trains; warn=False keeps it for `.findings`.
    Between measured steps no hook hangs on the network. The training's numbers stay the same, bit for bit.

    A trainsmith.Population brings its own optimizer, and has every member measured, without warnings:

        with trainsmith.watch(population, every=16) as w:
            population.fit(x, y, steps=200)
        w.frame(), w.findings_frame()

    Raises InvalidInput for what is no network or optimizer, or an optimizer of another network.
    """
    if not isinstance(model, Population):
        return Watch(model, optimizer, every, warn)  # type: ignore[arg-type]
    if optimizer is not None:
        raise InvalidInput(
            f"a population has an optimizer of its own: say watch(population, every=16); got "
            f"{type(optimizer).__name__} second."
        )
    return PopulationWatch(model, every)


def _when(finding: Finding) -> str:
    return "" if finding.step is None else f"step {finding.step}: "


def _cell(name: str, value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:.0%}" if name in ("zeros", "dead", "saturated") else f"{value:.3g}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
