"""Pictures of an inspection and of the depth experiment."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from trainsmith.inspection import DepthExperiment, Histogram, Inspection, LayerStatistics
from trainsmith.report.drawing import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEALTHY, SICK, GREY = "#0072B2", "#D55E00", "#6b7280"
"""Blue and vermilion of the Okabe-Ito palette: told apart also without colour vision, and in grey."""
COLUMNS = 6
MOST_DRAWN = 240
"""Layers of a picture: a hundred with their activation functions and more."""
CELL, HEAD = (2.5, 1.75), 0.75
"""Inches of a layer's place, and of the title. Places are fixed: to fit a hundred to their texts takes many seconds."""


def drawn_layers(inspection: Inspection) -> list[LayerStatistics]:
    """The layers that the picture shows: all, or evenly spaced ones."""
    layers, n = inspection.layers, min(MOST_DRAWN, len(inspection.layers))
    return [layers[round(i * (len(layers) - 1) / max(1, n - 1))] for i in range(n)]


def layer_figure(inspection: Inspection, path: Path) -> None:
    """Histograms of outputs and of gradients per layer, and the share of exact zeros, as a PNG."""
    _save(_layers(inspection), path)


def layer_svg(inspection: Inspection) -> str:
    """Histograms of outputs and of gradients per layer, and the share of exact zeros, as an <svg> element."""
    return svg(_layers(inspection), f"Histograms of the activations of {len(inspection.layers)} layers")


def _layers(inspection: Inspection) -> Figure:
    from matplotlib.figure import Figure

    layers = drawn_layers(inspection)
    columns = min(COLUMNS, len(layers))
    rows = -(-len(layers) // columns)
    width, height = max(3, columns) * CELL[0] + 0.3, rows * CELL[1] + HEAD
    figure, right = Figure(figsize=(width, height)), (columns * CELL[0] - 0.5) / width
    edges = {"left": 0.6 / width, "right": right, "bottom": 0.35 / height, "top": 1 - (HEAD + 0.2) / height}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={**edges, "wspace": 0.8, "hspace": 0.6})
    for ax in grid.flat[len(layers) :]:
        ax.set_axis_off()
    for ax, layer in zip(grid.flat, layers, strict=False):
        _layer(ax, layer)
    some = f" of {len(inspection.layers)}, evenly spaced," if len(layers) < len(inspection.layers) else ""
    figure.suptitle(
        f"Outputs of {len(layers)} layers{some} on {inspection.examples} examples, and the loss's gradient (grey)\n"
        "vermilion: with a finding; the bar on the left: share of exact zeros, which the histograms leave out",
        fontsize=11,
        y=1 - 0.1 / height,
    )
    return figure


def _layer(ax: Axes, layer: LayerStatistics) -> None:
    healthy = layer.verdict == "healthy"
    _bars(ax, layer.histogram, HEALTHY if healthy else SICK)
    name = f"{layer.name} {layer.kind}"
    ax.set_title(name if len(name) <= 26 else name[:25] + "…", fontsize=8.5, loc="left", parse_math=False)
    ax.text(0.97, 0.97, f"spread {_short(layer.std)}", transform=ax.transAxes, ha="right", va="top", fontsize=7.5)
    if not healthy:
        ax.text(0.97, 0.83, layer.verdict, transform=ax.transAxes, ha="right", va="top", fontsize=7, color=SICK)
    if layer.zeros:
        _zeros(ax, layer.zeros)
    if layer.gradient_histogram is not None:
        beside = ax.inset_axes((1.08, 0, 0.45, 1))
        _bars(beside, layer.gradient_histogram, GREY)
        beside.locator_params(axis="x", nbins=2)
        words = f"grad {_short(layer.gradient)}"
        beside.text(0.5, 0.97, words, transform=beside.transAxes, ha="center", va="top", fontsize=7, color=GREY)


def _zeros(ax: Axes, share: float) -> None:
    """A bar beside the histogram, filled as far as the outputs are exactly 0."""
    beside = ax.inset_axes((-0.13, 0, 0.07, 0.8))
    beside.bar(0, share, width=1, color="black")
    beside.set(xlim=(-0.5, 0.5), ylim=(0, 1), xticks=[], yticks=[])
    beside.text(0.5, 1.04, f"{share:.0%}", transform=beside.transAxes, ha="center", va="bottom", fontsize=7)


def depth_figure(experiment: DepthExperiment, path: Path) -> None:
    """A row per pair of activation and initialization, a histogram per layer, as a PNG."""
    from matplotlib.figure import Figure

    rows = len(experiment.cells)
    figure = Figure(figsize=(2.3 * experiment.depth + 1.2, 1.35 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, experiment.depth, squeeze=False)
    for axes, cell in zip(grid, experiment.cells, strict=True):
        for i, (ax, layer) in enumerate(zip(axes, cell.layers, strict=True)):
            collapsed = layer.std < 0.05 * cell.layers[0].std or layer.std < 0.03
            _bars(ax, layer.histogram, SICK if collapsed else HEALTHY)
            text = f"spread {_short(layer.std)}\ntheory {_short(layer.predicted_std)}"
            if layer.zeros > 0.01:
                text += f"\n{layer.zeros:.0%} zeros not drawn"
            ax.text(0.97, 0.95, text, transform=ax.transAxes, ha="right", va="top", fontsize=7)
            if ax in grid[0]:
                ax.set_title(f"layer {i + 1}", fontsize=9)
        axes[0].set_ylabel(f"{cell.activation}\n{cell.initialization}", fontsize=9)
    figure.suptitle(
        f"{experiment.examples}×{experiment.width} normal inputs through {experiment.depth} layers of "
        f"{experiment.width} units  (vermilion: collapsed)",
        fontsize=11,
    )
    _save(figure, path)


def _bars(ax: Axes, histogram: Histogram, colour: str) -> None:
    edges = histogram.edges()
    ax.stairs(histogram.counts, edges, fill=True, color=colour)
    ax.set_yticks([])
    ax.set_ylim(0, 1.45 * max(1, *histogram.counts))  # room for the text above the bars
    ax.tick_params(labelsize=7, colors=GREY)
    ax.locator_params(axis="x", nbins=4)
    ax.ticklabel_format(axis="x", scilimits=(-2, 3))
    ax.xaxis.get_offset_text().set_fontsize(6.5)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def _short(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.2g}"


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": "trainsmith"})


__all__ = ["depth_figure", "layer_figure", "layer_svg"]
