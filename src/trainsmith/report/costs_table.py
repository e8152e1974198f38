"""What costs say, in the terminal: verdicts at equal cost, and what a fast study cut."""

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from trainsmith.comparison import Study
from trainsmith.report import words
from trainsmith.report.effects_table import COLOURS


def costs_tables(study: Study) -> list[RenderableType]:
    """Nothing where every technique costs a gradient a step and all have a verdict."""
    tables: list[RenderableType] = []
    costly = [(row, row.equal_cost) for row in study.rows if row.equal_cost is not None]
    unit = words.unit(study)
    if costly:
        table = Table(title="at equal cost", title_justify="left", title_style="bold", pad_edge=False)
        for name in ("technique", "steps", f"difference, {unit}", "verdict"):
            table.add_column(name, overflow="fold")
        for row, equal in costly:
            table.add_row(
                Text(row.technique),
                f"{equal.steps} of {study.plan['steps']}",
                Text(words.difference(study, equal.difference)),
                Text(words.verdict_at_equal_cost(row), COLOURS.get(equal.verdict, "")),
            )
        tables.append(table)
    if study.cut:
        table = Table(title="cut after tuning", title_justify="left", title_style="bold", pad_edge=False)
        for name in ("technique", f"{study.metric} of {study.cut[0].seeds} tuning seeds", "behind"):
            table.add_column(name, overflow="fold")
        for cut in study.cut:
            table.add_row(Text(cut.technique), *map(Text, words.cut(study, cut)))
        tables.append(table)
    return tables
