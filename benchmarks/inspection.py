"""What a training step costs under watch, beside the plain loop and beside hooks that write statistics down one by one.

python benchmarks/inspection.py [--blocks 20] [--json results/inspection.json]

Four trainings of equal networks take their steps in turn, so that the machine's noise meets them alike. A block is 16
steps of each; its ratio is the time of one training over that of the plain one. Reported: median and quartiles.
"""

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import trainsmith
from trainsmith.comparison.environment import describe_environment

BLOCK = 16


class Hooks:
    """As tutorials write them: mean, spread, share near 0 and a histogram of every layer, to the host in each hook."""

    def __init__(self, model: nn.Module) -> None:
        self.seen: list[tuple[str, float, float, float, list[float]]] = []
        layers = [(n, m) for n, m in model.named_modules() if not [*m.children()]]
        self.handles = [m.register_forward_hook(self.note(n)) for n, m in layers]

    def note(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(layer: nn.Module, inputs: object, output: Tensor) -> None:
            out = output.detach().float().cpu()
            near = (out.abs() < 0.05).float().mean().item()
            self.seen.append((name, out.mean().item(), out.std().item(), near, out.histc(40, -10, 10).tolist()))

        return hook


def mlp() -> tuple[nn.Module, Tensor]:
    layers = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*layers), torch.randn(128, 784)


def cnn() -> tuple[nn.Module, Tensor]:
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 10)), torch.randn(64, 3, 32, 32)


def transformer() -> tuple[nn.Module, Tensor]:
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
    body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(body, nn.Flatten(), nn.Linear(128 * 64, 10)), torch.randn(16, 64, 128)


def training(make: Callable[[], tuple[nn.Module, Tensor]], how: str) -> tuple[Callable[[], None], Callable[[], object]]:
    """A function that takes one step, and one that ends the training."""
    torch.manual_seed(0)
    model, x = make()
    y, optimizer, ending = torch.arange(len(x)) % 10, torch.optim.Adam(model.parameters(), 1e-4), contextlib.ExitStack()
    if how.startswith("watch"):
        ending.enter_context(trainsmith.watch(model, optimizer, int(how.split()[-1]), warn=False))
    if how == "hooks":
        Hooks(model)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step, ending.close


def measure(make: Callable[[], tuple[nn.Module, Tensor]], blocks: int) -> dict[str, object]:
    """Milliseconds of a plain step, and the ratios of the others to it."""
    ways = ("plain", "plain again", "watch every 1", "watch every 16", "hooks")
    steps = {how: training(make, how) for how in ways}
    spent: dict[str, list[float]] = {how: [] for how in ways}
    for block in range(blocks + 1):  # the first warms up
        now = dict.fromkeys(ways, 0.0)
        for i in range(BLOCK):
            for how in ways[i % len(ways) :] + ways[: i % len(ways)]:
                start = time.perf_counter()
                steps[how][0]()
                now[how] += time.perf_counter() - start
        for how in ways if block else ():
            spent[how].append(now[how])
    for _, end in steps.values():
        end()
    record: dict[str, object] = {"plain_ms_per_step": 1000 * statistics.median(spent["plain"]) / BLOCK}
    for how in ways[1:]:
        ratios = [a / b for a, b in zip(spent[how], spent["plain"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        record[how] = {"ratio": middle, "quartiles": [low, high]}
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--json", type=Path, default=Path("results/inspection.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    record: dict[str, object] = {
        "command": f"python benchmarks/inspection.py --blocks {options.blocks}",
        "blocks": options.blocks,
        "steps_per_block": BLOCK,
        "threads": 1,
        "seed": 0,
    }
    for make in (mlp, cnn, transformer):
        record[make.__name__] = found = measure(make, options.blocks)
        print(make.__name__, json.dumps(found))
    record["environment"] = {**describe_environment(), "command": ""}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
