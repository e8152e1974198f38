"""study.toml: a study's question in a file, with the keys of the command's options."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainsmith.catalogue import PLACES
from trainsmith.errors import InvalidInput, shown, unknown_name
from trainsmith.store import placed
from trainsmith.studies import Asked

READING = {"data_dir": str, "target": str, "leave_out": list, "task": str, "image_size": int, "context": int}
OPTIONS = {
    "baseline": dict, "vary": list, "techniques": list, "trials": int, "seeds": int, "steps": int, "batch_size": int,
    "schedule": str, "budget": str, "design": str, "metric": str, "labels": int, "class_weights": str,
    "fast": bool, "processes": int,
}  # fmt: skip
KEYS = {"data": str, "network": str, **READING, **OPTIONS}
NAMES = {
    str: "text in quotes",
    bool: "true or false",
    int: "a whole number",
    list: "a list of names",
    dict: "a table of families",
}


def read_study_file(path: Path) -> Asked:
    """The question in a TOML file.

    Keys are the options of `trainsmith compare` with _ for -, and `data`, the only one that must be there. vary,
    techniques and leave_out are lists of names, baseline is a table such as {optimizer = "sgd"}. A path is meant from
    the file's own folder. Raises InvalidInput for a file that is no TOML, and for keys and values that mean nothing.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no file '{path}' to read the study's question from; check the path.")
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"'{path}' must be text in UTF-8: {shown(error, 120)}.") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"'{path}' is no TOML file: {shown(error, 200)}.") from error
    for key, value in said.items():
        _check(path, key, value)
    if "data" not in said:
        raise InvalidInput(f"'{path}' must say what the data are, such as data = \"digits\".")
    options = {key: said.get(key) for key in ("baseline", "vary", "techniques")}
    options |= {key: said[key] for key in OPTIONS if key in said}
    if "techniques" in said:
        options["techniques"] = [_code_from_there(path, name) for name in said["techniques"]]
    reading = {key: said.get(key) for key in READING}
    if reading["data_dir"] is not None:
        reading["data_dir"] = _from_there(path, reading["data_dir"])
    return Asked(_from_there(path, said["data"]), _code_from_there(path, said.get("network")), reading, options)


def _check(path: Path, key: str, value: Any) -> None:
    if key not in KEYS:
        raise unknown_name(f"key in '{path}'", key, KEYS)
    wanted: Any = KEYS[key]
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        got = f'"{shown(value)}"' if isinstance(value, str) else shown(value)
        raise InvalidInput(f"'{path}': {key} must be {NAMES[wanted]}; got {got}.")
    if wanted is list and not all(isinstance(name, str) for name in value):
        raise InvalidInput(f"'{path}': {key} must be {NAMES[wanted]}; got {shown(value)}.")
    if wanted is dict:
        for family, name in value.items():
            if family not in PLACES:
                raise unknown_name(f"family in baseline of '{path}'", family, PLACES)
            if not isinstance(name, str):
                raise InvalidInput(f"'{path}': baseline.{family} must be a technique's name; got {shown(name)}.")


def _from_there(path: Path, given: str) -> str:
    """A path seen from the file's folder where there is such a file, else what was given: a name, or a path."""
    there = path.parent / Path(given).expanduser()
    return str(there) if there.exists() else given


def _code_from_there(path: Path, given: str | None) -> str | None:
    """The same of a network or an augmentation in a file. One below the folder that one is in is named from there, as
    it would be typed: so a study that was begun by a command goes on by its file."""
    file, _, factory = (given or "").rpartition(":")
    if not file.endswith(".py"):
        return given
    there, here = Path(_from_there(path, file)).expanduser().absolute(), Path.cwd()
    return f"{there.relative_to(here) if there.is_relative_to(here) else there}:{factory}"


def study_file(asked: Asked) -> str:
    """The text of a file that asks the same; paths are absolute, what was not said is left out."""
    data = Path(asked.data).expanduser()
    said: dict[str, Any] = {"data": str(data.resolve()) if data.exists() else asked.data}
    said["network"] = placed(asked.network)
    said |= {key: asked.reading.get(key) for key in READING} | {key: asked.options.get(key) for key in OPTIONS}
    if said["techniques"] is not None:
        said["techniques"] = [placed(name) for name in said["techniques"]]
    if said["data_dir"] is not None:
        said["data_dir"] = str(Path(said["data_dir"]).expanduser().resolve())
    plain = {key: value for key, value in said.items() if value is not None and not isinstance(value, Mapping)}
    lines = [f"{key} = {_value(value)}" for key, value in plain.items()]
    if asked.options.get("baseline"):
        lines += ["", "[baseline]", *(f"{key} = {_value(value)}" for key, value in asked.options["baseline"].items())]
    return "# Repeat this study with: trainsmith compare study.toml\n" + "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else json.dumps(str(value), ensure_ascii=False)
