"""The tables: every row and number is there, in a terminal of 100 columns."""

import io

import pytest
from rich.console import Console
from torch import nn

from inspection.make_network import batch, stack
from trainsmith.inspection import depth_experiment, inspect
from trainsmith.inspection.tried.treatment import AS_IT_IS, Remedy, Treatment
from trainsmith.report.inspection_table import depth_table, layer_table, remedies_table


def printed(thing, width=100):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(thing)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def sick():
    return inspect(stack(0.01, nn.Tanh), batch())


def test_every_layer_has_its_row_and_numbers(sick):
    text = printed(layer_table(sick))
    for row in sick.layers:
        line = next(line for line in text.splitlines() if f" {row.name} {row.kind} " in line)
        spread = f"{row.std:.3g}" if row.std >= 0.001 else f"{row.std:.1e}"
        assert spread in line
    assert f"loss {sick.loss:.3f}" in text


def test_each_kind_of_finding_is_told_once_with_its_source(sick):
    text = " ".join(printed(layer_table(sick), width=2000).split())
    first = next(f for f in sick.findings if f.short == "signal vanishes")
    assert text.count(first.words) == 1
    assert text.count("•") == len({f.short for f in sick.findings}) == 2
    assert first.source in text
    assert "No finding" in printed(layer_table(inspect(stack(0.02**0.5, nn.ReLU), batch())))


def test_tables_fit_a_hundred_columns_uncut(sick):
    for table in (layer_table(sick), depth_table(depth_experiment(examples=50, width=10))):
        text = printed(table)
        assert max(map(len, text.splitlines())) <= 100
        assert "…" not in text


def test_names_are_no_markup():
    network = nn.Sequential()
    network.add_module("[red]block[/red]", nn.Linear(100, 10))
    network.add_module("out", nn.Linear(10, 10))
    assert "[red]block[/red]" in printed(layer_table(inspect(network, batch())), width=200)


def test_the_depth_table_has_measured_and_predicted_spread():
    experiment = depth_experiment(examples=200, width=40, depth=3)
    lines = printed(depth_table(experiment)).splitlines()
    starts = [i for i, line in enumerate(lines) if any(f"│ {name} " in line for name in ("normal", "xavier", "he"))]
    assert len(starts) == 9
    for cell, i in zip(experiment.cells, starts, strict=True):
        assert cell.activation in lines[i]
        measured, predicted = (lines[j].replace("│", " ").split() for j in (i, i + 1))
        assert [float(v) for v in measured[2:]] == pytest.approx([c.std for c in cell.layers], rel=0.05)
        assert [float(v.strip("()")) for v in predicted] == pytest.approx(
            [c.predicted_std for c in cell.layers], rel=0.05
        )


@pytest.mark.parametrize("width", [80, 120])
def test_remedies_are_readable_in_a_narrow_terminal(width):
    def remedy(name, short, *numbers):
        return Remedy(name, short, 1.5417, 1.5163, 1.5721, *numbers, 0, "blocks.2.relu (2nd call)", 35.8, 98.2, ())

    tried = [remedy("normalization=standardization", "unscaled inputs", -0.6452, -0.6773, -0.6131)]
    tried += [remedy("initialization=class-prior", "wrong initial loss", -0.00331, -0.00797, 0.00134)]
    own = remedy(AS_IT_IS, "", 0.0, 0.0, 0.0)
    text = printed(
        remedies_table(Treatment(own, tuple(tried), {}, 100, 8, 16, "adam, learning rate 0.001", 17.2)), width
    )
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line.endswith("│") for line in lines if line.startswith("│")), "the last column is whole"
    assert "…" not in text
    for word in ("standardization", "class-prior", "unscaled", "better", "cannot"):
        assert f" {word} " in text
