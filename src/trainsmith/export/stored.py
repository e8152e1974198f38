"""The winner that a stored study carries along."""

import json
import shutil
from pathlib import Path

from trainsmith.errors import InvalidInput
from trainsmith.export.onnx_file import onnx_of
from trainsmith.store import DATABASE, data_of
from trainsmith.store.schema import no_study

WINNER = "winner"
"""The folder of the exported winner inside a study's folder."""


ONNX = "model.onnx"
NOT_EXPORTED = "The winner was not exported: "
"""How a study's note begins that says why it has no exported winner."""


def copy_winner(study: Path, folder: Path, as_onnx: bool = False) -> str:
    """Copy the exported winner of the study in folder `study` to `folder`, which must not hold anything.

    as_onnx: also write the network as an ONNX file; then the result says in words how near it is.
    """
    check_winner(study)
    check_free(folder)
    written, words = onnx_of(study / WINNER, data_of(study).x) if as_onnx else (b"", "")
    shutil.copytree(study / WINNER, folder, dirs_exist_ok=True)
    if as_onnx:
        (folder / ONNX).write_bytes(written)
    return words


def check_free(folder: Path) -> None:
    """Raises InvalidInput for a folder that holds something, which an export would lie among or replace."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"'{folder}' exists already; choose another folder.")


def check_winner(study: Path) -> None:
    """Raises InvalidInput for a folder without an exported winner, and says why there is none."""
    if not (study / "study.json").is_file():
        unfinished = (study / DATABASE).is_file()
        raise no_study(study, "is not finished: it has no study.json" if unfinished else "has no study.json")
    if not (study / WINNER).is_dir():
        raise InvalidInput(f"the study in '{study}' has no exported winner: {_reason(study)}")


def _reason(study: Path) -> str:
    try:
        notes = json.loads((study / "study.json").read_text(encoding="utf-8"))["notes"]
        return next(str(note)[len(NOT_EXPORTED) :] for note in notes if str(note).startswith(NOT_EXPORTED))
    except (ValueError, KeyError, TypeError, StopIteration):
        return "compare again to have one."
