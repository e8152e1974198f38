"""Tables of an inspection and of the depth experiment, for the terminal."""

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainsmith.inspection import DepthExperiment, Inspection


def layer_table(inspection: Inspection) -> RenderableType:
    """One row per layer in the order of the data's way, and the findings in words below."""
    table = Table(
        title=f"{len(inspection.layers)} layers on {inspection.examples} examples, loss {inspection.loss:.3f}"
    )
    table.add_column("layer", overflow="fold")
    for name in ("mean", "spread", "E[x²]", "theory", "zeros", "saturated", "gradient"):
        table.add_column(Text(name), justify="right")
    table.add_column("verdict")
    for layer in inspection.layers:
        healthy = layer.verdict == "healthy"
        table.add_row(
            Text(f"{layer.name} {layer.kind}"),
            _number(layer.mean),
            _number(layer.std),
            _number(layer.second_moment),
            "" if layer.predicted is None else _number(layer.predicted),
            f"{layer.zeros:.0%}" if layer.zeros else "",
            "" if layer.saturated is None else f"{layer.saturated:.0%}",
            _number(layer.gradient),
            Text(layer.verdict, "green" if healthy else "bold red"),
        )
    parts: list[RenderableType] = [table]
    seen: set[str] = set()
    for finding in inspection.findings:
        if finding.short not in seen:  # the first layer of each kind tells the story; the table has the rest
            parts.append(Text.assemble(("• ", "bold red"), finding.words, (f" [{finding.source}]", "dim")))
        seen.add(finding.short)
    if not inspection.findings:
        parts.append(Text("No finding: signal and gradient pass through every layer.", "green"))
    return Group(*parts)


def depth_table(experiment: DepthExperiment) -> RenderableType:
    """Spread of the activations per layer, measured, with mean-field theory's prediction beside it."""
    table = Table(
        title=f"Spread of activations: {experiment.examples}×{experiment.width} normal inputs, "
        f"{experiment.depth} layers of {experiment.width} units. Measured (theory)"
    )
    table.add_column("activation")
    table.add_column("initialization")
    for i in range(experiment.depth):
        table.add_column(f"layer {i + 1}", justify="right")
    for i, cell in enumerate(experiment.cells):
        numbers = [f"{_number(layer.std)}\n({_number(layer.predicted_std)})" for layer in cell.layers]
        last_of_row = i + 1 < len(experiment.cells) and experiment.cells[i + 1].activation != cell.activation
        table.add_row(cell.activation, cell.initialization, *numbers, end_section=last_of_row)
    return table


def _number(value: float) -> str:
    """Three significant digits in few characters."""
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    return f"{value:.1e}" if abs(value) < 0.001 or abs(value) >= 10000 else f"{value:.3g}"
