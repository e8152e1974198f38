"""From a matplotlib figure to an <svg> element that follows the page's colours and can be told from."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b2433"
"""The baseline's colour, and that of axes and text."""
PALETTE = ("#0072b2", "#c85200", "#00805b", "#b0508a", "#9a6a00", "#3a86b8", "#7a4fd0", "#6f6f6f")
"""After Okabe & Ito: told apart also without colour vision; each at least 3 : 1 against white."""
THEMED = {INK: "--ink"} | {colour: f"--c{i}" for i, colour in enumerate(PALETTE)}
"""Colours that the page replaces by its own, light or dark (page.css)."""
STYLE: Any = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "svg.hashsalt": "trainsmith",
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "grid.color": "#8a8f98",
}  # fmt: skip
POINTS_AN_INCH = 72
"""Of SVG's own units."""


def figure_of(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes, in the report's style."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        ax = figure.subplots()
    figure.patch.set_alpha(0)
    ax.patch.set_alpha(0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3, linewidth=0.5)
    return figure, ax


def svg(figure: Figure, title: str) -> str:
    """The figure as an <svg> element with a title for those who cannot see it, and ids of its own.

    Artists whose gid is "series-3", or "series-3-band", become groups of class "series" with data-series "3".
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None, "Title": title})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"\bNone(?=;|\")", "none", text)
    text = re.sub(r'<g id="series-(\d+)([\w-]*)">', r'<g id="series-\1\2" class="series" data-series="\1">', text)
    number = zlib.crc32(title.encode())
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>f{number}-", text)
    for colour, name in THEMED.items():
        text = text.replace(f"{colour};", f"var({name}, {colour});").replace(f'{colour}"', f'var({name}, {colour})"')
    return text.replace("<svg ", '<svg role="img" ', 1)


def places(figure: Figure, ax: Axes, xy: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where values of the axes lie in the <svg> element's units. To be asked after the figure was drawn."""
    height = figure.get_figheight() * POINTS_AN_INCH
    found = []
    for pair in xy:
        x, y = ax.transData.transform(pair) * (POINTS_AN_INCH / figure.dpi)
        found.append((round(float(x), 1), round(float(height - y), 1)))
    return found


__all__ = ["PALETTE", "POINTS_AN_INCH", "figure_of", "places", "svg"]
