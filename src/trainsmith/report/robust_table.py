"""Accuracy under attack, in the terminal."""

import itertools

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from trainsmith.comparison import Study
from trainsmith.report import words


def robust_tables(study: Study) -> list[RenderableType]:
    """One for each norm of the attack; nothing where no technique trains against an adversary."""
    tables: list[RenderableType] = []
    for _, rows in itertools.groupby(study.robust, lambda row: row.norm):
        first, *others = rows
        title = f"accuracy under attack ({first.attack})"
        table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
        for name in ("technique", "clean (95 %)", "under attack (95 %)", "difference, points"):
            table.add_column(name, overflow="fold")
        for row in (first, *others):
            said = (words.share(row.clean), words.share(row.attacked), words.points(row.difference))
            table.add_row(Text(row.technique), *map(Text, said))
        tables.append(table)
    return tables
