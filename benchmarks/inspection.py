"""What a training step costs under watch, beside the plain loop and beside what others measure.

    python benchmarks/inspection.py [mlp cnn transformer population memory cockpit] [--blocks 8] [--json FILE]

Trainings of equal networks take their steps in turn, in random order, so that the machine's noise meets them alike. A
block is 64 steps of each, which holds one step that watch looks at closely; its ratio is the time of one training over
that of the plain one. Reported: median and quartiles of the blocks. hooks: mean, spread, share near 0 and histogram of
every layer, as tutorials write them. tensorboard: a histogram of every parameter and its gradient with torch's
SummaryWriter, at every step (left out where tensorboard is not installed). population: 64 members, each an MLP
64-64-64-10 on batches of 64, in one thread; here a block is one call of fit for 64 steps. cockpit: the MLP and the CNN
under Cockpit in its economy setting, in blocks of 16 steps; it asks for the package cockpit-for-pytorch, whose release
1.0.2 needs setuptools below 81. memory: bytes that Python and numpy hold, and those of every tensor there is, after
some watched steps and after many more, over those before the first.
"""

import argparse
import contextlib
import gc
import importlib.util
import itertools
import json
import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import trainsmith
from trainsmith.comparison.environment import describe_environment
from trainsmith.inspection.watching.log import MOST_KEPT

BLOCK = 64
MEMBERS = 64
STEPS_HELD = (10, 128, 1000, 8000, 10_000)
COCKPIT_STEPS = 16
"""A block beside Cockpit is shorter, as its steps may take a second."""
COCKPIT = (
    "published: 1.04 to 1.25 at every 16th step in its economy setting, 1.5 to 2 at every step, by Schneider, Dangel & "
    "Hennig 2021, Cockpit: a practical debugging tool for the training of deep neural networks"
)


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
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 10)), torch.randn(32, 3, 32, 32)


def transformer() -> tuple[nn.Module, Tensor]:
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
    body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(body, nn.Flatten(), nn.Linear(128 * 64, 10)), torch.randn(8, 64, 128)


Make = Callable[[], tuple[nn.Module, Tensor]]


def training(make: Make, how: str) -> tuple[Callable[[], None], Callable[[], object]]:
    """A function that takes one step, and one that ends the training."""
    if how.startswith("cockpit"):
        return under_cockpit(make, int(how.split()[-1])), lambda: None
    torch.manual_seed(0)
    model, x = make()
    y, optimizer, ending = torch.arange(len(x)) % 10, torch.optim.Adam(model.parameters(), 1e-4), contextlib.ExitStack()
    after: Callable[[], None] = lambda: None  # noqa: E731
    if how.startswith("watch"):
        ending.enter_context(trainsmith.watch(model, optimizer, int(how.split()[-1]), warn=False))
    elif how == "hooks":
        Hooks(model)
    elif how == "tensorboard":
        after = tensorboard(model, ending)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        after()

    return step, ending.close


def tensorboard(model: nn.Module, ending: contextlib.ExitStack) -> Callable[[], None]:
    """Histograms of parameters and gradients, as TensorBoard's tutorials write them."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(ending.enter_context(tempfile.TemporaryDirectory()))
    ending.callback(writer.close)
    steps = [0]

    def after() -> None:
        for name, p in model.named_parameters():
            writer.add_histogram(name, p, steps[0])
            if p.grad is not None:
                writer.add_histogram(f"{name}.grad", p.grad, steps[0])
        steps[0] += 1

    return after


def under_cockpit(make: Make, every: int) -> Callable[[], None]:
    """A function that takes one step under Cockpit in its economy setting, as its documentation writes it."""
    from backpack import extend
    from cockpit import Cockpit
    from cockpit.utils import schedules
    from cockpit.utils.configuration import configuration

    torch.manual_seed(0)
    model, x = make()
    model, y, optimizer = extend(model), torch.arange(len(x)) % 10, torch.optim.Adam(model.parameters(), 1e-4)
    mean, each = extend(nn.CrossEntropyLoss()), extend(nn.CrossEntropyLoss(reduction="none"))
    cockpit = Cockpit([*model.parameters()], configuration("economy", schedules.linear(every)))
    steps = itertools.count()

    def step() -> None:
        optimizer.zero_grad()
        number, outputs = next(steps), model(x)
        loss, losses = mean(outputs, y), each(outputs, y)
        about = {"batch_size": len(x), "individual_losses": losses, "loss": loss, "optimizer": optimizer}
        with cockpit(number, info=about):
            loss.backward(create_graph=cockpit.create_graph(number))
        optimizer.step()

    return step


def measure(make: Make, blocks: int) -> dict[str, object]:
    """Milliseconds of a plain step, and the ratios of the others to it."""
    record = ratios(make, ["plain again", "watch every 1", "watch every 16", "hooks"], blocks)
    if importlib.util.find_spec("tensorboard"):  # on its own, as its writer has a thread that slows whoever is next
        record |= {"tensorboard": ratios(make, ["tensorboard"], blocks)["tensorboard"]}
    return record


def ratios(make: Make, others: list[str], blocks: int) -> dict[str, object]:
    """The plain training and others, in an order drawn anew at each step."""
    ways, order = ["plain", *others], random.Random(0)
    steps = {how: training(make, how) for how in ways}
    length = COCKPIT_STEPS if any(how.startswith("cockpit") for how in ways) else BLOCK
    spent: dict[str, list[float]] = {how: [] for how in ways}
    for block in range(blocks + 1):  # the first warms up
        now = dict.fromkeys(ways, 0.0)
        for _ in range(length):
            for how in order.sample(ways, len(ways)):
                start = time.perf_counter()
                steps[how][0]()
                now[how] += time.perf_counter() - start
        for how in ways if block else ():
            spent[how].append(now[how])
    for _, end in steps.values():
        end()
    return compared(spent, blocks, length)


def compared(spent: dict[str, list[float]], blocks: int, length: int = BLOCK) -> dict[str, object]:
    """Of the seconds that each took for each block: the plain one's a step, and the ratios of the others to it."""
    record: dict[str, object] = {
        "blocks": blocks,
        "plain_ms_per_step": 1000 * statistics.median(spent["plain"]) / length,
    }
    for how in [how for how in spent if how != "plain"]:
        low, middle, high = statistics.quantiles([a / b for a, b in zip(spent[how], spent["plain"], strict=True)], n=4)
        record[how] = {"ratio": round(middle, 4), "quartiles": [round(low, 4), round(high, 4)]}
    return record


def population(blocks: int) -> dict[str, object]:
    """Milliseconds of a step of all members, and the ratios of watched populations to it."""
    x, y = torch.randn(1024, 64, generator=torch.Generator().manual_seed(0)), torch.arange(1024) % 10
    ways, order = ["plain", "plain again", "watch every 1", "watch every 16"], random.Random(0)
    spent: dict[str, list[float]] = {how: [] for how in ways}
    with contextlib.ExitStack() as ending:
        all_of = {how: trainsmith.Population(small, MEMBERS, threads=1) for how in ways}
        for how in ways[2:]:
            ending.enter_context(trainsmith.watch(all_of[how], every=int(how.split()[-1])))
        for block in range(blocks + 1):  # the first warms up
            for how in order.sample(ways, len(ways)):
                start = time.perf_counter()
                all_of[how].fit(x, y, BLOCK, 64)
                if block:
                    spent[how].append(time.perf_counter() - start)
    return {"members": MEMBERS, **compared(spent, blocks)}


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def memory() -> dict[str, object]:
    """What a watch of every step holds after so many steps, in kilobytes: more than before the first, at rest."""
    tracemalloc.start()
    step, end = training(
        lambda: (nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 10)), torch.randn(32, 20)), "watch every 1"
    )
    kilobytes, done, before = {}, 0, held()
    for steps in STEPS_HELD:
        for _ in range(steps - done):
            step()
        done = steps
        kilobytes[str(steps)] = round((held() - before) / 1024, 1)
    end()
    tracemalloc.stop()
    return {"kilobytes_after_steps": kilobytes, "measured_steps_kept": MOST_KEPT}


def held() -> int:
    """Bytes that live: of Python's and numpy's objects, and of the storages of all tensors."""
    gc.collect()
    storages = [t.untyped_storage() for t in gc.get_objects() if issubclass(type(t), Tensor)]
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values()) + tracemalloc.get_traced_memory()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["mlp", "cnn", "transformer", "population", "memory"])
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--json", type=Path, default=Path("results/inspection.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(options.json.read_text()) if options.json.exists() else {}
    record |= {
        "command": "python benchmarks/inspection.py",
        "steps_per_block": BLOCK,
        "threads": 1,
        "seed": 0,
    }
    for part in options.parts:
        makes = {"mlp": mlp, "cnn": cnn, "transformer": transformer}
        if part in makes:
            found = measure(makes[part], options.blocks)
        elif part == "cockpit":
            ways = ["cockpit every 1", "cockpit every 16"]
            found = {name: ratios(makes[name], ways, options.blocks) for name in ("mlp", "cnn")}
        else:
            found = population(options.blocks) if part == "population" else memory()
        record[part] = found
        print(part, json.dumps(found))
    record |= {"cockpit_published": COCKPIT, "environment": {**describe_environment(), "command": ""}}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
