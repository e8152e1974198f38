"""Which folder a question belongs to: a new one, or the one where it was begun."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainsmith.errors import InvalidInput
from trainsmith.store.schema import DATABASE, check_sound
from trainsmith.store.store import Store, hold

if TYPE_CHECKING:
    from trainsmith.data import Dataset

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
        _check_same(folder, store.about("question", dict) or {}, question)
        yield store
    except BaseException:
        if new and not store.finished_runs():
            store.remove()  # while nobody else can begin in it
        raise
    finally:
        lock.release()


def unfinished(root: Path, question: Mapping[str, Any]) -> Path | None:
    """The latest of the studies in `root` that asks this question and is not finished."""
    found = []
    for path in studies(root):
        with contextlib.suppress(InvalidInput):  # a damaged study is not gone on with
            store = Store(path)
            if not differing(store.about("question", dict) or {}, question) and store.about("result") is None:
                found.append(path)
    return max(found, key=lambda path: (path / DATABASE).stat().st_mtime, default=None)


def studies(root: Path) -> list[Path]:
    """The studies' folders in `root`."""
    return sorted(path.parent for path in root.glob(f"*/{DATABASE}"))


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names under which two questions do not say the same. What is not said is the same as None or 0.

    one: of a store, which an older program may have written: without the signature.
    """
    names = [name for name in {**other, **one} if name != SIGNATURE or name in one]
    return [name for name in names if (one.get(name) or None) != (other.get(name) or None)]


def _check_same(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    other = differing(there, here)
    if not other:
        return
    if "versions" in other and set(other) <= {"versions", SIGNATURE}:  # which torch's own attributes are part of
        then, now = (", ".join(f"{k} {v}" for k, v in q["versions"].items()) for q in (there, here))
        raise InvalidInput(
            f"the study in '{folder}' was begun with {then}; this is {now}, whose numbers may differ. Go on with those "
            "versions, or begin anew in another folder."
        )
    raise InvalidInput(
        f"the folder '{folder}' holds another study (other {', '.join(other)}); choose another folder, or ask the same "
        "to go on with it."
    )
