"""The door for Python users who train themselves: watch, and what one does with what it saw."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from typing import Any, Self

import pandas as pd
import torch
from rich.console import Group
from rich.table import Table
from rich.text import Text
from torch import nn

from trainsmith.inspection.watch import Watch as Measuring
from trainsmith.report.board import Board
from trainsmith.report.course_frame import layers_frame
from trainsmith.report.terminal import Printable

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
        return pd.DataFrame([{"step": m.step, **vars(p)} for m in self.measurements for p in m.parameters])

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
        said = [Text(f"{f.words} ({f.source})") for f in self.findings] or [Text("No findings.")]
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
        last = pd.DataFrame([{"layer": m.name, **{t: getattr(m, n) for n, t in _COLUMNS.items()}} for m in self.layers])
        said = "".join(f"<li>{escape(f.words)}</li>" for f in self.findings)
        findings = f"<ul>{said}</ul>" if said else "<p>No findings.</p>"
        step = (
            f"<p>step {self.measurements[-1].step} of {self.steps}</p>" if self.measurements else "<p>nothing yet</p>"
        )
        return step + last.to_html(index=False, float_format=lambda v: f"{v:.3g}", na_rep="") + findings


def watch(model: nn.Module, optimizer: torch.optim.Optimizer, every: int = 16, warn: bool = True) -> Watch:
    """Measure every layer and parameter of `model` at every `every`-th step of `optimizer`, from the first on.

        with trainsmith.watch(model, optimizer) as w:
            for x, y in batches:
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()
        print(w.table())

    A finding is told once, as a `FindingWarning` while the network trains; warn=False keeps it for `.findings`.
    Between measured steps no hook hangs on the network. The training's numbers stay the same, bit for bit.
    Raises InvalidInput for what is no network or optimizer, or an optimizer of another network.
    """
    return Watch(model, optimizer, every, warn)


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
