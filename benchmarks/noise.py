"""What the members' own noise costs beside torch's generator, which draws one noise for all.

    python benchmarks/noise.py [--json results/noise.json]

A dropout mask and normal numbers of (members, *shape), drawn from one key a member as in a population's traced step,
against `torch.rand`, `bernoulli_` and `torch.randn` of the same size. One thread, microseconds of CPU time, least of
many goes taken alternately.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.fx.experimental.proxy_tensor import make_fx

sys.path.insert(0, str(Path(__file__).parent))

from trainsmith.comparison.environment import describe_environment
from trainsmith.luck import noise_keys
from trainsmith.luck.noise import chance, quantile
from trainsmith.population.memory import keep_freed_memory
from trainsmith.population.program.straighten import straighten
from trainsmith.population.program.unlocked import Unlocked, unlocked

SIZES = {"1 of 128 x 256": (1, 128, 256), "8 of 64 x 64": (8, 64, 64), "32 of 64 x 64": (32, 64, 64),
         "4 of 128 x 16 x 12 x 12": (4, 128, 16, 12, 12)}  # fmt: skip
GOES, SECONDS = 25, 0.02
DROPPED = 0.3


def traced(draw: Callable[[torch.Tensor], torch.Tensor], keys: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Each member's draw in one straight line of operations, as population/program/program.py runs it on a CPU."""
    graph = make_fx(lambda keys: [torch.func.vmap(draw)(keys)])(keys)
    line = unlocked(straighten(graph), lambda: [keys])
    assert isinstance(line, Unlocked), "it must run as in a population"
    return lambda: line(keys)[0]


def contenders(size: tuple[int, ...]) -> dict[str, Callable[[], torch.Tensor]]:
    members, *rest = size
    shape = torch.Size(rest)
    keys = noise_keys(range(members), 1, 1)[:, 0].contiguous()
    own = torch.empty(size)
    return {
        "torch.rand": lambda: torch.rand(size),
        "torch bernoulli_": lambda: own.bernoulli_(1 - DROPPED),
        "mask": traced(lambda key: chance(shape, key, DROPPED), keys),
        "torch.randn": lambda: torch.randn(size),
        "normal": traced(lambda key: quantile("normal", shape, key), keys),
    }


def measure(works: dict[str, Callable[[], torch.Tensor]]) -> dict[str, float]:
    """Microseconds of CPU time of a call."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(GOES):
        for name, work in works.items():
            calls, started = 0, time.process_time()
            while (spent := time.process_time() - started) < SECONDS:
                work()
                calls += 1
            best[name] = min(best[name], spent / calls * 1e6)
    return {name: round(v, 1) for name, v in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("results/noise.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    found = {}
    with torch.no_grad():
        for name, size in SIZES.items():
            us = measure(contenders(size))
            found[name] = {"us": us, "mask / torch.rand": round(us["mask"] / us["torch.rand"], 2),
                           "normal / torch.randn": round(us["normal"] / us["torch.randn"], 2)}  # fmt: skip
            print(name, found[name], flush=True)
    environment = {**describe_environment(), "command": ""}
    record = {"command": "python benchmarks/noise.py", "sizes": found, "environment": environment}
    options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
