"""The catalogue in the terminal and for machines: a listing by family, and one technique's page."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trainsmith.catalogue import FAMILIES, Technique


def listing(techniques: Sequence[Technique]) -> RenderableType:
    """A table per family: name, what it is, paper."""
    tables = []
    for family in FAMILIES:
        table = Table("name", "what it is", "paper", title=family, title_justify="left", expand=False)
        for t in techniques:
            if t.family == family:
                table.add_row(t.name, escape(f"{t.page.title}: {t.page.summary}"), escape(_short(t.page.paper)))
        if table.row_count:
            tables.append(table)
    hint = Text("trainsmith techniques NAME shows one: formula, hyper-parameters, pitfalls, example.", "dim")
    return Group(*tables, hint)


def page(technique: Technique) -> RenderableType:
    """One technique: title, formula, hyper-parameters with range and default, paper, pitfalls, example."""
    p = technique.page
    parts: list[RenderableType] = [
        Text(f"{p.title} ({technique.family}: {technique.name})", "bold"),
        Text(p.summary),
    ]
    if p.formula:
        parts.append(Padding(Text(p.formula, "cyan"), (1, 4)))
    if technique.hyperparameters:
        table = Table("hyper-parameter", "default", "searched", "scale", "defined in", "meaning")
        for h in technique.hyperparameters:
            searched = f"{h.search[0]:g} to {h.search[1]:g}" + ("" if h.tuned else " (not by default)")
            table.add_row(h.name, f"{h.default:g}", searched, h.scale, str(h.domain), escape(h.meaning))
        parts.append(table)
    named = (("Paper", p.paper), ("Differs", p.differs), ("Pitfall", p.pitfall), ("Helps", p.helps))
    parts += [Text.assemble((f"{word}: ", "bold"), text) for word, text in named if text]
    if technique.gradients > 1:
        parts.append(Text.assemble(("Cost: ", "bold"), f"about {technique.gradients} gradients a step"))
    if p.example:
        parts.append(Padding(Text(p.example, "green"), (1, 4)))
    return Group(*parts)


def as_dict(technique: Technique) -> dict[str, Any]:
    """One technique as values that JSON knows."""
    p = technique.page
    return {
        "name": technique.name,
        "family": technique.family,
        "aliases": list(technique.aliases),
        "title": p.title,
        "summary": p.summary,
        "formula": p.formula,
        "paper": p.paper,
        "differs": p.differs,
        "pitfall": p.pitfall,
        "helps": p.helps,
        "example": p.example,
        "gradients_per_step": technique.gradients,
        "hyperparameters": [
            {
                "name": h.name,
                "default": h.default,
                "search": list(h.search),
                "scale": h.scale,
                "domain": str(h.domain),
                "tuned": h.tuned,
                "meaning": h.meaning,
            }
            for h in technique.hyperparameters
        ],
    }


def _short(paper: str) -> str:
    """Authors and year: what stands before the first comma that follows a year."""
    head, comma, _ = paper.partition(", ")
    return head if comma else paper.rstrip(".")
