"""How long a step of our stand-alone optimizers, and a pass of our layers, takes beside others' in one run.

python benchmarks/techniques.py [--runs 9] [--only NAME ...] [--json results/techniques.json]

Optimizers: on a perceptron's 9.5 million parameters, beside torch.optim's fastest (fused, foreach or loop, whichever
has the lowest median) and pytorch_optimizer, where they have the rule. Layers: forward and backward of a batch. The
competitors of DropConnect and stochastic pooling were written here from the papers, as the usual code in torch would
be: a mask for each example drawn whole, regions by unfold and multinomial. Published code (the package dropconnect;
pooling by unfold and multinomial in several repositories) does the same and no faster, tried by hand. All competitors
work on the same parameters, gradients and inputs, since where tensors lie in memory is worth a tenth of their time. In
each round every competitor runs, once or for a hundredth of a second, from round to round another one first; a ratio
is taken within its round; reported are median and quartiles over rounds.
"""

import argparse
import importlib.metadata
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_optimizer as others
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainsmith import activation, normalization, optimizer, regularization
from trainsmith.comparison.environment import describe_environment

LR = 1e-6
RULES: dict[str, tuple[Any, Callable[..., Any] | None, str | None]] = {
    "sgd": (optimizer.SGD, lambda p, **k: torch.optim.SGD(p, lr=LR, **k), None),
    "momentum": (optimizer.Momentum, lambda p, **k: torch.optim.SGD(p, lr=LR, momentum=0.9, **k), None),
    "nesterov": (
        optimizer.Nesterov,
        lambda p, **k: torch.optim.SGD(p, lr=LR, momentum=0.9, nesterov=True, **k),
        None,
    ),
    "adagrad": (optimizer.AdaGrad, lambda p, **k: torch.optim.Adagrad(p, lr=LR, **k), None),
    "rmsprop": (optimizer.RMSprop, lambda p, **k: torch.optim.RMSprop(p, lr=LR, **k), None),
    "rmsprop-centred": (
        optimizer.CentredRMSprop,
        lambda p, **k: torch.optim.RMSprop(p, lr=LR, centered=True, **k),
        None,
    ),
    "adadelta": (optimizer.AdaDelta, lambda p, **k: torch.optim.Adadelta(p, lr=LR, **k), None),
    "adam": (optimizer.Adam, lambda p, **k: torch.optim.Adam(p, lr=LR, **k), None),
    "adamw": (optimizer.AdamW, lambda p, **k: torch.optim.AdamW(p, lr=LR, **k), None),
    "amsgrad": (optimizer.AMSGrad, lambda p, **k: torch.optim.Adam(p, lr=LR, amsgrad=True, **k), None),
    "adamax": (optimizer.Adamax, lambda p, **k: torch.optim.Adamax(p, lr=LR, **k), None),
    "nadam": (optimizer.NAdam, lambda p, **k: torch.optim.NAdam(p, lr=LR, **k), None),
    "radam": (optimizer.RAdam, lambda p, **k: torch.optim.RAdam(p, lr=LR, **k), None),
    "adafactor": (optimizer.Adafactor, lambda p, **k: torch.optim.Adafactor(p, lr=LR, **k), None),
    "muon": (optimizer.Muon, lambda p, **k: torch.optim.Muon(p, lr=LR, **k), None),
    "lion": (optimizer.Lion, None, "Lion"),
    "lars": (optimizer.LARS, None, "LARS"),
    "lamb": (optimizer.LAMB, None, "Lamb"),
    "schedule-free-sgd": (optimizer.ScheduleFreeSGD, None, "ScheduleFreeSGD"),
    "schedule-free-adamw": (optimizer.ScheduleFreeAdamW, None, "ScheduleFreeAdamW"),
}
"""Ours, torch's of the same rule, and the name in pytorch_optimizer of one that torch lacks."""
SECONDS = 0.01
"""A short call is repeated for so long at a time."""
FUSED = ("sgd", "momentum", "nesterov", "adagrad", "adam", "adamw", "amsgrad")
OF_MATRICES = ("muon",)
"""Rules of which torch's takes matrices alone, in one way, and seconds a step: three rounds are enough for them."""


def network(bias: bool = True) -> list[nn.Parameter]:
    """The parameters of a perceptron 3072-2048-1024-1024-10, 9.5 million numbers, with gradients."""
    layers = [nn.Linear(i, o, bias) for i, o in ((3072, 2048), (2048, 1024), (1024, 1024), (1024, 10))]
    parameters = list(nn.Sequential(*layers).parameters())
    for p in parameters:
        p.grad = torch.randn_like(p) * 0.01
    return parameters


def optimizers() -> Iterator[tuple[str, dict[str, Callable[[], Any]]]]:
    """Each rule's steps, ours and the others'."""
    for name, (ours, torchs, theirs) in RULES.items():
        parameters = network(bias=name not in OF_MATRICES)
        steps = {"ours": ours(parameters, lr=LR).step}
        if torchs is not None and name in OF_MATRICES:
            steps["torch"] = torchs(parameters).step
        elif torchs is not None:
            steps |= {"torch foreach": torchs(parameters, foreach=True).step}
            steps |= {"torch loop": torchs(parameters, foreach=False).step}
            if name in FUSED:
                steps["torch fused"] = torchs(parameters, fused=True).step
        if theirs is not None:
            other = getattr(others, theirs)(parameters, lr=LR)
            if hasattr(other, "train"):
                other.train()
            steps["pytorch_optimizer"] = other.step
        yield name, steps


def pass_of(make: Callable[[], nn.Module], x: Tensor) -> Callable[[], None]:
    """Forward and backward, of x that requires a gradient."""
    module = make().train()

    def run() -> None:
        module(x).sum().backward()

    return run


class MaskedLinear(nn.Module):
    """DropConnect as the paper says, a mask for each example, in the usual code."""

    def __init__(self, inputs: int, outputs: int, p: float = 0.5) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(outputs, inputs) * 0.03), nn.Parameter(torch.zeros(outputs))
        self.keep = 1 - p

    def forward(self, x: Tensor) -> Tensor:
        """Pre-activations."""
        masks = torch.bernoulli(self.weight.new_full((len(x), *self.weight.shape), self.keep))
        biases = torch.bernoulli(self.bias.new_full((len(x), len(self.bias)), self.keep))
        return torch.bmm(self.weight * masks, x[..., None])[..., 0] + self.bias * biases


class DrawnPool(nn.Module):
    """Stochastic pooling in the usual code: regions by unfold, one of each by multinomial."""

    def forward(self, x: Tensor) -> Tensor:
        """One activation of each region."""
        n, c, h, w = x.shape
        regions = functional.unfold(x, 2, stride=2).view(n, c, 4, -1).transpose(2, 3).reshape(-1, 4)
        chosen = torch.multinomial(regions.detach() + 1e-12, 1)
        return regions.gather(1, chosen).view(n, c, h // 2, w // 2)


def layers() -> Iterator[tuple[str, dict[str, Callable[[], Any]]]]:
    """Each layer's pass, ours and the others'."""
    rows, images = torch.randn(128, 1024), torch.rand(32, 32, 28, 28)
    pairs: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], Tensor]] = {
        "relu": (activation.ReLU, nn.ReLU, rows),
        "leaky-relu": (activation.LeakyReLU, nn.LeakyReLU, rows),
        "prelu": (activation.PReLU, nn.PReLU, rows),
        "elu": (activation.ELU, nn.ELU, rows),
        "selu": (activation.SELU, nn.SELU, rows),
        "gelu": (activation.GELU, nn.GELU, rows),
        "silu": (activation.SiLU, nn.SiLU, rows),
        "mish": (activation.Mish, nn.Mish, rows),
        "softplus": (activation.Softplus, nn.Softplus, rows),
        "sigmoid": (activation.Sigmoid, nn.Sigmoid, rows),
        "hard-sigmoid": (activation.HardSigmoid, nn.Hardsigmoid, rows),
        "tanh": (activation.Tanh, nn.Tanh, rows),
        "glu": (activation.GLU, lambda: nn.GLU(1), rows),
        "batch": (lambda: normalization.BatchNorm(32), lambda: nn.BatchNorm2d(32), images),
        "layer": (lambda: normalization.LayerNorm(1024), lambda: nn.LayerNorm(1024), rows),
        "rms": (lambda: normalization.RMSNorm(1024), lambda: nn.RMSNorm(1024), rows),
        "group": (lambda: normalization.GroupNorm(32, groups=8), lambda: nn.GroupNorm(8, 32), images),
        "instance": (lambda: normalization.InstanceNorm(32), lambda: nn.InstanceNorm2d(32, affine=True), images),
        "dropout": (lambda: regularization.Dropout(0.5), lambda: nn.Dropout(0.5), rows),
        "spatial-dropout": (lambda: regularization.SpatialDropout(0.5), lambda: nn.Dropout2d(0.5), images),
        "alpha-dropout": (lambda: regularization.AlphaDropout(0.1), lambda: nn.AlphaDropout(0.1), rows),
        "drop-connect": (lambda: regularization.DropConnectLinear(256, 128), lambda: MaskedLinear(256, 128),
                         rows[:, :256].contiguous()),
        "stochastic-pooling": (lambda: regularization.StochasticPool2d(2), DrawnPool, images),
    }  # fmt: skip
    for name, (ours, theirs, x) in pairs.items():
        other = "written from the paper" if name in ("drop-connect", "stochastic-pooling") else "torch"
        given = x.clone().requires_grad_()
        yield name, {"ours": pass_of(ours, given), other: pass_of(theirs, given)}


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """The time of one call, over some."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def measure(calls: dict[str, Callable[[], Any]], runs: int) -> dict[str, Any]:
    """Milliseconds of each, and ours over the fastest other's, round by round."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    repeats = {}
    for name, call in calls.items():
        call()
        call()
        repeats[name] = 1 + int(SECONDS / seconds(call, 1))
    turns = list(calls)
    for _ in range(runs):
        for name in turns:
            times[name].append(1e3 * seconds(calls[name], repeats[name]))
        turns = [*turns[1:], turns[0]]
    medians = {name: statistics.median(t) for name, t in times.items()}
    fastest = min((n for n in calls if n != "ours"), key=medians.__getitem__)
    ratios = [a / b for a, b in zip(times["ours"], times[fastest], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "milliseconds": {name: round(t, 3) for name, t in medians.items()},
        "fastest other": fastest,
        "ratio": round(middle, 3),
        "quartiles": [round(low, 3), round(high, 3)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these rules and layers (default: all), with --json")
    parser.add_argument("--json", type=Path, help="where the record goes (results/techniques.json)")
    options = parser.parse_args()
    if options.only and options.json is None:
        parser.error("name another --json for a part of the record")
    torch.set_num_threads(1)
    part = f" --only {' '.join(options.only)} --json {options.json}" if options.only else ""
    record: dict[str, Any] = {"command": f"python benchmarks/techniques.py{part}", "runs": options.runs, "threads": 1}
    for kind, found in (("optimizers", optimizers()), ("layers", layers())):
        record[kind] = {}
        for name, calls in found:
            if options.only and name not in options.only:
                continue
            runs = min(3, options.runs) if name in OF_MATRICES else options.runs
            record[kind][name] = row = measure(calls, runs)
            print(f"{name:<20} {row['ratio']:>6} {row['quartiles']}  of {row['fastest other']}", flush=True)
    if unknown := set(options.only or ()) - {*record["optimizers"], *record["layers"]}:
        parser.error(f"no rule or layer is called {' or '.join(sorted(unknown))}")
    record["pytorch_optimizer"] = importlib.metadata.version("pytorch_optimizer")
    record["environment"] = {**describe_environment(), "command": ""}
    (options.json or Path("results/techniques.json")).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
