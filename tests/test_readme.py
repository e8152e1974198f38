"""Every block of code in README and docs runs as it stands."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from trainsmith.catalogue import techniques
from trainsmith.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [(p.name, i, lang, text) for p in PAGES
          for i, (lang, text) in enumerate(re.findall(r"```(\w+)\n(.*?)```", p.read_text(), re.S))]  # fmt: skip


@pytest.mark.parametrize(("page", "number", "text"), [(p, i, t) for p, i, lang, t in BLOCKS if lang == "python"])
def test_python_blocks_run(page, number, text, tmp_path, python):
    done = python.run(text, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_examples_run(example, tmp_path, python):
    done = python.run(f"import runpy; runpy.run_path({str(example)!r})['main'](steps=60)", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"watch_training": "layers, in the order"}.get(example.stem, "thread") in done.stdout


COMMANDS = [line for *_, lang, text in BLOCKS if lang == "sh" for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("trainsmith")])
def test_commands_exist_and_take_these_options(command):
    words = shlex.split(command, comments=True)[1:]
    done = CliRunner().invoke(main, [words[0], "--help"])
    assert done.exit_code == 0
    for option in (w for w in words if w.startswith("--")):
        assert option in done.output


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "\n".join(COMMANDS), re.M):
        assert f"\n{target}:" in makefile


def test_files_that_pages_link_exist():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name} links {link}"


def test_pages_count_the_catalogue_right():
    counted = {page.name: re.findall(r"(\d+) entries", page.read_text()) for page in PAGES}
    assert counted["README.md"] == [str(len(techniques()))]
    assert {number for numbers in counted.values() for number in numbers} == {str(len(techniques()))}
