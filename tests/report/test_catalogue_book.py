"""docs/techniques is what the docstrings say now. TECHNIQUES=write rewrites it (`make techniques`)."""

import os
from pathlib import Path

from trainsmith.catalogue import techniques
from trainsmith.report.catalogue_book import pages

FOLDER = Path(__file__).parents[2] / "docs" / "techniques"


def test_the_folder_is_current():
    wanted = pages()
    if os.environ.get("TECHNIQUES") == "write":
        FOLDER.mkdir(exist_ok=True)
        for name, text in wanted.items():
            (FOLDER / name).write_text(text)
    found = {file.name: file.read_text() for file in FOLDER.iterdir()}
    assert found.keys() == wanted.keys()
    for name, text in wanted.items():
        assert found[name] == text, f"docs/techniques/{name} is not what the docstrings say; run `make techniques`"


def test_a_page_begins_with_what_its_room_says():
    assert "Biases become 0. What stays as it was made: embeddings" in pages()["initialization.md"].split("\n## ")[0]


def test_every_technique_has_a_section_with_all_its_parts_and_numbers():
    texts = pages()
    for t in techniques():
        section = next(s for s in texts[f"{t.family}.md"].split("\n## ") if f"\n`{t.name}`" in s)
        for part in (t.page.title, t.page.summary, t.page.formula, t.page.example):
            assert part in section, t.name
        for word in ("Paper", "Differs", "Pitfall", "Helps"):
            assert f"**{word}:** " in section, t.name
        assert ("**Cost:** " in section) == (t.gradients > 1)
        for number in t.hyperparameters:
            assert f"| {number.name} | {number.default:g} | " in section
        assert f"{t.name}" in texts["README.md"]
