"""Where a study was begun: the folder from which its network is named, for whoever works on it from another."""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from trainsmith.network import Factory


def here() -> str | None:
    """The working directory, for a study that is begun; None if it is gone, or no text."""
    with contextlib.suppress(OSError, UnicodeEncodeError):
        return Path.cwd().as_posix().encode().decode()
    return None


@contextlib.contextmanager
def where_it_began(begun: object, network: str | Factory) -> Iterator[None]:
    """The folder `begun` as the working directory, if the network is found there and not here.

    begun: what `here` gave when the study was begun.
    """
    moved = contextlib.nullcontext()
    if isinstance(network, str) and isinstance(begun, str) and ":" in network and not _found(network, Path()):
        moved = contextlib.chdir(begun) if _found(network, Path(begun)) else moved  # type: ignore[assignment]
    with moved:
        yield


def placed(network: object, folder: object = None) -> object:
    """The name of a network in a file with the file's whole path, seen from `folder`, else from here; others as is."""
    file, _, factory = network.rpartition(":") if isinstance(network, str) else ("", "", "")
    if not file.endswith(".py"):
        return network
    return f"{(Path(folder if isinstance(folder, str) else '') / Path(file).expanduser()).resolve()}:{factory}"


def _found(network: str, folder: Path) -> bool:
    """Whether the file or module that a network is named by lies in the folder, or is installed."""
    place = network.rpartition(":")[0]
    if place.endswith(".py"):
        return (folder / place).is_file()
    top = place.partition(".")[0]
    if (folder / f"{top}.py").is_file() or (folder / top).is_dir():
        return True
    with contextlib.suppress(ImportError, ValueError):
        return importlib.util.find_spec(top) is not None
    return False
