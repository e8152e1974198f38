"""A map of a design's interactions: a table of each two techniques, coloured by what they give together."""

import math
from dataclasses import dataclass

from trainsmith.comparison import Study
from trainsmith.report import words

MARKS = {"better": "+", "worse": "−", "no difference worth having": "="}
"""What stands in a field; a field whose sign cannot be told has none."""
MOST_COLOUR = 40
"""Per cent of the colour in the field furthest from none, so that its text can be read."""


@dataclass(frozen=True)
class Field:
    """One field: number and mark, its colour, and its words for those who ask."""

    text: str
    style: str
    words: str


@dataclass(frozen=True)
class Map:
    """names: of the techniques, one a row and a column. fields: by row; None where two were not trained together."""

    names: tuple[str, ...]
    fields: tuple[tuple[Field | None, ...], ...]


def interaction_map(study: Study) -> Map | None:
    """The map, or None for a study without interactions."""
    if not study.interactions:
        return None
    keys = list(dict.fromkeys((e.families + e.techniques) for e in study.effects))
    for e in study.interactions:
        keys += [k for k in zip(e.families, e.techniques, strict=False) if k not in keys]
    factor = 100 if study.metric == "accuracy" else 1
    finite = [e for e in study.interactions if math.isfinite(e.difference.mean)]
    most = max((abs(e.difference.mean) for e in finite), default=0.0)
    fields: dict[tuple[str, ...], dict[tuple[str, ...], Field]] = {key: {} for key in keys}
    for e in finite:
        pair = list(zip(e.families, e.techniques, strict=False))
        if len(pair) != 2:
            continue
        value = study.shown(e.difference).mean * factor
        share = round(MOST_COLOUR * abs(e.difference.mean) / most) if most else 0
        colour = "--cool" if e.difference.mean > 0 else "--warm"
        style = f"background: color-mix(in srgb, var({colour}) {share}%, var(--paper))"
        mark = MARKS.get(e.verdict, "")
        number = f"{value:+.1f}" if study.metric == "accuracy" else f"{value:+.3f}"
        field = Field(f"{number} {mark}".strip(), style, f"{words.effect(e)}: {e.words}")
        fields[pair[0]][pair[1]] = fields[pair[1]][pair[0]] = field
    rows = tuple(tuple(fields[a].get(b) for b in keys) for a in keys)
    return Map(tuple(words.alone(*key) for key in keys), rows)
