"""Which folder a question belongs to: a new one, or the one where it was begun."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainsmith.errors import InvalidInput
from trainsmith.store.begun import placed
from trainsmith.store.schema import DATABASE, check_sound
from trainsmith.store.store import Store, hold

if TYPE_CHECKING:
    from trainsmith.data import Dataset
    from trainsmith.network import Factory

NETWORK, VERSIONS = "network", "versions"
SIGNATURE = "network's signature"
"""Of which network a question is asked (see fingerprint). Older questions do not say it, and are gone on with."""


@contextlib.contextmanager
def opened(folder: Path, question: Mapping[str, Any], dataset: Dataset) -> Iterator[Store]:
    """The store of this question in `folder`, begun or gone on with, and locked against other processes.

    A new study is removed again if the work ends by an error before any run is done. Raises InvalidInput if the folder
    holds another study or anything else, or if another process works on it.
    """
    new = not (folder / DATABASE).is_file()
    store = Store.create(folder, question, dataset) if new else Store(folder)
    lock = hold(store)
    try:
        if not new:
            check_sound(folder)
        _check_same(folder, _differing(store, question), store.about("question", dict) or {}, question)
        yield store
    except BaseException:
        if new and not store.finished_runs():
            store.remove()  # while nobody else can begin in it
        raise
    finally:
        lock.release()


@contextlib.contextmanager
def named_as_begun(store: Store | None, network: str | Factory) -> Iterator[tuple[Store | None, str | Factory]]:
    """The store, and the network by the name that it has there and in its jobs, however it is typed today.

    The folder in which that name was typed is the working directory meanwhile if it is a path seen from there.
    """
    there: Any = (store.about("question", dict) or {}).get(NETWORK, network) if store is not None else network
    if store is None or not isinstance(network, str) or there == network:
        yield store, network
        return
    begun, moved = store.about("begun in"), contextlib.nullcontext()
    if isinstance(begun, str) and not Path(there).expanduser().is_absolute():
        moved = contextlib.chdir(begun)  # type: ignore[assignment]
    store = Store(store.folder.absolute())
    with moved:
        yield store, there


def unfinished(root: Path, question: Mapping[str, Any]) -> Path | None:
    """The latest of the studies in `root` that asks this question and is not finished."""
    return _latest(root, question, lambda other: not other)


def of_other_versions(root: Path, question: Mapping[str, Any]) -> tuple[Path, str] | None:
    """The latest unfinished study in `root` that asks this with other versions, and in words with which."""
    path = _latest(root, question, _only_versions)
    if path is None:
        return None
    return path, _versions_apart(Store(path).about("question", dict) or {}, question)


def _latest(root: Path, question: Mapping[str, Any], wanted: Callable[[list[str]], bool]) -> Path | None:
    """The latest unfinished study in `root` whose difference from the question is one that is wanted."""
    found = []
    for path in studies(root):
        with contextlib.suppress(InvalidInput):  # a damaged study is not gone on with
            store = Store(path)
            if wanted(_differing(store, question)) and store.about("result") is None:
                found.append(path)
    return max(found, key=lambda path: (path / DATABASE).stat().st_mtime, default=None)


def studies(root: Path) -> list[Path]:
    """The studies' folders in `root`."""
    return sorted(path.parent for path in root.glob(f"*/{DATABASE}"))


def _differing(store: Store, question: Mapping[str, Any]) -> list[str]:
    return differing(store.about("question", dict) or {}, question, store.about("begun in"))


def differing(one: Mapping[str, Any], other: Mapping[str, Any], begun: object = None) -> list[str]:
    """The names under which two questions do not say the same. What is not said is the same as None or 0.

    one: of a store, which an older program may have written: without the signature. begun: the folder from which it
    names its network, which is the same if it is in the same file, whatever the path is typed like.
    """
    names = [name for name in {**other, **one} if name != SIGNATURE or name in one]
    apart = [name for name in names if (one.get(name) or None) != (other.get(name) or None)]
    same_file = placed(one.get(NETWORK), begun) == placed(other.get(NETWORK))
    return [name for name in apart if name != NETWORK or not same_file]


def _only_versions(other: list[str]) -> bool:
    return VERSIONS in other and set(other) <= {VERSIONS, SIGNATURE}  # which torch's own attributes are part of


def _versions_apart(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """ "was begun with torch 2.4; this is torch 2.5, whose numbers may differ", of what is not the same."""
    then, now = ({**(q.get(VERSIONS) or {})} for q in (there, here))
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    said = [", ".join(f"{name} {versions.get(name, '?')}" for name in names) for versions in (then, now)]
    return f"was begun with {said[0]}; this is {said[1]}, whose numbers may differ"


def _check_same(folder: Path, other: list[str], there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    if not other:
        return
    if _only_versions(other):
        raise InvalidInput(
            f"the study in '{folder}' {_versions_apart(there, here)}. Go on with those versions, or begin anew in "
            "another folder."
        )
    raise InvalidInput(
        f"the folder '{folder}' holds another study (other {', '.join(other)}); choose another folder, or ask the same "
        "to go on with it."
    )
