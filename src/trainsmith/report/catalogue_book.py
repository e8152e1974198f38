"""The catalogue as Markdown: one page for each family, made from the techniques' own pages."""

import importlib
import inspect
from collections.abc import Sequence

from trainsmith.catalogue import FAMILIES, Family, Hyperparameter, Technique, techniques

COMMAND = "make techniques"


def pages() -> dict[str, str]:
    """Each file's text by its name: one a family, and README.md, the list of all."""
    entries = {family: techniques(family) for family in FAMILIES}
    found = {f"{family}.md": _family(family, entries[family]) for family in FAMILIES}
    total = sum(map(len, entries.values()))
    lines = [f"- [{family}]({family}.md): {_names(entries[family])}" for family in FAMILIES]
    about = (
        f"All {total} entries of the catalogue, by family. Each is code to be used alone, in a population, and by its "
        "name in `trainsmith compare`."
    )
    return {"README.md": "\n".join(["# The techniques", "", about, _made(), "", *lines, ""]), **found}


def _made() -> str:
    return f"Made from the docstrings by `{COMMAND}`; do not edit."


def _names(entries: Sequence[Technique]) -> str:
    return ", ".join(t.name for t in entries)


def _family(family: Family, entries: Sequence[Technique]) -> str:
    room = inspect.getdoc(importlib.import_module(f"trainsmith.{family}")) or ""
    head = [f"# {family.capitalize()}", "", f"{len(entries)} techniques. {_made()}", "", room]
    return "\n".join([*head, *(line for t in entries for line in _entry(t))]) + "\n"


def _entry(technique: Technique) -> list[str]:
    page = technique.page
    also = f" (also {', '.join(f'`{a}`' for a in technique.aliases)})" if technique.aliases else ""
    lines = ["", f"## {page.title}", "", f"`{technique.name}`{also}: {page.summary}", "", *_block(page.formula, "text")]
    if technique.hyperparameters:
        lines += [
            "",
            "| hyper-parameter | default | searched | scale | defined in | meaning |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(h) for h in technique.hyperparameters]
    named = {"Paper": page.paper, "Differs": page.differs, "Pitfall": page.pitfall, "Helps": page.helps}
    if technique.gradients > 1:
        named["Cost"] = f"about {technique.gradients} gradients a step."
    for word, text in named.items():
        lines += ["", f"**{word}:** {_escaped(text)}"]
    return [*lines, "", *_block(page.example, "python")]


def _block(text: str, language: str) -> list[str]:
    return [f"```{language}", *text.splitlines(), "```"]


def _row(number: Hyperparameter) -> str:
    low, high = number.search
    searched = f"{low:g} to {high:g}" + ("" if number.tuned else " (not by default)")
    cells = (number.name, f"{number.default:g}", searched, number.scale, str(number.domain), number.meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Signs that Markdown would take for its own, kept as they are."""
    return "".join(f"\\{c}" if c in "*_<[" else c for c in text)
