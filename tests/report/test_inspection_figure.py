"""The pictures: a PNG of a size one can read, also for a hundred layers, with what it must say in it."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import nn

from inspection.make_network import batch, stack
from trainsmith.inspection import depth_experiment, inspect
from trainsmith.report import inspection_figure
from trainsmith.report.inspection_figure import depth_figure, layer_figure


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    made = []
    init = Figure.__init__

    def keep(self, *args, **kwargs):
        init(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(Figure, "__init__", keep)
    return made


def texts(figure):
    return [t.get_text() for ax in figure.axes for t in (*ax.texts, ax.title, ax._left_title, ax.yaxis.label)]


def visible(figure):
    return [ax for ax in figure.axes if ax.axison]


def test_layers_are_drawn_with_their_spread_and_what_was_found(tmp_path, drawn):
    inspection = inspect(stack(0.01, nn.Tanh), batch())
    layer_figure(inspection, tmp_path / "new" / "layers.png")
    words = texts(drawn[0])
    assert len(visible(drawn[0])) == len(inspection.layers)
    for row in inspection.layers:
        assert f"{row.name} {row.kind}" in words
        assert f"spread {row.std:.2g}" in words
        assert row.verdict == "healthy" or row.verdict in words
    height, width, _ = imread(tmp_path / "new" / "layers.png").shape
    assert width > 800
    assert height > 300


def test_zeros_stand_apart_and_gradients_beside(tmp_path, drawn):
    inspection = inspect(stack(0.02**0.5, nn.ReLU, depth=2), batch())
    layer_figure(inspection, tmp_path / "x.png")
    for ax, layer in zip(visible(drawn[0]), inspection.layers, strict=True):
        *zeros, gradient = ax.child_axes
        assert [t.get_text() for t in gradient.texts] == [f"grad {layer.gradient:.2g}"]
        assert gradient.patches[0].get_data().values.tolist() == list(layer.gradient_histogram.counts)
        assert bool(zeros) == (layer.kind == "ReLU")
        if zeros:
            assert zeros[0].patches[0].get_height() == layer.zeros
            assert layer.histogram.low > 0
            assert sum(layer.histogram.counts) == round((1 - layer.zeros) * inspection.examples * layer.shape[0])


def test_a_healthy_network_and_a_sick_one_have_different_colours(tmp_path, drawn):
    for std in (0.02**0.5, 1.0):
        layer_figure(inspect(stack(std, nn.Tanh, depth=2), batch()), tmp_path / "x.png")
    healthy, sick = ({ax.patches[0].get_facecolor() for ax in visible(f)} for f in drawn)
    assert len(healthy) == 1
    assert len(sick) == 2
    assert healthy < sick


def test_a_hundred_layers_wrap(tmp_path, drawn):
    inspection = inspect(stack(0.02**0.5, nn.ReLU, depth=50, width=100), batch(50))
    layer_figure(inspection, tmp_path / "deep.png")
    assert len(visible(drawn[0])) == 101
    figure = drawn[0]
    width = figure.get_figwidth()
    assert width < 16  # of which a page shows nearly all at once, its texts as large as they are
    FigureCanvasAgg(figure)
    renderer = figure.canvas.get_renderer()
    boxes = [ax.get_tightbbox(renderer) for ax in visible(figure)]
    boxes += [ax.child_axes[-1].get_tightbbox(renderer) for ax in visible(figure)]
    assert min(b.x0 for b in boxes) >= 0
    assert max(b.x1 for b in boxes) <= width * figure.dpi
    for above, below in itertools.pairwise(boxes[:101:6]):
        assert above.y0 > below.y1  # no text runs into the layer below


def test_of_very_many_layers_evenly_spaced_ones_are_drawn(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(inspection_figure, "MOST_DRAWN", 5)
    inspection = inspect(stack(0.02**0.5, nn.ReLU, depth=6), batch(50))  # 13 layers
    layer_figure(inspection, tmp_path / "some.png")
    shown = [ax.get_title(loc="left").split()[0] for ax in visible(drawn[0])]
    assert shown == ["0", "3", "6", "9", "12"]
    assert "Outputs of 5 layers of 13, evenly spaced," in drawn[0].get_suptitle()


def test_the_depth_figure_has_a_histogram_for_every_layer_of_every_cell(tmp_path, drawn):
    experiment = depth_experiment(examples=200, width=40, depth=3)
    depth_figure(experiment, tmp_path / "depth.png")
    words = texts(drawn[0])
    assert len(visible(drawn[0])) == 27
    for cell in experiment.cells:
        assert f"{cell.activation}\n{cell.initialization}" in words
        for layer in cell.layers:
            text = f"spread {layer.std:.2g}\ntheory {layer.predicted_std:.2g}"
            assert any(word.startswith(text) for word in words)
    assert (tmp_path / "depth.png").read_bytes().startswith(b"\x89PNG")
