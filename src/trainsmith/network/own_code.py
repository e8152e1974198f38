"""What a user's own file or module holds, by its name."""

import importlib
import importlib.util
import os
import sys
import traceback
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from trainsmith.catalogue import Technique, own_techniques
from trainsmith.errors import InvalidInput, shown
from trainsmith.regularization import augmentation

NOT_THE_USERS = tuple(f"{package}{os.sep}" for package in (Path(torch.__file__).parent, Path(__file__).parents[1]))
"""Where an error is raised in whose place a user's line is named: torch, and our own reading of networks."""


def named_in_code(name: str, what: str) -> Any:
    """What is called "package.module:name" or "path/file.py:name". what: such as "network factory", for errors.

    Raises InvalidInput where there is none.
    """
    place, _, attribute = name.rpartition(":")
    try:
        module = _of_file(Path(place), what) if place.endswith(".py") else _of_name(place)
    except InvalidInput:
        raise
    except Exception as error:  # it is the user's code
        raise InvalidInput(f"cannot import the {what} '{name}': {told(error)}.") from error
    if not hasattr(module, attribute):
        there = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        raise InvalidInput(
            f"cannot import the {what} '{name}': {place} has no '{attribute}'; it defines "
            f"{', '.join(there) or 'no function and no class'}."
        )
    return getattr(module, attribute)


def named_augmentation(name: str) -> Technique:
    """The augmentation called "package.module:name" or "path/file.py:name", entered in the catalogue by its last name.

    Its class has that as `place`, with the file's whole path, so that another process gets it from there. Raises
    InvalidInput where there is none, and for a class, of which the user's file must make an object.
    """
    call, (place, _, attribute) = named_in_code(name, "augmentation"), name.rpartition(":")
    if isinstance(call, type):
        raise InvalidInput(f"the augmentation '{name}' is a class; make an object of it there and name that.")
    whole = Path(place).expanduser().resolve().as_posix() if place.endswith(".py") else place
    for known in own_techniques():
        if getattr(known.make, "place", None) == f"{whole}:{attribute}" and known.make().call is call:
            return known
    entry = augmentation(call, attribute)
    entry.make.place = f"{whole}:{attribute}"  # type: ignore[attr-defined]
    return entry


def _of_name(name: str) -> ModuleType:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does; an installed command does not
    return importlib.import_module(name)


def _of_file(path: Path, what: str) -> ModuleType:
    """The module in a file, which finds its neighbours as a script does."""
    path = path.expanduser().resolve()
    if not path.is_file():
        raise InvalidInput(f"there is no file '{path}' to take the {what} from; check the path.")
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path):
            return module
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_{zlib.crc32(bytes(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def told(error: Exception) -> str:
    """An error of a user's code in one line, with the place in that code where it was raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(NOT_THE_USERS)]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
    return f"{kind}{shown(error, 200)}{'' if isinstance(error, (ImportError, SyntaxError)) else place}".rstrip(".")
