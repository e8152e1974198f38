"""A study in the terminal: the answer, then a table per family."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainsmith.comparison import Prepared, Study
from trainsmith.report import words
from trainsmith.report.costs_table import costs_tables
from trainsmith.report.effects_table import effects_tables
from trainsmith.report.robust_table import robust_tables

COLOURS = {"better": "bold green", "worse": "red", "baseline": "dim"}


def family_tables(study: Study) -> list[RenderableType]:
    """One table per family: technique, setting, score and difference with intervals, verdict."""
    tables: list[RenderableType] = []
    unit = words.unit(study)
    for family in study.families():
        rows = study.family(family)
        table = Table(title=family, title_justify="left", title_style="bold", pad_edge=False)
        table.add_column("technique", overflow="fold")
        table.add_column("tuned", overflow="fold")
        table.add_column(f"{study.metric} (95 %)", justify="right")
        table.add_column(f"difference, {unit}", justify="right")
        table.add_column("verdict", overflow="fold")
        for row in rows:
            table.add_row(
                Text(words.name(row), "dim" if row.is_baseline else ""),
                Text(words.settings(row)),
                Text(words.score(study, row.score)),
                Text(words.difference(study, row.difference)),
                Text(words.verdict(row), COLOURS.get(row.verdict, "")),
            )
        tables.append(table)
    if any(row.edges for row in study.rows):
        tables.append(Text("* at the edge of what was tried: a better value may lie beyond", "dim"))
    return [*tables, *robust_tables(study), *costs_tables(study), *effects_tables(study)]


def plan_table(plan: Prepared) -> RenderableType:
    """What a study would train: the data, the techniques of each family, the runs and what they take, notes."""
    said = plan.to_dict()
    table = Table(pad_edge=False)
    table.add_column("family")
    table.add_column("compared with the baseline", overflow="fold")
    for family, names in said["techniques"].items():
        table.add_row(family, Text(", ".join(names)))
    if said["combinations"]:
        table.add_row("combinations", f"{said['combinations']:,} of techniques of different families")
    lines: list[RenderableType] = [Text(said["data"]), Text(f"baseline: {plan.baseline}"), table]
    lines.append(Text(said["words"], "bold"))
    notes = [Text(f"note: {note}", "dim") for note in plan.notes]
    return Group(*lines, *notes, Text("Nothing was trained.", "dim"))


def summary(study: Study) -> RenderableType:
    """The answer in two sentences, the receipt, what it took, why runs on fresh seeds diverged, and notes."""
    receipt = Text(words.receipt_line(study), "green" if study.receipt.holds else "bold red")
    lines = [
        Text(words.answer(study), "bold"),
        Text(words.test_line(study)),
        receipt,
        Text(words.plan_line(study), "dim"),
        *(Text(f"diverged: {why.words}", "dim") for why in study.explained if why.seed in study.plan["seeds"]),
        *(Text(f"note: {note}", "dim") for note in study.notes),
    ]
    return Group(*lines, Text(""))
