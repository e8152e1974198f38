"""docs/ranges.md says of every number that a study tunes where it is searched, and from where the range is."""

from pathlib import Path

from trainsmith.catalogue import techniques

PAGE = Path(__file__).parents[2] / "docs" / "ranges.md"


def test_every_tuned_number_has_its_range_and_a_source_on_the_page():
    rows = [row.strip("| ").split(" | ") for row in PAGE.read_text().splitlines() if row.startswith("| ")][1:]
    tuned = [(t, h) for t in techniques() for h in t.hyperparameters if h.tuned]
    assert [tuple(row[:3]) for row in rows] == [
        (f"{t.name}.{h.name}", f"{h.search[0]:g} to {h.search[1]:g}", h.scale) for t, h in tuned
    ]
    for row, (_, number) in zip(rows, tuned, strict=True):
        assert row[3]
        if "around the default" in row[3]:
            assert row[3] == f"ours, around the default {number.default:g}"
            assert number.search[0] <= number.default <= number.search[1]
