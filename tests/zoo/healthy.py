"""Healthy controls: standard networks with standard recipes on real data. None may give a finding."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from zoo.case import Case, Given
from zoo.examples import Examples, available, examples
from zoo.networks import Functional, Transformer, cnn, hugging_face, mlp, residual, resnet

Rule = Callable[[Any], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Rule] = {
    "adam": lambda p: torch.optim.Adam(p, 1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, 3e-3, weight_decay=0.01),
    "sgd": lambda p: torch.optim.SGD(p, 0.1),
    "momentum": lambda p: torch.optim.SGD(p, 0.03, momentum=0.9),
}
BATCH = 64


def whole(module: nn.Module, data: Examples, optimizer: str = "adam") -> Given:
    """Everything that can be given: optimizer, held-back examples and the size of batches."""
    more = {"optimizer": OPTIMIZERS[optimizer](module.parameters()), "validation": data.held, "batch_size": BATCH}
    return Given(module, (data.x, data.y), None, more)


def healthy() -> Iterator[Case]:
    """All controls whose data are here."""
    builds: list[tuple[str, str, Callable[[Examples], nn.Module]]] = []
    for data, (depth, width) in itertools.product(
        ("digits", "mnist", "wine", "breast-cancer", "diabetes"), ((2, 32), (4, 100))
    ):
        builds.append((f"{depth} x {width} relu he", data, lambda e, d=depth, w=width: mlp(e, d, w)))  # type: ignore[misc]
    for data in ("digits", "mnist", "cifar10", "breast-cancer", "diabetes"):
        builds += [
            ("3 x 64 tanh xavier", data, lambda e: mlp(e, 3, 64, "tanh", "xavier")),
            ("3 x 64 gelu he", data, lambda e: mlp(e, 3, 64, "gelu", "he")),
            ("2 x 64 relu torch", data, lambda e: mlp(e, 2, 64, "relu", "torch")),
            ("6 x 64 relu he, layer norm", data, lambda e: mlp(e, 6, 64, "relu", "he", "layer")),
            ("4 x 64 relu he, batch norm", data, lambda e: mlp(e, 4, 64, "relu", "he", "batch")),
            ("3 x 64 relu he, dropout", data, lambda e: mlp(e, 3, 64, "relu", "he", dropout=0.3)),
            ("residual of 4 blocks", data, lambda e: residual(e, 4)),
        ]
    for data in ("digits", "mnist", "cifar10"):
        builds += [
            ("cnn of 2", data, lambda e: cnn(e, 8, 2)),
            ("cnn of 3, batch norm", data, lambda e: cnn(e, 8, 3, norm="batch")),
            ("cnn of 3, group norm", data, lambda e: cnn(e, 8, 3, norm="group")),
            ("resnet", data, resnet),
            ("functional", data, Functional),
        ]
    for data in ("digits", "mnist", "text"):
        builds += [
            ("transformer, norm first", data, Transformer),
            ("transformer, norm last", data, lambda e: Transformer(e, first=False)),
        ]
    builds += [(f"hugging face {kind}", data, lambda e, k=kind: hugging_face(k, e)) for kind, data in HUGGING_FACE]  # type: ignore[misc]
    for (name, data, build), rule in zip(builds, itertools.cycle(OPTIMIZERS), strict=False):
        if available(data):
            yield Case("", f"{name}, {data}, {_rule(name, rule)}", _made(build, data, _rule(name, rule)))


HUGGING_FACE = [("vit", "digits"), ("vit", "mnist"), ("resnet", "digits"), ("resnet", "mnist"), ("convnext", "digits"),
                ("convnext", "cifar10"), ("bert", "text"), ("distilbert", "text"), ("gpt2", "text")]  # fmt: skip


def _rule(name: str, rule: str) -> str:
    """Transformers are trained with Adam and its kin, as everywhere."""
    attends = name.startswith(("transformer", "hugging face vit", "hugging face convnext", "hugging face bert"))
    return "adam" if attends or "bert" in name or "gpt" in name else rule


def _made(build: Callable[[Examples], nn.Module], data: str, rule: str) -> Callable[[], Given]:
    return lambda: whole(build(examples(data)), examples(data), rule)
