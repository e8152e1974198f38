"""What a user's own code is known again by, so that a study does not go on with other code."""

import functools
import hashlib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from torch import nn

from trainsmith.catalogue import find, own_techniques
from trainsmith.network import Factory, named_augmentation, named_factory
from trainsmith.regularization import OwnAugmentation, augmentation_elsewhere

PLAIN = (bool, int, float, str, type(None))
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def without_addresses(text: str) -> str:
    """What an object shows, but where it lies in memory, since that says nothing to another process."""
    return ADDRESS.sub("", text)


def source_digest(network: str | Factory) -> str | None:
    """A hash of the file that a factory is written in. None for ours, and where there is no file."""
    if isinstance(network, str) and ":" not in network:
        return None
    return _file_digest(named_factory(network) if isinstance(network, str) else network)


CODE = "code of augmentations"
"""In a question: what is recorded of each of the user's own augmentations that it trains. Most questions have none."""


def recorded(augmentation: OwnAugmentation) -> dict[str, str | None]:
    """Where the code of a user's augmentation is found, if that is known, and what it is known again by."""
    return {"place": getattr(augmentation, "place", None), "digest": code_digest(augmentation)}


def known_again(question: Mapping[str, Any]) -> None:
    """Enter the user's own augmentations of a question by their places where this process does not have them.

    Raises InvalidInput for one that is not known here, KeyError or TypeError if the question is damaged.
    """
    for name, told in (question.get(CODE) or {}).items():
        augmentation_elsewhere(name)
        if name not in {t.name for t in own_techniques()} and told["place"] is not None:
            named_augmentation(told["place"])
        find(name, "regularization").make()  # refused where nobody has entered it


def code_digest(augmentation: OwnAugmentation) -> str:
    """A hash of what a user's augmentation does: how it is written, and the numbers that it holds."""
    told = [f"each: {augmentation.each}", *_told(augmentation.call)]
    return hashlib.blake2b("\n".join(told).encode(), digest_size=16).hexdigest()


def _told(call: Any) -> list[str]:
    told = [f"{type(call).__module__}.{type(call).__qualname__}", without_addresses(repr(call))]
    if isinstance(call, functools.partial):
        return [*told, *_told(call.func)]
    if isinstance(call, MethodType):
        return [*told, *_told(call.__func__), *_told(call.__self__)]
    if isinstance(call, FunctionType):
        held = [cell.cell_contents for cell in call.__closure__ or () if cell.cell_contents is not call]
        kept = [without_addresses(repr(value)) for value in (call.__defaults__, call.__kwdefaults__, held)]
        return [*told, str(_source(call)), str(_file_digest(call)), *kept]
    told.append(str(_file_digest(type(call))))
    for part in call.modules() if isinstance(call, nn.Module) else [call]:
        public = {name: value for name, value in getattr(part, "__dict__", {}).items() if name[0] != "_"}
        told += [f"{n}: {v!r}" for n, v in sorted(public.items()) if isinstance(v, PLAIN) and n != "training"]
    if isinstance(call, nn.Module):
        told += [f"{name}: {value.detach().cpu().tolist()}" for name, value in call.state_dict().items()]
    return told


def _source(call: Any) -> str | None:
    try:
        return inspect.getsource(call)
    except (TypeError, OSError):
        return None  # made by a call, or typed where nothing keeps it


def _file_digest(thing: Any) -> str | None:
    try:
        path = inspect.getsourcefile(inspect.unwrap(thing))
        return None if path is None else hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
    except (TypeError, OSError):
        return None  # made in a notebook, or by a call
