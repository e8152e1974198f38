"""The winner that a stored study carries along."""

import shutil
from pathlib import Path

from trainsmith.errors import InvalidInput

WINNER = "winner"
"""The folder of the exported winner inside a study's folder."""


def copy_winner(study: Path, folder: Path) -> None:
    """Copy the exported winner of the study in folder `study` to `folder`, which must not hold anything."""
    if not (study / "study.json").is_file():
        raise InvalidInput(f"'{study}' is not a study's folder: it has no study.json.")
    if not (study / WINNER).is_dir():
        raise InvalidInput(f"the study in '{study}' has no exported winner: its network cannot be written as source.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"'{folder}' exists already; choose another folder.")
    shutil.copytree(study / WINNER, folder, dirs_exist_ok=True)
