"""The report of a study: one HTML file that opens offline, loads nothing, and says the same without its script."""

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from trainsmith.catalogue import Trial
from trainsmith.comparison import Study
from trainsmith.report import activation_figure, interaction_map, interval_figure, study_figure, tally, words
from trainsmith.report.template import filled
from trainsmith.store import DATABASE, Store

STUDY_FILE = "study.toml"
PATHS = ("data = ", "network = ", "data_dir = ")
"""What lines of it begin with that may hold a path."""


def report_html(study: Study, question: str = "") -> str:
    """The page as text. Everything that came from the user is escaped. question: the text of its study.toml, if any."""
    script = files("trainsmith.report").joinpath("page.js").read_text(encoding="utf-8")
    return filled(
        "study.html",
        study=study,
        words=words,
        tally=tally,
        families=[_family(study, family) for family in study.families()],
        map=interaction_map.interaction_map(study),
        activations=_activations(study),
        layer=activation_figure.layer,
        number=activation_figure.number,
        drawn=study_figure.MOST_DRAWN,
        baseline_values=Trial(study.baseline).values,
        unit=words.unit(study),
        delta=words.delta(study),
        question=_asked(question) if question else "",
        script=Markup(script),
        policy=policy(script),
    )


def policy(script: str) -> str:
    """The page's content security policy: this one script, styles of its own, and nothing from anywhere."""
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    rules = ("default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", f"script-src 'sha256-{digest}'",
             "base-uri 'none'", "form-action 'none'")  # fmt: skip
    return "; ".join(rules)


def write_report(study: Study, path: Path, folder: Path | None = None) -> Path:
    """Write the page to `path`, making its folder; returns the path. The study.toml of its folder is shown on it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_html(study, _question(folder or path.parent)), encoding="utf-8")
    return path


def _question(folder: Path) -> str:
    """The study.toml of the study in `folder`, "" where there is none.

    Paths below the folder in which the study was begun are shown from there, as one would type them: who is sent the
    page has neither, and need not learn where they lie.
    """
    if not (folder / STUDY_FILE).is_file():
        return ""
    text = (folder / STUDY_FILE).read_text(encoding="utf-8", errors="replace")
    begun = Store(folder).about("begun in") if (folder / DATABASE).is_file() else None
    if not isinstance(begun, str):
        return text
    above = json.dumps(f"{begun.rstrip('/')}/", ensure_ascii=False)[:-1]
    lines = (line.replace(f"= {above}", '= "', 1) if line.startswith(PATHS) else line for line in text.splitlines(True))
    return "".join(lines)


def _asked(question: str) -> Markup:
    return Markup('<dt>study.toml</dt><dd><pre tabindex="0">{}</pre></dd>').format(question)


def _family(study: Study, family: str) -> dict[str, Any]:
    """What a family's part of the page is made of."""
    rows, lines = study.family(family), study_figure.lines(study, family)
    scale = interval_figure.scale_of(study, [row.difference for row in rows])
    by_seed = any(row.pace is not None for row in rows)  # studies from before it was measured have none
    figures = [
        (f"While training: validation {study.metric}, mean of {study.plan['fresh_seeds']} seeds and 95 % interval",
         study_figure.curves(study, family, lines)),
    ]  # fmt: skip
    if any(len(row.attempts) > 1 for row in rows):  # of a default setting alone there is nothing to see
        title = f"Learning rate: every tuning trial{_lengths(study)}"
        figures.append((title, study_figure.tuning(study, family, lines)))
    if any(len(row.tuning_curve) > 1 for row in rows):  # a fast study has none: its trials are of different lengths
        title = "Tuning budget: the score to be expected of the best of so many trials"
        figures.append((title, study_figure.tuning_curves(study, family, lines)))
    return {
        "name": family,
        "rows": rows,
        "lines": lines,
        "by_seed": by_seed,
        "figures": figures,
        "axis": interval_figure.axis(study, scale),
        "intervals": [interval_figure.interval(study, scale, row.difference, row.verdict) for row in rows],
    }


def _lengths(study: Study) -> str:
    """What joins a fast study's trials, which are of several lengths."""
    if not study.plan.get("fast"):
        return ""
    steps = words.rung_steps(study, study.plan["rungs"][0]["share"])
    return f"; a line joins those of {steps} steps, hollow ones were trained longer"


def _activations(study: Study) -> list[tuple[str, list[Any]]]:
    """The layers of the baseline, then the winner's."""
    roles = dict.fromkeys(layer.role for layer in study.activations)
    return [(role, [layer for layer in study.activations if layer.role == role]) for role in roles]
