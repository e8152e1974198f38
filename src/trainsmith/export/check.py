"""An exported script tried out beside the study's own loop before anything is written."""

import contextlib
import itertools
import math
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from trainsmith.data import Dataset
from trainsmith.data.mapped import map_of
from trainsmith.errors import InvalidInput, shown
from trainsmith.luck import Luck, noise_keys
from trainsmith.population import FIRST_LOSSES, Alone, Member, Training
from trainsmith.rows import Rows


@dataclass(frozen=True)
class Replay:
    """What came out. starts_alike: the script's first weights are the run's, number for number. draws_weights: it
    draws them itself, rather than read them. deviation: the largest relative difference of one of the first
    training losses, with the same noise. noisy: the run draws noise while it trains.
    """

    starts_alike: bool
    draws_weights: bool
    deviation: float
    noisy: bool


def replay(
    files: Mapping[str, str], member: Member, dataset: Dataset, first: Mapping[str, Tensor], training: Training
) -> Replay:
    """Take the first steps of a run with the script and with the study's loop. member: made ready anew.

    Where the run draws noise, the script draws the same meanwhile, so that its formulas are compared number for number.
    Raises InvalidInput for a script that does not run.
    """
    try:
        return _replayed(files, member, dataset, first, training)
    except InvalidInput:
        raise
    except Exception as error:  # source of a user's own may fail in any way once it stands alone
        kind = type(error).__name__
        raise InvalidInput(f"the exported source does not run by itself: {kind}: {shown(error, 200)}.") from error


def _replayed(
    files: Mapping[str, str], member: Member, dataset: Dataset, first: Mapping[str, Tensor], training: Training
) -> Replay:
    draws = "initial.safetensors" not in files["train.py"]
    fits = ".fit(x)" in files["train.py"] and not draws
    x, y = _examples(dataset, member.train, fits), member.targets(dataset.y[member.train])
    watched = (dataset.x[member.watch], member.targets(dataset.y[member.watch]))
    steps = min(FIRST_LOSSES, training.steps)
    alone = Alone(member)
    with imported(files) as train, torch.random.fork_rng(devices=[]):
        network = train.build()
        if draws and not _starts_at(first, train, x, y):
            return Replay(False, draws, math.inf, False)
        network.load_state_dict(dict(first))
        expected = _by_the_loop(alone, dataset, training, steps)
        if alone.places:
            train.training_loss = _with_noise_of(alone, train.training_loss)
            _drop_as(alone, network)
        further = [*(watched if member.stopping is not None else ())]
        if member.objective.unlabelled:
            further.append(dataset.inputs[member.unlabelled])
        losses = train.train(network, x, y, *further, steps=steps)
    apart = [abs(a - b) / max(abs(b), 1e-12) for a, b in zip(losses, expected, strict=False)]
    worst = max(apart) if len(losses) == len(expected) or member.stopping is not None else math.inf
    return Replay(True, draws, worst if all(map(math.isfinite, apart)) else math.inf, alone.places > 0)


def _examples(dataset: Dataset, chosen: np.ndarray, fits: bool) -> Any:
    """x[chosen]; of a memory map no more than the script's first steps take, unless it fits something to all."""
    return dataset.x[chosen] if fits or map_of(dataset.x) is None else Rows(dataset.x, chosen)


def _starts_at(first: Mapping[str, Tensor], train: Any, x: Tensor, y: Tensor) -> bool:
    """Whether the script draws these first weights."""
    try:
        found = train.initialized(x, y).state_dict()
    except (RuntimeError, ValueError):
        return False
    return found.keys() == first.keys() and all(torch.equal(found[k], t) for k, t in first.items())


def _by_the_loop(alone: Alone, dataset: Dataset, training: Training, steps: int) -> list[float]:
    """The first losses of a run trained as a study trains it."""
    member: Any = alone.members[0]
    losses: list[float] = []
    rates = training.rates([member])
    order = member.order(training.batch_size, training.steps)[:steps]
    for number, chosen in enumerate(order, 1):
        x, y = dataset.inputs[chosen], member.targets(dataset.y[chosen[: member.targeted(training.batch_size)]])
        losses.append(alone.step(number, rates(number), x[None], y[None]).item())
        if rates.looks:
            rates.note(number, losses[-1:])
    return losses


def _with_noise_of(alone: Alone, loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The script's loss, its noise drawn from the run's seed, step and place."""
    numbers = itertools.count(1)

    def drawn(*args: Any) -> Tensor:
        with Luck(noise_keys([alone.members[0].seed], next(numbers), alone.places)[0], alone.host):
            return loss(*args)

    return drawn


def _drop_as(alone: Alone, network: nn.Module) -> None:
    """Put the study's own dropout in the place of torch's, which makes other masks of the same numbers."""
    study = alone.module.network
    places = [path for path, m in network.named_modules() if isinstance(m, _DropoutNd)]
    for path in places:
        if type(network.get_submodule(path)) is not type(own := study.get_submodule(path)):
            network.set_submodule(path, own)


@contextlib.contextmanager
def imported(files: Mapping[str, str], folder: Path = Path()) -> Iterator[Any]:
    """train.py as a module, its neighbours importable meanwhile under their own names."""
    order = [n for n in ("data", "techniques", "model", "train") if f"{n}.py" in files or n == "data"]
    before = {name: sys.modules.get(name) for name in order}
    try:
        for name in order:
            module = types.ModuleType(name)
            module.__file__ = str(folder / f"{name}.py")
            sys.modules[name] = module
            if f"{name}.py" in files:
                exec(compile(files[f"{name}.py"], f"exported {name}.py", "exec"), vars(module))
            else:  # the data are at hand
                vars(module).update(hold_out=None, load=None, load_unlabelled=None)
        yield sys.modules["train"]
    finally:
        for name, module_before in before.items():
            sys.modules.pop(name, None)
            if module_before is not None:
                sys.modules[name] = module_before
