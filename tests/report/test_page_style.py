"""The page's colours: text and lines stand out from their ground, light and dark; lines differ without colour."""

import itertools
import re
from importlib.resources import files

import pytest

from make_study import make_study
from trainsmith.report import study_figure
from trainsmith.report.drawing import INK, PALETTE

STYLE = files("trainsmith.report").joinpath("page.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.S)
)


def luminance(colour):
    """WCAG 2.2's relative luminance."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "card"])
def test_text_can_be_read(theme, ground):
    for name in ("ink", "soft", "good", "bad", "accent"):
        assert contrast(theme[name], theme[ground]) >= 4.5, name


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_can_be_seen(theme):
    for i in range(len(PALETTE)):
        assert contrast(theme[f"c{i}"], theme["paper"]) >= 3, i


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_numbers_on_the_map_can_be_read(theme):
    from trainsmith.report.interaction_map import MOST_COLOUR

    for name in ("warm", "cool"):
        pairs = [(int(theme[name][i : i + 2], 16), int(theme["paper"][i : i + 2], 16)) for i in (1, 3, 5)]
        mixed = [round((MOST_COLOUR * a + (100 - MOST_COLOUR) * b) / 100) for a, b in pairs]
        assert contrast(theme["ink"], "#" + "".join(f"{v:02x}" for v in mixed)) >= 4.5, name


def test_both_themes_have_every_colour_and_pictures_have_the_light_ones():
    assert LIGHT.keys() == DARK.keys()
    assert tuple(LIGHT[f"c{i}"] for i in range(len(PALETTE))) == PALETTE
    assert LIGHT["ink"] == INK


def test_no_two_lines_of_a_figure_look_alike():
    study = make_study()
    for family in study.families():
        lines = study_figure.lines(study, family)
        looks = [(line.colour, line.dashes) for line in lines]
        assert len(set(looks)) == len(looks), family
        for one, other in itertools.pairwise(lines[: study_figure.MOST_SHOWN]):
            assert one.dashes != other.dashes or one.marker != other.marker, "told apart without colour too"
