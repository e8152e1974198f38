"""How long one step of an optimizer takes on a network's parameters, ours beside torch's, in turn, on one CPU thread.

python benchmarks/optimizers.py [--runs 15] [--json results/optimizers.json]

Parameters: 25 linear layers, 50 tensors. Time of a step: the fastest of some runs of 20 steps each; a ratio is taken
within each run and its median reported.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from trainsmith import optimizer as ours
from trainsmith.comparison.environment import describe_environment

LAYERS, STEPS, WIDTHS = 25, 20, (32, 64, 256)
PAIRS: dict[str, tuple[Callable[..., torch.optim.Optimizer], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": (ours.SGD, torch.optim.SGD),
    "adam": (ours.Adam, torch.optim.Adam),
    "adamw": (ours.AdamW, torch.optim.AdamW),
    "nadam": (ours.NAdam, torch.optim.NAdam),
    "adagrad": (ours.AdaGrad, torch.optim.Adagrad),
    "adafactor": (ours.Adafactor, torch.optim.Adafactor),
}
"""Each of ours, and torch's of the same rule with foreach=True."""


def seconds(optimizer: torch.optim.Optimizer) -> float:
    """The time of one step."""
    start = time.perf_counter()
    for _ in range(STEPS):
        optimizer.step()
    return (time.perf_counter() - start) / STEPS


def compare(width: int, runs: int) -> dict[str, dict[str, float]]:
    """Microseconds a step for each pair, and our time over torch's."""
    network = nn.Sequential(*[nn.Linear(width, width) for _ in range(LAYERS)])
    parameters = list(network.parameters())
    for p in parameters:
        p.grad = torch.randn_like(p)
    rows = {}
    for name, (mine, torchs) in PAIRS.items():
        pair = mine(parameters, lr=1e-6), torchs(parameters, lr=1e-6, foreach=True)
        for one in pair:
            seconds(one)
        times = [[seconds(one) for one in pair] for _ in range(runs)]
        own, other = (min(column) for column in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        rows[name] = {"ours_us": round(own * 1e6, 1), "torch_us": round(other * 1e6, 1), "ratio": round(ratio, 3)}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", type=Path, default=Path("results/optimizers.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = {
        "command": "python benchmarks/optimizers.py",
        "tensors": 2 * LAYERS,
        "widths": {str(width): compare(width, options.runs) for width in WIDTHS},
        "environment": {**describe_environment(), "command": ""},
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record, indent=1) + "\n")
    for width, rows in record["widths"].items():
        for name, row in rows.items():
            print(f"{width:>4} {name:<10} ours {row['ours_us']:>8} us   torch foreach {row['torch_us']:>8} us   "
                  f"ratio {row['ratio']}")  # fmt: skip


if __name__ == "__main__":
    main()
