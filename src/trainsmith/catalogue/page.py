"""A technique's docstring is its page: title, formula, paper, differences, pitfalls, use, example."""

import inspect
from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """The parts of a technique's docstring.

    title: the first line up to its colon. summary: what follows the colon. formula: the first indented
    block. paper, differs, pitfall, helps: the paragraphs that begin with these words. example: the lines
    from the first `>>>` on.
    """

    title: str
    summary: str
    formula: str
    paper: str
    differs: str
    pitfall: str
    helps: str
    example: str

    @classmethod
    def of(cls, thing: object) -> "Page":
        paragraphs = (inspect.getdoc(thing) or "").split("\n\n")
        title, _, summary = " ".join(paragraphs[0].split()).partition(": ")
        formulas = [p for p in paragraphs if p.startswith("    ")]
        named = {p.split(":", 1)[0]: " ".join(p.split(":", 1)[1].split()) for p in paragraphs if ":" in p}
        examples = [p for p in paragraphs if p.startswith(">>>")]
        return cls(
            title=title,
            summary=summary,
            formula=inspect.cleandoc(formulas[0]) if formulas else "",
            paper=named.get("Paper", ""),
            differs=named.get("Differs", ""),
            pitfall=named.get("Pitfall", ""),
            helps=named.get("Helps", ""),
            example="\n\n".join(examples),
        )
