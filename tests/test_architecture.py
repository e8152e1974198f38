"""The house stays a house: imports point one way, files and functions stay small, no drawer for everything."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "trainsmith"
LAYERS = [
    {"errors", "rows", "leftovers"},
    {"catalogue"},
    {"initialization", "normalization", "activation", "optimizer", "regularization"},
    {"network", "data"},
    {"luck"},
    {"population"},
    {"store"},
    {"inspection"},
    {"comparison"},
    {"report", "export", "question"},
    {"api", "doctor", "progress", "watching"},
    {"callbacks", "examine", "studies"},
    {"study_file"},
    {"cli"},
    {"__main__"},
]
"""The rooms from the ground up. A room imports from those below it and from itself, never across or up."""
INSIDE = {
    "population": ["members", "program", "training"],
    "inspection": ["passes", "statistics", "faults", "watching", "tried"],
}
"""The rooms of a large room, likewise; what lies beside them is above them."""
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
MOST_LINES, MEDIAN_LINES, MOST_FUNCTION_LINES = 300, 120, 60
FILES = sorted(SOURCE.rglob("*.py"))


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def layer_of(room):
    return next(i for i, rooms in enumerate(LAYERS) if room in rooms)


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{a.name}" for a in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names)


def imported_rooms(path):
    for name in imported_names(path):
        parts = name.split(".")
        if parts[0] == "trainsmith" and len(parts) > 1 and any(parts[1] in rooms for rooms in LAYERS):
            yield parts[1]


@pytest.mark.parametrize("path", [f for f in FILES if f.parent != SOURCE or f.stem != "__init__"], ids=str)
def test_imports_point_down(path):
    room = room_of(path)
    for other in imported_rooms(path):
        assert other == room or layer_of(other) < layer_of(room), f"{room} must not import {other}"


@pytest.mark.parametrize("large", INSIDE)
def test_imports_point_down_inside_a_large_room(large):
    folders = [f.name for f in (SOURCE / large).iterdir() if f.is_dir() and f.name != "__pycache__"]
    assert sorted(folders) == sorted(INSIDE[large])
    for path in (SOURCE / large).rglob("*.py"):
        place = path.relative_to(SOURCE / large).parts
        floor = INSIDE[large].index(place[0]) if len(place) > 1 else len(INSIDE[large])
        for name in imported_names(path):
            parts = name.split(".")
            if parts[:2] == ["trainsmith", large] and floor < len(INSIDE[large]):
                assert parts[2] in INSIDE[large][: floor + 1], f"{'/'.join(place)} must not import {name}"


def test_every_room_has_its_layer():
    rooms = {room_of(f) for f in FILES} - {"__init__"}
    assert rooms == set().union(*LAYERS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert path.stem not in FORBIDDEN_NAMES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - (body[0].lineno if body else node.lineno) + 1
            assert lines <= MOST_FUNCTION_LINES, f"{node.name} has {lines} lines"


def test_the_median_file_is_short():
    sizes = sorted(len(f.read_text().splitlines()) for f in FILES)
    assert sizes[len(sizes) // 2] <= MEDIAN_LINES


def test_public_names_are_documented():
    for path in FILES:
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), f"{path} has no docstring"
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


def test_importing_the_command_imports_nothing_heavy():
    import subprocess
    import sys

    code = "import sys, trainsmith.cli; print([m for m in ('torch', 'numpy', 'rich', 'pandas') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_doors_for_python_import_nothing_slow_besides_torch():
    import subprocess
    import sys

    code = (
        "import sys, trainsmith.api, trainsmith.doctor, trainsmith.watching\n"
        "slow = 'matplotlib', 'pandas', 'scipy', 'sklearn', 'sympy', 'torch._dynamo'\n"
        "print([m for m in slow if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
