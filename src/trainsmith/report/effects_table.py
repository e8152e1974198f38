"""What a design of several families says, in the terminal: shares of the families, main effects, interactions."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from trainsmith.comparison import Study
from trainsmith.comparison.study import Effect
from trainsmith.report import words

COLOURS = {"better": "bold green", "worse": "red"}
MOST_SHOWN = 10
"""Interactions in the terminal; the report and the record have all."""


def effects_tables(study: Study) -> list[RenderableType]:
    """Nothing for a study of one technique at a time."""
    tables: list[RenderableType] = []
    if study.shares:
        table = _table("which family matters: share of the variance between recipes", "family", "share (95 %)")
        for share in study.shares:
            table.add_row(words.crossed(share.families), words.share(share.share))
        tables.append(table)
    if study.effects:
        tables.append(_effects(study, "main effects: averaged over the recipes it was added to", study.effects))
    if study.interactions:
        shown = study.interactions[:MOST_SHOWN]
        more = (
            f", the largest {len(shown)} of {len(study.interactions)}" if len(shown) < len(study.interactions) else ""
        )
        tables.append(_effects(study, f"interactions: beyond the sum of both{more}", shown))
    return tables


def _effects(study: Study, title: str, effects: Sequence[Effect]) -> Table:
    unit = words.unit(study)
    table = _table(title, "technique", f"difference, {unit}", "recipes", "verdict")
    for effect in effects:
        table.add_row(
            Text(words.effect(effect)),
            Text(words.difference(study, effect.difference)),
            str(effect.recipes),
            Text(effect.words, COLOURS.get(effect.verdict, "")),
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < i < 3 and column != "verdict" else "left", overflow="fold")
    return table
