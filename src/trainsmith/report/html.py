"""The report of a study: one HTML file that opens offline."""

from pathlib import Path

import jinja2

from trainsmith.catalogue import Trial
from trainsmith.comparison import Study
from trainsmith.report import effects_figure, study_figure, words


def _measured(study: Study, family: str) -> bool:
    """Whether the study is from a version that measures tuning curves, chance and pace."""
    return any(row.tuning_curve for row in study.family(family))


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
            "tuning_curves": _measured(study, family) and study_figure.tuning_curves(study, family),
        }
        for family in study.families()
    ]
    return environment.get_template("template.html").render(
        study=study,
        words=words,
        families=families,
        interaction_map=effects_figure.interaction_map(study) if study.interactions else "",
        drawn=study_figure.MOST_DRAWN,
        baseline_values=Trial(study.baseline).values,
        unit="points" if study.metric == "accuracy" else study.metric,
        delta=f"{100 * study.delta:.1f} points" if study.metric == "accuracy" else f"{study.delta:.2g}",
    )


def write_report(study: Study, path: Path) -> Path:
    """Write the page to `path`, making its folder; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_html(study), encoding="utf-8")
    return path
