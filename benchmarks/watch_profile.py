"""Where the time of a watched step goes: a training under watch with one part of it left out, beside all of it.

    python benchmarks/watch_profile.py [--blocks 12] [--json results/watch_profile.json]

The perceptron of inspection.py, whose ratio misses its aim, watched at every step. Trainings take their steps in turn,
in random order; a block is 64 steps of each; its ratio is the time of one training over that of the plain one. A part
that is left out is replaced by what does nothing, so that what the watch says is wrong and its time is that of the
rest. "everything" is what then remains: hooks that are called, what keeps the steps apart, and what waiting steps say.
"""

import argparse
import contextlib
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from inspection import BLOCK, compared, mlp, training
from trainsmith.comparison.environment import describe_environment
from trainsmith.inspection.statistics import sampling
from trainsmith.inspection.watching import live, moved

LARGE = 4096
"""Norms of tensors larger than the samples are those of whole gradients."""


@contextlib.contextmanager
def samples_of_layers() -> Iterator[None]:
    """Copies of some outputs and gradients of each layer, and of the input."""
    take = sampling.Sampled.take

    def nothing(self: sampling.Sampled, x: Tensor) -> None:
        if self._like != (x.shape, x.stride(), x.device):
            take(self, x)

    with mock.patch.object(sampling.Sampled, "take", nothing):
        yield


@contextlib.contextmanager
def samples_of_parameters() -> Iterator[None]:
    """Copies of some numbers of each parameter before and after the step."""
    of = moved.Spaced.of

    def nothing(self: moved.Spaced, tensors: list[Tensor]) -> moved.Parts:
        return self._rooms[self._at] if self._rooms[self._at].parts else of(self, tensors)

    with mock.patch.object(moved.Spaced, "of", nothing):
        yield


@contextlib.contextmanager
def norms_of_gradients() -> Iterator[None]:
    """The norm of every parameter's gradient."""
    norm = torch._foreach_norm

    def nothing(tensors: list[Tensor]) -> list[Tensor]:
        return [torch.zeros(()) for _ in tensors] if any(t.numel() > LARGE for t in tensors) else norm(tensors)

    with mock.patch.object(torch, "_foreach_norm", nothing):
        yield


@contextlib.contextmanager
def health_of_the_state() -> Iterator[None]:
    """Whether what the optimizer remembers is finite."""
    with (
        mock.patch.object(moved.Moved, "_remembered", return_value=[]),
        mock.patch.object(moved.Moved, "_of_states", lambda self, norms: np.zeros(len(self._parameters))),
    ):
        yield


@contextlib.contextmanager
def health_of_outputs() -> Iterator[None]:
    """Whether what each layer gives is finite."""
    with mock.patch.object(live, "total", return_value=torch.zeros(())):
        yield


PARTS = (samples_of_layers, samples_of_parameters, norms_of_gradients, health_of_the_state, health_of_outputs)


@contextlib.contextmanager
def everything() -> Iterator[None]:
    """All of these."""
    with contextlib.ExitStack() as stack:
        for part in PARTS:
            stack.enter_context(part())
        yield


WAYS: dict[str, tuple[str, Callable[[], contextlib.AbstractContextManager[None]]]] = {
    "plain": ("plain", contextlib.nullcontext),
    "watch": ("watch every 1", contextlib.nullcontext),
    **{f"without {p.__name__.replace('_', ' ')}": ("watch every 1", p) for p in (*PARTS, everything)},
}
"""What each is called, how it trains, and what is left out of it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--json", type=Path, default=Path("results/watch_profile.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps = {name: training(mlp, how) for name, (how, _) in WAYS.items()}
    spent: dict[str, list[float]] = {name: [] for name in WAYS}
    order = random.Random(0)
    for block in range(options.blocks + 1):  # the first warms up
        now = dict.fromkeys(WAYS, 0.0)
        for _ in range(BLOCK):
            for name in order.sample([*WAYS], len(WAYS)):
                with WAYS[name][1]():
                    start = time.perf_counter()
                    steps[name][0]()
                    now[name] += time.perf_counter() - start
        for name in WAYS if block else ():
            spent[name].append(now[name])
    for _, end in steps.values():
        end()
    record = {"command": "python benchmarks/watch_profile.py", "steps_per_block": BLOCK, "threads": 1, "seed": 0}
    record |= {**compared(spent, options.blocks), "environment": {**describe_environment(), "command": ""}}
    options.json.write_text(json.dumps(record, indent=1) + "\n")
    for name in WAYS:
        print(name, record.get(name, ""))


if __name__ == "__main__":
    main()
