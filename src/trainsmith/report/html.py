"""The report of a study: one HTML file that opens offline."""

from pathlib import Path

import jinja2

from trainsmith.catalogue import Trial
from trainsmith.comparison import Study
from trainsmith.report import study_figure, words


def report_html(study: Study) -> str:
    """The page as text. Everything that came from the user is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trainsmith.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    families = [
        {
            "name": family,
            "rows": study.family(family),
            "differences": study_figure.differences(study, family),
            "curves": study_figure.curves(study, family),
            "tuning": study_figure.tuning(study, family),
        }
        for family in study.families()
    ]
    return environment.get_template("template.html").render(
        study=study,
        words=words,
        families=families,
        baseline_values=Trial(study.baseline).values,
        unit="points" if study.metric == "accuracy" else study.metric,
        delta=f"{100 * study.delta:.1f} points" if study.metric == "accuracy" else f"{study.delta:.2g}",
    )


def write_report(study: Study, path: Path) -> Path:
    """Write the page to `path`, making its folder; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_html(study), encoding="utf-8")
    return path
