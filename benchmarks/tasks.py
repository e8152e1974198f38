"""The tasks of benchmarks/population.py: a network, data, and how many members take how many steps on what batches."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainsmith.data import load
from trainsmith.errors import InvalidInput
from trainsmith.luck import batches

WARM_UP = 3
"""Steps that everybody takes before the clock starts: compilation, first allocations."""
DATA = Path("../shared/data")


@dataclass(frozen=True)
class Task:
    """members networks from `network`, each on its own batches of x, y; `steps` of them in each timed round."""

    number: str
    name: str
    network: Callable[[], nn.Module]
    x: Tensor
    y: Tensor
    batch_size: int
    members: int
    steps: int
    rounds: int
    widths: tuple[int, ...] = ()
    note: str = ""

    def networks(self) -> list[nn.Module]:
        """The members' networks at the start, the same for every competitor."""
        made = []
        for k in range(self.members):
            torch.manual_seed(k)
            made.append(self.network())
        return made

    def rates(self) -> list[float]:
        """Adam's learning rate of each member, 1e-4 to 1e-2."""
        return [float(r) for r in np.geomspace(1e-4, 1e-2, self.members)]

    def orders(self) -> np.ndarray:
        """The examples of each member's batches (members, warm-up and rounds of steps, batch)."""
        steps = WARM_UP + self.rounds * self.steps
        return np.stack([batches(k, np.arange(len(self.x)), self.batch_size, steps) for k in range(self.members)])

    def flops(self) -> int:
        """Multiplications and additions of matrix products and convolutions in one member's step."""
        network = self.network()
        with FlopCounterMode(display=False) as counter:
            nn.functional.cross_entropy(network(self.x[: self.batch_size]), self.y[: self.batch_size]).backward()
        return counter.get_total_flops()


def mlp(*widths: int) -> Callable[[], nn.Module]:
    def network() -> nn.Module:
        layers = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *layers[:-1])

    return network


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


class ViT(nn.Module):
    """A small vision transformer for 3 x 32 x 32 images: patches of 4, width 64, 4 blocks of 4 heads."""

    def __init__(self, width: int = 64, depth: int = 4, heads: int = 4, patch: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.places = nn.Parameter(torch.randn(1, (32 // patch) ** 2, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        n, t, w = x.shape
        q, k, v = self.qkv(self.before(x)).view(n, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, w))
        return x + self.mlp(x)


def _digits() -> tuple[Tensor, Tensor, str]:
    data = load("digits")
    return data.x.flatten(1), data.y, ""


def _mnist() -> tuple[Tensor, Tensor, str]:
    try:
        data = load("mnist", data_dir=DATA / "mnist")
        return data.x, data.y, ""
    except (InvalidInput, OSError):
        return *_random(1, 28), "random data in the shape of MNIST"


def _cifar() -> tuple[Tensor, Tensor, str]:
    return *_random(3, 32), "random data in the shape of CIFAR-10"


def _random(channels: int, size: int) -> tuple[Tensor, Tensor]:
    """5,000 random images and classes, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(5_000, channels, size, size, generator=generator),
        torch.randint(10, (5_000,), generator=generator),
    )


def tasks(quick: bool, rounds: int) -> dict[str, Callable[[], Task]]:
    """Each task by its number, made when it is called."""

    def make(
        name: str, network: Callable[[], nn.Module], data: Callable[[], tuple[Tensor, Tensor, str]], batch_size: int,
        members: int, steps: int, widths: tuple[int, ...] = (),
    ) -> Callable[[], Task]:  # fmt: skip
        def task() -> Task:
            x, y, note = data()
            made = Task(name.split(":")[0], name, network, x, y, batch_size, members, steps, rounds, widths, note)
            return replace(made, members=min(4, members), steps=2) if quick else made

        return task

    def perceptron(name: str, widths: tuple[int, ...], data: Callable, batch_size: int, steps: int) -> Callable:
        return make(name, mlp(*widths), data, batch_size, 64, steps, widths)

    return {
        "1": perceptron("1: MLP 64-64-64-10, batch 64, digits", (64, 64, 64, 10), _digits, 64, 300),
        "2": perceptron("2: MLP 100x5, batch 16, digits", (64, 100, 100, 100, 100, 100, 10), _digits, 16, 160),
        "3": perceptron("3: MLP 784-256-256-10, batch 128, MNIST", (784, 256, 256, 10), _mnist, 128, 15),
        "4": make("4: CNN 5x5x16, 5x5x32, 128, batch norm, batch 128, MNIST", cnn, _mnist, 128, 8, 6),
        "5": make("5: ViT, width 64, 4 blocks, batch 64, CIFAR-10", ViT, _cifar, 64, 8, 4),
    }


def peak(threads: int, seconds: float = 0.3) -> float:
    """The best rate of a float32 matrix product on this many threads now, in operations a second."""
    import time

    torch.set_num_threads(threads)
    best = 0.0
    for size in (512, 1024):
        a, until = torch.randn(size, size), time.perf_counter() + seconds / 2
        while time.perf_counter() < until:
            started = time.perf_counter()
            torch.mm(a, a)
            best = max(best, 2 * math.prod((size,) * 3) / (time.perf_counter() - started))
    return best
