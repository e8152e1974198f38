"""The page of an inspection: one HTML file that opens offline, or a part of a notebook."""

from collections.abc import Sequence

from markupsafe import Markup

from trainsmith.inspection import Inspection, LayerStatistics, ranked
from trainsmith.inspection.tried.treatment import Treatment
from trainsmith.report.course_figure import course_svg
from trainsmith.report.course_table import COLUMNS, course_rows, course_title, gone_words, shortened
from trainsmith.report.inspection_figure import layer_svg
from trainsmith.report.inspection_number import number
from trainsmith.report.inspection_table import effect_words, layer_cells, remedy_cells, treatment_title
from trainsmith.report.template import filled

MOST_OPEN = 40
"""The table of more layers than these is folded away."""


def page(inspection: Inspection, treatment: Treatment | None, network: str, notes: Sequence[str] = ()) -> str:
    """The whole page. notes: what is said of the data. Everything that came from the user is escaped."""
    return filled(
        "inspection.html",
        network=network,
        notes=notes,
        number=number,
        inspection=inspection,
        findings=[(f, shortened([g.layer for g in group[1:]])) for f, group in ranked(inspection.findings)],
        rows=[(layer, (*layer_cells(layer), *more_cells(layer))) for layer in inspection.layers],
        few=len(inspection.layers) <= MOST_OPEN,
        figure=Markup(layer_svg(inspection)),
        remedies=Markup(remedies_html(treatment)) if treatment is not None else "",
        course=Markup(course_html(inspection)) if inspection.course is not None else "",
    )


def more_cells(layer: LayerStatistics) -> tuple[str, ...]:
    """What the page shows of a layer beyond the terminal's table."""
    dead = f"{layer.dead:.0%}" if layer.saturated is not None else ""
    return dead, number(layer.effective_rank), number(layer.likeness)


def course_html(inspection: Inspection) -> str:
    """The training as a picture and a table of what changed."""
    course = inspection.course
    assert course is not None
    return filled(
        "course.html",
        title=course_title(course),
        columns=COLUMNS,
        rows=course_rows(course, inspection.layers),
        figure=Markup(course_svg(course)) if course.measurements else "",
        gone=gone_words(course),
        cadence=course.every,
    )


def remedies_html(treatment: Treatment | None) -> str:
    """The remedies as a table."""
    if treatment is None:
        return "<p>No remedy of the catalogue is against what was found.</p>"
    rows = [(row, remedy_cells(row)) for row in (treatment.as_it_is, *treatment.remedies)]
    title = treatment_title(treatment)
    return filled("remedies.html", rows=rows, title=title, skipped=treatment.skipped, helped=effect_words(treatment))
