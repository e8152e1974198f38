"""The picture of a training: the names of lines that end in one place can be read."""

import numpy as np
import pytest
import torch
from torch import nn

from trainsmith.inspection import inspect
from trainsmith.report import course_figure
from trainsmith.report.course_figure import LEAST_APART, apart


@pytest.mark.parametrize(
    ("heights", "moved"),
    [
        ([], []),
        ([0.4], [0.4]),
        ([0.1, 0.9, 0.5], [0.1, 0.9, 0.5]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.52, 0.5], [0.56, 0.46]),
        ([0.5, 0.9, 0.5, 0.5], [0.4, 0.9, 0.5, 0.6]),
        ([0.3, 0.3, 0.38], [0.3 + (0.08 - 0.3) / 3, 0.4 + (0.08 - 0.3) / 3, 0.5 + (0.08 - 0.3) / 3]),
    ],
)
def test_heights_are_moved_apart_as_little_as_can_be(heights, moved):
    assert apart(heights, 0.1) == pytest.approx(moved)


def test_names_of_lines_that_end_in_one_place_stand_apart(monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Linear(8, 8) for _ in range(3)], nn.Linear(8, 3))
    for layer in model[1:3]:
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    course = inspect(model, (torch.randn(64, 8), torch.arange(64) % 3), steps=4).course
    figures = []
    monkeypatch.setattr(course_figure, "svg", lambda figure, title: figures.append(figure))
    course_figure.course_svg(course)
    for ax in figures[0].axes[1:]:
        names = {text.get_text().strip(): text.get_position()[1] for text in ax.texts}
        assert sorted(names) == ["0", "1", "2", "3"]
        assert min(np.diff(sorted(names.values()))) > LEAST_APART * 0.999
        low, high = np.log(ax.get_ylim())
        ends = {f"{i}": (np.log(line.get_ydata()[-1]) - low) / (high - low) for i, line in enumerate(ax.lines[-4:])}
        assert sorted(ends, key=ends.get) == sorted(names, key=names.get) or len(set(ends.values())) < 4
        assert np.mean(list(names.values())) == pytest.approx(np.mean(list(ends.values())))
