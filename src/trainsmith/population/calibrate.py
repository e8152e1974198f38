"""Packing by measurement: how members pass through their program, and how many at once, on this machine."""

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from trainsmith.luck.widest import EVALUATED_AT_ONCE
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.member import Member
from trainsmith.population.packing import members_at_once
from trainsmith.population.program.program import Program, Way
from trainsmith.population.program.stretch import MOST as STEPS_AT_ONCE
from trainsmith.population.program.stretch import in_stretches
from trainsmith.population.program.threads import one_thread
from trainsmith.population.training.alone import Alone
from trainsmith.population.training.chunk import Chunk
from trainsmith.population.training.course import CHECKED_ON

SHARE = 0.05
"""The share of a training that measuring may cost."""
LEAST_SECONDS = 0.03
"""How long one measurement of a packing lasts at least."""
FEWEST_STEPS = 3000
"""A training of fewer member-steps than this is over before measuring it pays."""
INEXACT_CHANNELS_LAST = (torch.nn.modules.batchnorm._NormBase, torch.nn.GroupNorm)
"""With channels last, PyTorch's CPU batch normalization loses two more digits in float32 where a channel's mean is
large against its spread: members would no longer get what a plain loop gives."""
FORMAT = 2
L = TypeVar("L", bound=Learner)


@dataclass(frozen=True)
class Packing:
    """How members are packed: their way through the program, how many in a chunk, seconds of a member's step.

    seconds is None where nothing was measured.
    """

    way: Way
    members: int
    seconds: float | None = None


def choose(learners: Sequence[Learner], x: Tensor, y: Tensor, steps: int, threads: int) -> Packing:
    """The fastest packing found for these members of one bucket, on batches like x (n, ...), y, for `steps` steps.

    The likeliest is measured first, then others for as long as measuring costs no more than SHARE of what the
    training will take. What was measured is remembered for the next training like it. Raises Unbatchable.
    """
    likely = _likely(learners, x, threads)
    if len(likely) == 1 or len(learners) * steps < FEWEST_STEPS:
        return likely[0]
    name = _name(learners, x, threads)
    known = _recall(name)
    spent, done = 0.0, 0
    for packing in likely:
        if packing in known:
            continue
        training = len(learners) * steps * min(known.values(), default=math.inf) / threads
        if done and spent * (done + 1) / done > SHARE * training:
            break
        started = time.perf_counter()
        known[packing] = _seconds([_timed(m, steps) for m in learners[: packing.members]], x, y, packing.way)
        spent, done = spent + time.perf_counter() - started, done + 1
    if done:
        _remember(name, known)
    best = min((p for p in likely if p in known), key=lambda p: known[p])
    return replace(best, seconds=known[best])


def _likely(learners: Sequence[Learner], x: Tensor, threads: int) -> list[Packing]:
    """Packings worth measuring, the likeliest first."""
    if x.device.type != "cpu":
        return [Packing("together", len(learners))]
    each = -(-len(learners) // threads)
    network = learners[0].objective.network
    usual = min(each, members_at_once(sum(p.numel() for p in network.parameters())))
    together = dict.fromkeys(Packing("together", max(1, min(each, n))) for n in (usual, 2 * usual, usual // 2))
    in_turn = [Packing("in turn", each)]
    if any(isinstance(m, torch.nn.modules.conv._ConvNd) for m in network.modules()):
        images = x.ndim == 4 and not any(isinstance(m, INEXACT_CHANNELS_LAST) for m in network.modules())
        return [Packing("in turn, channels last", each)] * images + [*in_turn, Packing("together", min(each, 4))]
    return [*together, *in_turn]


def _timed(learner: L, steps: int) -> L:
    """The same, with a length: what averages its weights has to know one, and is measured before it is told."""
    return replace(learner, length=learner.length or steps)


def _seconds(learners: Sequence[Learner], x: Tensor, y: Tensor, way: Way) -> float:
    """Seconds of one member's step on one core, packed this way; members are not changed by it."""
    chunk = Chunk(learners, x, y, Program(learners[0].objective, way))
    k = len(learners)
    every = torch.arange(len(x)).expand(STEPS_AT_ONCE, k, -1)
    number = 1
    times: list[float] = []
    with one_thread():
        for _ in in_stretches(chunk, number, _still, x, y, every[:1], len(y), learners[0].targets):
            number += 1
        while sum(times) < LEAST_SECONDS or len(times) < 2:
            started, steps = time.perf_counter(), chunk.ahead(number)
            for _ in in_stretches(chunk, number, _still, x, y, every[:steps], len(y), learners[0].targets):
                number += 1
            times.append((time.perf_counter() - started) / steps)
    return min(times) / k


def _still(step: int) -> float:
    """A rate at which nothing moves."""
    return 0.0


def seconds_alone(learner: Learner, x: Tensor, y: Tensor, steps: int = 3) -> float:
    """Seconds of a step of one member trained by the loop on one thread, as runs are, on batches like x (n, ...), y.

    Its state is used up.
    """
    with one_thread():  # on a busy machine a second one is waited for a hundred times as long as a small step takes
        return cost_alone(learner, x, y, steps)[0]


def seconds_evaluated(learners: Sequence[Member], x: Tensor, y: Tensor, packing: Packing | None) -> float:
    """Seconds that one of these members of one bucket takes to evaluate a validation example, packed so or by the loop.

    x, y: all examples (n, ...) and their targets. Members are not changed by it.
    """
    together = packing is not None and packing.way == "together"
    own = [_timed(m, 1) for m in (learners[: packing.members] if packing is not None and together else learners[:1])]
    trainer = Alone(own[0]) if packing is None else Chunk(own, x, y, Program(own[0].objective, packing.way))
    most = max(1, EVALUATED_AT_ONCE // trainer.numbers(x))
    some = x[torch.from_numpy(np.stack([m.validation[: min(most, CHECKED_ON)] for m in own]))]
    times: list[float] = []
    with one_thread():
        trainer.outputs(some)
        while sum(times) < LEAST_SECONDS:
            started = time.perf_counter()
            trainer.outputs(some)
            times.append(time.perf_counter() - started)
    return min(times) / (some.shape[0] * some.shape[1])


def cost_alone(learner: Learner, x: Tensor, y: Tensor, steps: int = 3) -> tuple[float, int]:
    """The same, and the bytes of what one member trained by the loop holds between its steps: its weights, buffers,
    their gradients, the optimizer's moments and the averages of the weights, without activations and data."""
    alone, times = Alone(_timed(learner, steps + 1)), []
    for number in range(1, steps + 2):
        started = time.perf_counter()
        alone.step(number, 0.0, x[None], learner.targets(y)[None])
        times.append(time.perf_counter() - started)
    kept = [t for state in alone.optimizer.state.values() for t in state.values() if isinstance(t, Tensor)]
    gradients = [p.grad for p in alone.trained if p.grad is not None]
    averages = alone.average.averages if alone.average is not None else []
    held = (*alone.module.parameters(), *alone.module.buffers(), *gradients, *kept, *averages)
    return min(times[1:]), sum(t.numel() * t.element_size() for t in held)


def _name(learners: Sequence[Learner], x: Tensor, threads: int) -> str:
    """What the fastest packing hangs on, as one word."""
    first = learners[0]
    modules = [type(m).__name__ for m in first.objective.modules()]
    shapes = [(tuple(p.shape), str(p.dtype)) for p in first.objective.parameters()]
    machine = platform.machine(), platform.processor(), platform.node(), os.cpu_count(), torch.__version__
    text = repr((modules, shapes, first.rule.__name__, tuple(x.shape), str(x.device), len(learners), threads, machine))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _file() -> Path:
    base = os.environ.get("TRAINSMITH_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "trainsmith"
    return Path(base).expanduser() / f"packing-{FORMAT}.json"


def _read() -> dict[str, Any]:
    try:
        written = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    return written if isinstance(written, dict) else {}


def _recall(name: str) -> dict[Packing, float]:
    """Seconds of the packings measured before; none where the file cannot be read."""
    try:
        return {Packing(way, int(members)): float(seconds) for way, members, seconds in _read()[name]}
    except (KeyError, TypeError, ValueError):
        return {}


def _remember(name: str, known: dict[Packing, float]) -> None:
    """Write it down for the next time; where nothing can be written, it is measured again."""
    file = _file()
    rows = [(packing.way, packing.members, seconds) for packing, seconds in known.items()]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({**_read(), name: rows}))
        fresh.replace(file)
    except OSError:
        pass
