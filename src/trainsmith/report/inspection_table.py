"""Tables of an inspection and of the depth experiment, for the terminal."""

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainsmith.inspection import DepthExperiment, Inspection, LayerStatistics, ranked
from trainsmith.inspection.faults.fault import spoken
from trainsmith.inspection.tried.treatment import AS_IT_IS, Remedy, Treatment
from trainsmith.report.inspection_number import number


def layer_table(inspection: Inspection) -> RenderableType:
    """One row per layer in the order of the data's way, and the findings in words below."""
    table = Table(title=f"{len(inspection.layers)} layers on {inspection.seen}, loss {inspection.loss:.3f}")
    table.add_column("layer", overflow="fold")
    for name in ("mean", "spread", "E[x²]", "theory", "zeros", "saturated", "gradient"):
        table.add_column(Text(name), justify="right")
    table.add_column("verdict")
    for layer in inspection.layers:
        healthy = layer.verdict == "healthy"
        verdict = Text(layer.verdict, "green" if healthy else "bold red")
        table.add_row(*(Text(cell) for cell in layer_cells(layer)), verdict)
    parts: list[RenderableType] = [table]
    for finding, _ in ranked(inspection.findings):  # the first of each kind tells the story; the table has the rest
        advice = f" {finding.advice}" if finding.advice else ""
        when = f"at step {finding.step}: " if finding.step is not None else ""
        told = (when, finding.words, advice, (f" [{finding.source}]", "dim"))
        parts.append(Text.assemble(("• ", "bold red"), *told))
    if not inspection.findings:
        parts.append(Text("No finding: signal and gradient pass through every layer.", "green"))
    parts += [Text(note, "dim") for note in inspection.unjudged]
    if inspection.noise is not None:
        parts.append(Text(f"Gradient noise scale: {inspection.noise.words}", "dim"))
    return Group(*parts)


def layer_cells(layer: LayerStatistics) -> tuple[str, ...]:
    """A layer's name and numbers as text, without its verdict."""
    return (
        f"{layer.name} {layer.kind}",
        number(layer.mean),
        number(layer.std),
        number(layer.second_moment),
        "" if layer.predicted is None else number(layer.predicted),
        f"{layer.zeros:.0%}" if layer.zeros else "",
        "" if layer.saturated is None else f"{layer.saturated:.0%}",
        number(layer.gradient),
    )


def remedies_table(treatment: Treatment | None) -> RenderableType:
    """One row per remedy, best first: loss after training with its interval, difference and verdict."""
    if treatment is None:
        return Text("No remedy of the catalogue is against what was found.", "dim")
    table = Table(title=treatment_title(treatment))
    table.add_column("remedy", no_wrap=True)
    table.add_column("against", overflow="fold")
    table.add_column("loss after (95 %)", justify="right", overflow="fold")
    table.add_column("difference (95 %)", justify="right", overflow="fold")
    table.add_column("spread at layer", justify="right", overflow="fold")
    table.add_column("verdict")
    for row in (treatment.as_it_is, *treatment.remedies):
        colour = {"better": "green", "worse": "red"}.get(row.verdict, "")
        _, *cells = remedy_cells(row)
        lines = [row.name.replace("=", "\n"), *(cell.replace(" [", "\n[") for cell in cells)]  # for 80 columns
        table.add_row(*map(Text, lines), Text(row.verdict, colour))
    parts: list[RenderableType] = [table]
    if helped := effect_words(treatment):
        parts.append(Text(helped, "green"))
    parts += [Text(f"not tried: {name}: {reason}.", "dim") for name, reason in treatment.skipped.items()]
    return Group(*parts)


def effect_words(treatment: Treatment) -> str:
    """What the best of the remedies that help does, in one sentence; "" if none helps."""
    best = next((row for row in treatment.remedies if row.verdict == "better"), None)
    if best is None:
        return ""
    spreads = number(best.spread_before), number(best.spread)
    changed = math.isfinite(best.spread) and spreads[0] != spreads[1]
    spread = f"spread at {spoken(best.layer)} from {spreads[0]} to {spreads[1]}; " if changed else ""
    lost, steps = treatment.as_it_is.diverged, f"loss after {treatment.steps} steps"
    if lost:
        before = f"{steps} {number(best.loss)}, where it does not stay finite with {lost} of"
    else:
        before = f"{steps} from {number(treatment.as_it_is.loss)} to {number(best.loss)},"
    return (
        f"What helps: {best.name.replace('=', ' ')}: {spread}{before} "
        f"{treatment.seeds} seeds{' as it is' if lost else ''}, [{number(best.loss_low)}, {number(best.loss_high)}]."
    )


def treatment_title(treatment: Treatment) -> str:
    """What the remedies were tried with, in one line."""
    return (
        f"Remedies: {treatment.steps} steps of {treatment.optimizer}, batches of {treatment.batch_size}, "
        f"{treatment.seeds} seeds; first loss {number(treatment.first_loss)}"
    )


def remedy_cells(row: Remedy) -> tuple[str, str, str, str, str]:
    """Name, what it is against, loss, difference and spread, as text."""
    spread = f"{row.layer}: {number(row.spread_before)} to {number(row.spread)}"
    own = row.name == AS_IT_IS
    return (
        row.name.replace("=", " "),
        row.against,
        _with_interval(row.loss, row.loss_low, row.loss_high),
        "" if own else _difference(row),
        "" if own or not math.isfinite(row.spread) else spread,
    )


def _difference(row: Remedy) -> str:
    """The difference with its interval, and the seeds that are lost only without the remedy."""
    told = _with_interval(row.difference, row.low, row.high)
    if not row.saved:
        return told
    saves = f"saves {row.saved} seed{'s' if row.saved > 1 else ''}"
    return saves if told == "-" else f"{told}, {saves}"


def _with_interval(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "-"
    return number(value) + (f" [{number(low)}, {number(high)}]" if math.isfinite(high - low) else "")


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
        numbers = [f"{number(layer.std)}\n({number(layer.predicted_std)})" for layer in cell.layers]
        last_of_row = i + 1 < len(experiment.cells) and experiment.cells[i + 1].activation != cell.activation
        table.add_row(cell.activation, cell.initialization, *numbers, end_section=last_of_row)
    return table
