"""Planted faults: for each kind of finding, networks that have exactly this wrong."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from trainsmith.inspection.faults.trials import train
from zoo.case import Case, Given
from zoo.examples import Examples, examples
from zoo.healthy import OPTIMIZERS, whole
from zoo.networks import (
    ACTIVATIONS,
    Transformer,
    cnn,
    hugging_face,
    mlp,
    residual,
    resnet,
)

Build = Callable[[Examples], nn.Module]
Plant = Callable[[nn.Module, Examples], Given]


def _plain(module: nn.Module, data: Examples) -> Given:
    return Given(module, (data.x, data.y), None, {"batch_size": 64})


def _weights(module: nn.Module) -> list[Any]:
    return [m for m in module.modules() if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d))]


BASES: dict[str, tuple[str, Build]] = {
    "perceptron, digits": ("digits", mlp),
    "wide perceptron, mnist": ("mnist", functools.partial(mlp, width=256)),
    "tanh perceptron, wine": ("wine", functools.partial(mlp, activation="tanh", how="xavier")),
    "deep perceptron, breast-cancer": ("breast-cancer", functools.partial(mlp, depth=5)),
    "perceptron, diabetes": ("diabetes", functools.partial(mlp, depth=2)),
    "convolutions, mnist": ("mnist", cnn),
    "convolutions, cifar10": ("cifar10", functools.partial(cnn, depth=3)),
    "residual, digits": ("digits", residual),
    "transformer, text": ("text", Transformer),
    "transformer, digits": ("digits", Transformer),
    "hugging face vit, digits": ("digits", functools.partial(hugging_face, "vit")),
    "hugging face bert, text": ("text", functools.partial(hugging_face, "bert")),
}
NORMALIZED: dict[str, tuple[str, Build]] = {
    "perceptron, digits": ("digits", functools.partial(mlp, norm="batch")),
    "deep perceptron, mnist": ("mnist", functools.partial(mlp, depth=5, norm="batch")),
    "perceptron, breast-cancer": ("breast-cancer", functools.partial(mlp, norm="batch")),
    "perceptron, diabetes": ("diabetes", functools.partial(mlp, norm="batch")),
    "convolutions, digits": ("digits", functools.partial(cnn, norm="batch")),
    "convolutions, cifar10": ("cifar10", functools.partial(cnn, depth=3, norm="batch")),
    "residual, mnist": ("mnist", functools.partial(residual, norm="batch")),
    "resnet, digits": ("digits", resnet),
    "hugging face resnet, mnist": ("mnist", functools.partial(hugging_face, "resnet")),
}


def planted() -> Iterator[Case]:
    """Every planted fault."""
    yield from _of_depth()
    for fault, plants, bases in (*AT_ONCE, *TRIED):
        for name in bases:
            data, build = (NORMALIZED if plants in NORMS else BASES)[name]
            for how, plant in plants.items():
                yield Case(fault, f"{how}: {name}", functools.partial(_made, plant, build, data))


def _made(plant: Plant, build: Build, data: str) -> Given:
    return plant(build(examples(data)), examples(data))


def _of_depth() -> Iterator[Case]:
    """Weights that lose or blow up the signal or the gradient, or saturate, layer by layer."""
    rows = [
        *[("signal vanishes", d, depth, a, std) for d, depth, a, std in (
            ("digits", 5, "tanh", "0.01"), ("mnist", 8, "relu", "0.02"), ("wine", 6, "relu", "0.02"),
            ("breast-cancer", 10, "tanh", "0.03"), ("diabetes", 5, "gelu", "0.01"), ("text", 6, "elu", "0.01"),
            ("cifar10", 20, "relu", "torch"), ("mnist", 4, "sigmoid", "0.01"), ("digits", 30, "relu", "xavier"))],
        *[("signal explodes", d, depth, a, std) for d, depth, a, std in (
            ("digits", 5, "relu", "1.0"), ("mnist", 6, "relu", "0.5"), ("wine", 4, "gelu", "2.0"),
            ("breast-cancer", 8, "elu", "0.7"), ("diabetes", 6, "silu", "1.0"), ("text", 5, "relu", "1.0"),
            ("cifar10", 12, "relu", "0.3"), ("digits", 10, "gelu", "0.5"))],
        *[("gradient vanishes", d, depth, a, std) for d, depth, a, std in (
            ("digits", 5, "sigmoid", "xavier"), ("mnist", 6, "sigmoid", "he"), ("wine", 8, "sigmoid", "xavier"),
            ("breast-cancer", 5, "tanh", "0.01"), ("text", 30, "relu", "xavier"), ("diabetes", 6, "sigmoid", "0.1"),
            ("cifar10", 5, "sigmoid", "xavier"), ("digits", 12, "relu", "torch"))],
        *[("gradient explodes", d, depth, a, std) for d, depth, a, std in (
            ("digits", 6, "relu", "0.8"), ("mnist", 5, "relu", "1.0"), ("wine", 5, "elu", "1.5"),
            ("breast-cancer", 8, "gelu", "0.6"), ("diabetes", 10, "silu", "0.7"), ("text", 6, "relu", "0.7"),
            ("cifar10", 10, "relu", "0.4"), ("digits", 8, "tanh", "0.8"))],
        *[("saturated", d, depth, a, std) for d, depth, a, std in (
            ("digits", 4, "tanh", "1.0"), ("mnist", 3, "tanh", "0.7"), ("wine", 5, "tanh", "1.5"),
            ("breast-cancer", 3, "sigmoid", "3.0"), ("diabetes", 4, "tanh", "1.0"), ("text", 4, "tanh", "1.0"),
            ("cifar10", 3, "sigmoid", "1.0"), ("digits", 3, "sigmoid", "2.0"))],
    ]  # fmt: skip
    for fault, data, depth, activation, std in rows:
        build = functools.partial(mlp, depth=depth, width=100, activation=activation, how=std)
        yield Case(fault, f"{depth} x 100 {activation}, {std}, {data}", functools.partial(_made, _plain, build, data))
    for data, depth, width in (("digits", 80, 100), ("mnist", 70, 100), ("wine", 90, 100), ("breast-cancer", 100, 64),
                               ("diabetes", 80, 64), ("text", 80, 100)):  # fmt: skip
        build = functools.partial(mlp, depth=depth, width=width, how="he")
        case = functools.partial(_made, _plain, build, data)
        yield Case("examples look alike", f"{depth} x {width} relu he, {data}", case)
    for fault, std, depth, activation in (
        ("signal vanishes", "0.01", 6, "relu"), ("signal explodes", "1.0", 5, "relu"),
        ("signal explodes", "0.6", 6, "gelu"), ("gradient explodes", "0.7", 7, "relu"),
        ("gradient vanishes", "0.02", 6, "tanh"), ("saturated", "1.5", 3, "tanh"),
    ):  # fmt: skip
        for data in ("mnist", "cifar10"):
            build = functools.partial(cnn, channels=8, depth=depth, activation=activation, how=std)
            yield Case(
                fault,
                f"{depth} convolutions, {activation}, {std}, {data}",
                functools.partial(_made, _plain, build, data),
            )


# ---- faults seen at once ----


def _dead_bias(module: nn.Module, data: Examples) -> Given:
    """The biases of a third of a hidden layer far below 0, as a step too large leaves them."""
    layer = _weights(module)[1]
    with torch.no_grad():
        layer.bias[: -(-len(layer.bias) // 3)] = -100.0
    return _plain(module, data)


def _dead_by_training(module: nn.Module, data: Examples) -> Given:
    """A few steps of gradient descent at a rate so high that units die of it."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(module.parameters(), 0.3)
    for i in range(10):
        rows = slice(40 * i, 40 * i + 40)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(data.x[rows]), data.y[rows]).backward()
        optimizer.step()
    return _plain(module, data)


def _symmetric(value: float | None, module: nn.Module, data: Examples) -> Given:
    """Every unit of the hidden layers alike: a constant, or one row for all."""
    for layer in _weights(module)[:-1]:
        with torch.no_grad():
            if value is not None:
                layer.weight.fill_(value)
            else:
                layer.weight.copy_(layer.weight[:1].clone().expand_as(layer.weight))
            if layer.bias is not None:
                layer.bias.zero_()
    with torch.no_grad():
        last = _weights(module)[-1].weight
        last.fill_(0.05) if value is not None else last.copy_(last[:, :1].clone().expand_as(last))
    return _plain(module, data)


def _scaled(factor: float, module: nn.Module, data: Examples) -> Given:
    return _plain(module, dataclasses.replace(data, x=data.x * factor))


def _one_wide_column(module: nn.Module, data: Examples) -> Given:
    x = data.x.clone()
    x.flatten(1)[:, ::9] *= 1000.0
    return _plain(module, dataclasses.replace(data, x=x * 0.001))


def _constant(module: nn.Module, data: Examples) -> Given:
    """A loader that overwrites all but a sixth of each example with the first one's numbers."""
    x = data.x.clone()
    flat = x.flatten(1)
    flat[:, flat.shape[1] // 6 :] = flat[0, flat.shape[1] // 6 :]
    return _plain(module, dataclasses.replace(data, x=x))


def _same_example(module: nn.Module, data: Examples) -> Given:
    return _plain(module, dataclasses.replace(data, x=data.x[:1].expand_as(data.x).clone()))


def _last_layer(spread: float, module: nn.Module, data: Examples) -> Given:
    """A last layer so large that outputs have this spread."""
    with torch.no_grad():
        output = module(data.x)
        _weights(module)[-1].weight.mul_(spread / getattr(output, "logits", output).std())
    return _plain(module, data)


def _last_bias(module: nn.Module, data: Examples) -> Given:
    with torch.no_grad():
        _weights(module)[-1].bias[0] += 20.0
    return _plain(module, data)


def _raw_targets(module: nn.Module, data: Examples) -> Given:
    return _plain(module, dataclasses.replace(data, y=examples(data.name, raw=True).y))


def _without_activation(which: int, module: nn.Module, data: Examples) -> Given:
    """One of the activation functions, or all, replaced by nothing."""
    kinds = tuple(ACTIVATIONS.values())
    places = [(m, n) for m in module.modules() for n, child in m.named_children() if isinstance(child, kinds)]
    for parent, name in places if which < 0 else [places[which % len(places)]]:
        setattr(parent, name, nn.Identity())
    return _plain(module, data)


def _averages(scale: float, module: nn.Module, data: Examples) -> Given:
    """Batch norms left in evaluation mode, with averages of another network or of none."""
    for m in module.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.eval()
            assert m.running_var is not None
            m.running_var.mul_(scale)
    with torch.no_grad():
        for layer in _weights(module):
            layer.weight.mul_(scale**-0.25)
    return _plain(module, data)


def _small_batches(size: int, module: nn.Module, data: Examples) -> Given:
    return Given(module, (data.x, data.y), None, {"batch_size": size})


def _frozen(module: nn.Module, data: Examples) -> Given:
    """A layer in the middle frozen."""
    layers = _weights(module)
    layers[len(layers) // 2].requires_grad_(False)
    return _plain(module, data)


class Detached(nn.Module):
    """A layer whose outputs are cut off from the graph."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x).detach()


def _detached(module: nn.Module, data: Examples) -> Given:
    layer = _weights(module)[1]
    parent, name = next((m, n) for m in module.modules() for n, child in m.named_children() if child is layer)
    setattr(parent, name, Detached(layer))
    return _plain(module, data)


def _forgotten(module: nn.Module, data: Examples) -> Given:
    """A layer that forward never calls."""
    module.extra = nn.Linear(50, 50)  # type: ignore[assignment]
    module.forward = functools.partial(_without_extra, module)  # type: ignore[method-assign]
    return _plain(module, data)


def _without_extra(module: nn.Module, x: Any) -> Any:
    if not isinstance(module, nn.Sequential):
        return type(module).forward(module, x)
    for name, layer in module.named_children():
        x = x if name == "extra" else layer(x)
    return x


def _not_finite(how: str, module: nn.Module, data: Examples) -> Given:
    """A weight that is NaN or infinite; numbers of the data that are; a division by the batch's smallest number."""
    x, y = data.x.clone(), data.y
    if how == "weight":
        with torch.no_grad():
            _weights(module)[1].weight.flatten()[3] = torch.nan
    elif how == "infinite weight":
        with torch.no_grad():
            _weights(module)[-1].weight.flatten()[0] = torch.inf
    elif how == "data":
        x.flatten(1)[5, 2] = torch.nan
    else:
        module = nn.Sequential(module, _Logarithm())
    return _plain(module, dataclasses.replace(data, x=x, y=y))


class _Logarithm(nn.Module):
    """log(1 - softmax), of which a sure prediction is minus infinity."""

    def forward(self, x: Any) -> Any:
        return torch.log(1 - torch.softmax(1000 * x, -1))


class _Before(nn.Module):
    """What somebody put between the last layer and the loss, or in front of the first layer."""

    def __init__(self, inner: nn.Module, how: str) -> None:
        super().__init__()
        self.inner, self.how = inner, how

    def forward(self, x: Any) -> Any:
        if self.how == "mixed examples":
            x = x.roll(1, 0)  # a transpose gone wrong: each row gets the numbers of another
        out = self.inner(x)
        if self.how == "softmax":
            return torch.softmax(out, -1)
        return torch.sigmoid(out) if self.how == "sigmoid" else -torch.relu(out) if self.how == "relu" else out


def _unlearnable(how: str, module: nn.Module, data: Examples) -> Given:
    return _only("optimizer", whole(_Before(module, how), data))


class _Broadcast:
    """Squared error of (n, 1) outputs and (n,) targets: each output is compared with every target."""

    def __call__(self, outputs: Any, y: Any) -> Any:
        return (outputs.reshape(-1, 1) - y.reshape(1, -1)).square().mean()


def _broadcast(module: nn.Module, data: Examples) -> Given:
    return dataclasses.replace(_only("optimizer", whole(module, data)), loss=_Broadcast())


def _lagging(momentum: float, module: nn.Module, data: Examples) -> Given:
    """Averages that never followed the training, or followed a last batch of something else alone."""
    for m in module.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.momentum = momentum
    train(module, torch.optim.Adam(module.parameters(), 1e-2), data.x, data.y, None, 64, 100)
    if momentum == 1.0:
        with torch.no_grad():
            module(data.x[:32] * 5 + 3)
    return _plain(module, data)


def _few_a_batch(size: int, module: nn.Module, data: Examples) -> Given:
    """Targets of noise alone, at weights where the gradient of all examples is small, and batches of one or two."""
    order = torch.randperm(len(data.y), generator=torch.Generator().manual_seed(5))
    data = dataclasses.replace(data, y=data.y[order])
    train(module, torch.optim.SGD(module.parameters(), 0.05), data.x, data.y, None, len(data.x), 150)
    return _small_batches(size, module, data)


def _alike(module: nn.Module, data: Examples) -> Given:
    """Biases so large that every example lights the same units."""
    for layer in _weights(module)[:-1]:
        with torch.no_grad():
            layer.bias.copy_(80 * torch.rand(len(layer.bias)) * layer.weight.flatten(1).norm(dim=1))
    return _plain(module, data)


def _left_out(module: nn.Module, data: Examples) -> Given:
    """An optimizer made before the last layer was put in."""
    last = {id(p) for p in _weights(module)[-1].parameters()}
    optimizer = torch.optim.Adam([p for p in module.parameters() if id(p) not in last], 1e-3)
    return Given(module, (data.x, data.y), None, {"optimizer": optimizer, "batch_size": 64})


def _poisoned(rule: str, module: nn.Module, data: Examples) -> Given:
    """One step with a gradient of infinity in a single weight, which somebody put right in the weights alone."""
    optimizer = OPTIMIZERS[rule](module.parameters())
    layer = _weights(module)[-1]
    for p in module.parameters():
        p.grad = torch.zeros_like(p)
    layer.weight.grad[0, 0] = torch.inf
    optimizer.step()
    with torch.no_grad():
        for p in module.parameters():
            p.nan_to_num_(0.0, 0.0, 0.0)
    return Given(module, (data.x, data.y), None, {"optimizer": optimizer, "batch_size": 64})


# ---- faults seen by trying ----


def _only(kept: str, given: Given) -> Given:
    """Of what `whole` gives only the optimizer, or only what is held back: what the fault's detector needs."""
    left_out = {"optimizer": "validation", "validation": "optimizer"}[kept]
    return dataclasses.replace(given, more={k: v for k, v in given.more.items() if k != left_out})


def _rate(rule: str, rate: float, module: nn.Module, data: Examples) -> Given:
    given = _only("optimizer", whole(module, data, rule))
    for group in given.more["optimizer"].param_groups:
        group["lr"] = rate
    return given


def _shuffled(module: nn.Module, data: Examples) -> Given:
    """All targets dealt out anew, to what is held back too."""
    generator = torch.Generator().manual_seed(3)
    held = data.held[1][torch.randperm(len(data.held[1]), generator=generator)]
    y = data.y[torch.randperm(len(data.y), generator=generator)]
    return _only("validation", whole(module, dataclasses.replace(data, y=y, held=(data.held[0], held))))


def _off_by_some(module: nn.Module, data: Examples) -> Given:
    """Targets read off by seven rows in what is trained on."""
    return _only("validation", whole(module, dataclasses.replace(data, y=data.y.roll(7))))


def _leaking(share: float, module: nn.Module, data: Examples) -> Given:
    count = min(len(data.x), max(4, round(share * len(data.held[1]))))
    x, y = data.held[0].clone(), data.held[1].clone()
    x[:count], y[:count] = data.x[:count], data.y[:count]
    return _only("validation", whole(module, dataclasses.replace(data, held=(x, y))))


def _with(plant: Callable[..., Given], *values: Any) -> dict[str, Plant]:
    return {f"{plant.__name__.strip('_')} {v}": functools.partial(plant, v) for v in values}


RELU = ["perceptron, digits", "wide perceptron, mnist", "deep perceptron, breast-cancer", "convolutions, mnist",
        "convolutions, cifar10"]  # fmt: skip
PLAIN = [*RELU, "tanh perceptron, wine", "perceptron, diabetes"]
NUMBERS = [name for name in BASES if "text" not in name and "transformer" not in name and "face" not in name]
CLASSES = [name for name in BASES if "diabetes" not in name]
FEW = [name for name in BASES if "face" not in name and "transformer, digits" not in name]
TRAINED = [name for name in FEW if "cifar10" not in name]
STATISTICS = _with(_averages, 1.0, 30.0)
BATCHES = _with(_small_batches, 2, 4)
NOISY = ["perceptron, digits", "deep perceptron, mnist", "perceptron, breast-cancer", "perceptron, diabetes",
         "residual, mnist"]  # fmt: skip
"""Where batches of two or four are too few: over many positions the moments of even two pictures are sure."""
LAGGING = _with(_lagging, 0.001, 1.0)
LAGGED = [
    "perceptron, digits",
    "deep perceptron, mnist",
    "convolutions, cifar10",
    "convolutions, digits",
    "resnet, digits",
]
NORMS = (STATISTICS, BATCHES, LAGGING)
BIASED = [*RELU, "perceptron, diabetes"]
AT_ONCE: list[tuple[str, dict[str, Plant], Any]] = [
    ("dead units", {"biases": _dead_bias}, RELU),
    ("dead units", {"a rate too high": _dead_by_training}, RELU[:3]),
    ("symmetric units", _with(_symmetric, 0.1, None), [n for n in PLAIN if "cifar" not in n]),
    ("unscaled inputs", _with(_scaled, 255.0, 0.001), NUMBERS),
    ("unscaled inputs", {"one wide column": _one_wide_column}, [n for n in NUMBERS if "convolutions" not in n]),
    ("constant inputs", {"all but a sixth": _constant, "one example": _same_example}, NUMBERS[:7]),
    ("wrong initial loss", _with(_last_layer, 10.0), CLASSES),
    ("wrong initial loss", {"a bias": _last_bias}, CLASSES),
    ("wrong initial loss", {"raw targets": _raw_targets}, ["perceptron, diabetes"]),
    ("missing non-linearity", _with(_without_activation, 0, 1, -1), [n for n in FEW if "transformer" not in n]),
    ("examples look alike", {"biases": _alike}, BIASED),
    ("batch norm's statistics", STATISTICS, NORMALIZED),
    ("evaluation differs", LAGGING, LAGGED),
    ("batch norm's batches", BATCHES, NOISY),
    ("frozen", {"in the middle": _frozen}, BASES),
    ("disconnected", {"detached": _detached}, [n for n in FEW if "transformer" not in n]),
    ("disconnected", {"never called": _forgotten}, FEW),
    ("not in the optimizer", {"last layer": _left_out}, BASES),
    ("not finite", _with(_not_finite, "weight", "infinite weight", "data"), [n for n in PLAIN if "mnist" not in n]),
    ("not finite", _with(_not_finite, "logarithm"), RELU[:1]),
    (
        "batch far too small",
        _with(_few_a_batch, 1),
        [
            "perceptron, digits",
            "tanh perceptron, wine",
            "perceptron, diabetes",
            "residual, digits",
            "deep perceptron, breast-cancer",
            "transformer, text",
        ],
    ),
    ("optimizer's state not finite", _with(_poisoned, "adam", "momentum"), PLAIN),
]
HIGH = [("adam", 1.0), ("sgd", 30.0)]
LOW = [("adam", 1e-6), ("sgd", 1e-5)]
TRIED: list[tuple[str, dict[str, Plant], Any]] = [
    ("learning rate too high", {f"{r} {v:g}": functools.partial(_rate, r, v) for r, v in HIGH}, TRAINED[:7]),
    ("learning rate too low", {f"{r} {v:g}": functools.partial(_rate, r, v) for r, v in LOW}, TRAINED),
    ("labels carry no signal", {"shuffled": _shuffled, "off by seven": _off_by_some}, TRAINED),
    (
        "cannot learn one batch",
        _with(_unlearnable, "softmax", "sigmoid", "mixed examples"),
        [
            "perceptron, digits",
            "wide perceptron, mnist",
            "tanh perceptron, wine",
            "deep perceptron, breast-cancer",
            "convolutions, mnist",
        ],
    ),
    ("cannot learn one batch", _with(_unlearnable, "sigmoid", "relu"), ["perceptron, diabetes"]),
    ("cannot learn one batch", {"broadcast": _broadcast}, ["perceptron, diabetes"]),
    ("leak between the splits", _with(_leaking, 0.05, 0.3, 1.0), [n for n in PLAIN if "cifar" not in n]),
]
