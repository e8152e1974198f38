"""Where a population's step goes: the bare matrix products, the program around them, the optimizer's update.

    python benchmarks/step_profile.py [--json results/step_profile.json]

One thread, one chunk of the size that trainsmith chooses, for the perceptrons of tasks.py; microseconds of CPU time a
member's step, the least of several goes taken alternately. "products" are the same batched matrix products and
nothing else: no program that trains these members one by one or together can take less. "step" is one by itself,
"stretch" one of several in one call, the gathering of its examples included. "compiled" is the same straight line of
operations through torch.compile in place of TorchScript; what compiling took stands beside it.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch._inductor.config

sys.path.insert(0, str(Path(__file__).parent))
from tasks import Task, tasks

from trainsmith.comparison.environment import describe_environment
from trainsmith.optimizer import Adam
from trainsmith.population import Chunk, Learner, members_at_once
from trainsmith.population.members.objective import CrossEntropy, Objective
from trainsmith.population.memory import keep_freed_memory
from trainsmith.population.program.program import Program

GOES = 15
STRETCH = 16
"""Steps of a stretch."""


def products(task: Task, members: int) -> Callable[[], None]:
    """Forward, weight-gradient and input-gradient products of all layers, on tensors made beforehand."""
    n = task.batch_size
    h = [torch.randn(members, n, w) for w in task.widths]
    weights = [torch.randn(members, b, a) for a, b in itertools.pairwise(task.widths)]

    def work() -> None:
        for i, w in enumerate(weights):
            torch.bmm(w, h[i].mT)
        for i in reversed(range(len(weights))):
            torch.bmm(h[i + 1].mT, h[i])
            if i:
                torch.bmm(h[i + 1], weights[i])

    return work


def straight_line(chunk: Chunk, tensors: tuple[torch.Tensor, ...]) -> Callable[..., Any]:
    """The chunk's step as torch.fx traced it, before TorchScript takes it."""
    with mock.patch("trainsmith.population.program.program.unlocked", lambda line, fresh: line):
        trained = len(chunk.parameters)
        return Program(chunk.program.base)._trace(trained, trained + len(chunk.buffers), tensors)


def profile(task: Task) -> dict[str, float]:
    networks = task.networks()
    members = min(task.members // 2, members_at_once(sum(p.numel() for p in networks[0].parameters())))
    numbers = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    learners = [
        Learner(k, Objective(networks[k], CrossEntropy()), Adam, {"lr": r, **numbers})
        for k, r in enumerate(task.rates()[:members])
    ]
    chosen = torch.from_numpy(task.orders()[:members, 0])
    x, y = task.x[chosen], task.y[chosen]
    chunk = Chunk(learners, x[0], y[0])
    keys, several = chunk._keys(1, x), chosen.expand(STRETCH, *chosen.shape)

    def program() -> None:
        with torch.no_grad():
            chunk.program.run(chunk.parameters, chunk.buffers, keys, x, y, chunk.gradients)

    tensors = (*chunk.parameters, *chunk.buffers, keys, x, y, *chunk.gradients)
    program()
    compiled_line, started = torch.compile(straight_line(chunk, tensors), dynamic=False), time.perf_counter()

    def compiled() -> None:
        with torch.no_grad():
            compiled_line(*tensors)

    compiled()
    compiling = time.perf_counter() - started
    parts: dict[str, Callable[[], object]] = {
        "products": products(task, members),
        "program": program,
        "compiled": compiled,
        "update": lambda: chunk._update(2, 1.0),
        "step": lambda: chunk.step(2, 1.0, x, y),
        "stretch": lambda: chunk.stretch(2, [1.0] * STRETCH, task.x, y.expand(STRETCH, *y.shape), several),
    }
    best = dict.fromkeys(parts, float("inf"))
    for _ in range(GOES):
        for name, work in parts.items():
            work()
            started = time.process_time()
            for _ in range(5):
                work()
            steps = STRETCH if name == "stretch" else 1
            best[name] = min(best[name], (time.process_time() - started) / 5 / steps / members * 1e6)
    found = {f"{name}_us": round(v, 1) for name, v in best.items()}
    return {"members": members, **found, "compiling_s": round(compiling, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("results/step_profile.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch._inductor.config.force_disable_caches = True
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp()
    torch.set_flush_denormal(True)
    keep_freed_memory()
    found = {}
    for number in "123":
        task = tasks(False, 1)[number]()
        found[task.name] = profile(task)
        print(task.name, found[task.name], flush=True)
    record = {
        "command": "python benchmarks/step_profile.py",
        "tasks": found,
        "environment": {**describe_environment(), "command": ""},
    }
    options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
