"""A few batches of a loader, put together to the one that a network is inspected on."""

import contextlib
import copy
import itertools
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from trainsmith.errors import InvalidInput
from trainsmith.inspection.passes.costs import looked_at
from trainsmith.inspection.passes.given import count, has_rows, over, read, some, tensors
from trainsmith.network.host import host_states, put_back
from trainsmith.network.own_code import told
from trainsmith.rows import Rows

EXAMPLES, LEAST = 1000, 32
"""Examples that are taken of a loader: as many as fit into memory, but at least a few."""
BATCHES = 64
"""So many batches are asked for at most, whatever they hold."""
IGNORED = -100
"""What cross-entropy passes over: the targets of positions that are only there because others are longer."""


@dataclass(frozen=True)
class Loaded:
    """A batch of several of a loader's: batches of them, the first of which had `size` examples."""

    batch: Any
    batches: int
    size: int


def is_loader(given: Any) -> bool:
    """Whether it gives batches one after another, and is none itself: a DataLoader, a generator, a list of batches."""
    if isinstance(given, list):
        return len(given) > 1 and all(_is_batch(v) for v in given)
    known = (Tensor, Rows, np.ndarray, Mapping, tuple, str, bytes, nn.Module)
    return isinstance(given, Dataset) or (not isinstance(given, known) and hasattr(given, "__iter__"))


def _is_batch(given: Any) -> bool:
    pair = isinstance(given, (tuple, list)) and any(isinstance(v, (Tensor, np.ndarray, Mapping)) for v in given)
    return pair or isinstance(given, Mapping)


def loaded(loader: Any, module: nn.Module) -> Loaded:
    """The first batches of `loader`, up to 1,000 examples, fewer of a network whose outputs would not fit into memory.

    It is asked once, from its beginning, and for no more than is taken. A DataLoader, its workers and its generators
    stay as they are: a copy is asked, whose workers end. Texts of unlike lengths are filled up to the longest where
    there is an attention mask; else batches of another shape than the first one's are passed over. The tensors go to
    the network's device. Raises InvalidInput for a loader that gives nothing, or what is no batch.
    """
    if isinstance(loader, Dataset):
        raise InvalidInput(
            f"{type(loader).__name__} gives examples one by one: give DataLoader(dataset, batch_size=64), or a batch."
        )
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    parts: list[tuple[Any, Tensor | None]] = []
    most = EXAMPLES
    with contextlib.closing(_batches(loader)) as batches:
        for number, batch in enumerate(batches):
            part = _read(batch, number)
            if not parts:
                most = looked_at(module, over(part[0], lambda t: t.to(device)), EXAMPLES, LEAST)
            parts += [part] if not parts or _like(parts[0], part, number) else []
            if sum(count(x) for x, _ in parts) >= most:
                break
    if not parts:
        raise InvalidInput("the loader gives no batch: its data set is empty, or it was asked for all before.")
    size, xs = count(parts[0][0]), _filled([x for x, _ in parts])
    x = over(some(_joined(xs), slice(most)), lambda t: t.to(device))
    ys = [y for _, y in parts if y is not None]
    if not ys:
        return Loaded(x, len(parts), size)
    if isinstance(x, Mapping) and parts[0][1] is parts[0][0].get("labels"):
        return Loaded(x, len(parts), size)  # they are among the inputs
    return Loaded((x, torch.cat(_equal(ys, IGNORED))[:most].to(device)), len(parts), size)


def _batches(loader: Any) -> Generator[Any, None, None]:
    """The first batches of a loader, of which nothing else is changed."""
    asked, generators = loader, []
    if isinstance(loader, DataLoader):
        asked = copy.copy(loader)
        asked._iterator = None  # persistent workers are the user's
        owners = (loader, loader.sampler, loader.batch_sampler, getattr(loader.batch_sampler, "sampler", None))
        held = [getattr(owner, "generator", None) for owner in owners]
        generators = [(g, g.get_state()) for g in held if isinstance(g, torch.Generator)]
    host = host_states()
    with torch.random.fork_rng(devices=[]):
        try:
            yield from itertools.islice(asked, BATCHES)
        except Exception as error:  # it is the user's code
            raise InvalidInput(f"the loader cannot give a batch: {told(error)}.") from error
        finally:
            put_back(host)
            for generator, state in generators:
                generator.set_state(state)


def _read(batch: Any, number: int) -> tuple[Any, Tensor | None]:
    try:
        return read(batch)
    except InvalidInput as error:
        raise InvalidInput(
            f"batch {number} of the loader cannot be used: {str(error).rstrip('.')}. Each must be inputs, a pair of "
            "inputs and targets, or a mapping of arguments: a generator such as ((first, second), targets) for first, "
            "second, targets in loader makes such."
        ) from error


def _like(first: tuple[Any, Tensor | None], other: tuple[Any, Tensor | None], number: int) -> bool:
    """Whether a batch can be put behind the first one. Raises InvalidInput for one of another kind."""
    forms = [_form(x) + _form(y) for x, y in (first, other)]
    if forms[0] != forms[1]:
        raise InvalidInput(f"batch {number} of the loader holds {_told(other)}, where the first holds {_told(first)}.")
    mask = first[0].get("attention_mask") if isinstance(first[0], Mapping) else None
    longer = [mask is not None and a.shape == mask.shape and not a.is_floating_point() for a in _parts(first)]
    sizes = zip(_parts(first), _parts(other), longer, strict=True)
    return all(a.shape[1:] == b.shape[1:] or may for a, b, may in sizes)


def _parts(batch: tuple[Any, Tensor | None]) -> list[Tensor]:
    return [*tensors(batch[0]), *tensors(batch[1])]


def _form(value: Any) -> tuple[Any, ...]:
    """What a value is made of, without the sizes."""
    if isinstance(value, Mapping):
        return tuple((name, _form(v)) for name, v in sorted(value.items()))
    if isinstance(value, tuple):
        return tuple(_form(v) for v in value)
    return (value.ndim, value.dtype) if isinstance(value, Tensor) else (type(value),)


def _told(batch: tuple[Any, Tensor | None]) -> str:
    return ", ".join(f"{tuple(t.shape)} of {t.dtype}" for t in _parts(batch))


def _filled(xs: list[Any]) -> list[Any]:
    """Texts by name filled up to the longest: with 0 behind the mask, and labels that are passed over."""
    if not isinstance(xs[0], Mapping) or "attention_mask" not in xs[0]:
        return xs
    filled = {name: _equal([x[name] for x in xs], IGNORED if name == "labels" else 0) for name in xs[0]}
    return [{name: values[i] for name, values in filled.items()} for i in range(len(xs))]


def _equal(values: list[Any], fill: int) -> list[Any]:
    """Tensors with rows (n, ...) of one size behind the examples."""
    if not isinstance(values[0], Tensor) or len({t.shape[1:] for t in values}) == 1:
        return values
    shape = [max(sizes) for sizes in zip(*(t.shape[1:] for t in values), strict=True)]
    made = [t.new_full((len(t), *shape), fill) for t in values]
    for whole, t in zip(made, values, strict=True):
        whole[tuple(slice(s) for s in t.shape)] = t
    return made


def _joined(xs: list[Any]) -> Any:
    """Inputs of several batches as one; what has no row for each example is that of the first."""
    first = xs[0]
    if isinstance(first, Mapping):
        return {name: _join([x[name] for x in xs], xs) for name in first}
    return (
        tuple(_join([x[i] for x in xs], xs) for i in range(len(first))) if isinstance(first, tuple) else torch.cat(xs)
    )


def _join(values: list[Any], xs: list[Any]) -> Any:
    if isinstance(values[0], (Mapping, tuple)):
        return _joined(values)
    rows = isinstance(values[0], Tensor) and all(has_rows(v, count(x)) for v, x in zip(values, xs, strict=True))
    return torch.cat(values) if rows else values[0]
