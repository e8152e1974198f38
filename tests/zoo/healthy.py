"""Healthy controls: standard networks with standard recipes on real data. None may give a finding."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from trainsmith.inspection.faults.trials import train
from zoo.case import Case, Given
from zoo.examples import Examples, available, examples
from zoo.networks import Functional, SmallEmbeddings, Transformer, cnn, hugging_face, mlp, residual, resnet

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
    builds += [(name, "text", build) for name, build in EMBEDDED]
    for (name, data, build), rule in zip(builds, itertools.cycle(OPTIMIZERS), strict=False):
        if available(data):
            whole = _made if data in TRIED else _as_it_is
            yield Case("", f"{name}, {data}, {_rule(name, rule)}", whole(build, data, _rule(name, rule)))
    yield from _more()


TRIED = ("digits", "text", "wine", "breast-cancer", "diabetes")
"""Sets on which controls are given optimizer and held-back data too; larger pictures would take half of the time."""
CHEAP = ("digits", "wine", "breast-cancer", "diabetes")
PICTURES = ("digits", "mnist", "cifar10")


def _more() -> Iterator[Case]:
    """Controls of which only what needs no training is asked, of networks at their start and of trained ones.

    "as it is": neither optimizer nor held-back data are given. "trained": after so many steps of the recipe, with the
    optimizer's state. "followed": `inspect` itself trains a copy, and must find nothing on the way.
    """
    builds: list[tuple[str, tuple[str, ...], Callable[[Examples], nn.Module]]] = [
        ("1 x 128 relu torch", CHEAP, lambda e: mlp(e, 1, 128, "relu", "torch")),
        ("3 x 128 elu he", CHEAP, lambda e: mlp(e, 3, 128, "elu", "he")),
        ("3 x 64 silu he", CHEAP, lambda e: mlp(e, 3, 64, "silu", "he")),
        ("2 x 64 sigmoid xavier", CHEAP, lambda e: mlp(e, 2, 64, "sigmoid", "xavier")),
        ("5 x 100 tanh xavier", CHEAP, lambda e: mlp(e, 5, 100, "tanh", "xavier")),
        ("8 x 128 relu he, batch norm", CHEAP, lambda e: mlp(e, 8, 128, "relu", "he", "batch")),
        ("10 x 64 gelu he, layer norm", CHEAP, lambda e: mlp(e, 10, 64, "gelu", "he", "layer")),
        ("2 x 256 relu he", CHEAP, lambda e: mlp(e, 2, 256)),
        ("4 x 64 elu xavier", CHEAP, lambda e: mlp(e, 4, 64, "elu", "xavier")),
        ("3 x 64 tanh xavier, layer norm", CHEAP, lambda e: mlp(e, 3, 64, "tanh", "xavier", "layer")),
        ("residual of 8 blocks", CHEAP, lambda e: residual(e, 8)),
        ("cnn of 4 gelu, group norm", PICTURES, lambda e: cnn(e, 8, 4, "gelu", norm="group")),
        ("cnn of 2 wide", PICTURES, lambda e: cnn(e, 24, 2)),
        ("resnet of 3 blocks", PICTURES, lambda e: resnet(e, 8, 3)),
    ]
    builds += [(name, ("text",), build) for name, build in EMBEDDED]
    for name, sets, build in builds:
        for data in filter(available, sets):
            yield Case("", f"as it is: {name}, {data}", _as_it_is(build, data))
    builds += [
        ("2 x 64 relu he", CHEAP, lambda e: mlp(e, 2, 64)),
        ("4 x 64 relu he", CHEAP, lambda e: mlp(e, 4, 64)),
        ("3 x 64 relu he, dropout", CHEAP, lambda e: mlp(e, 3, 64, dropout=0.3)),
        ("functional", CHEAP, Functional),
        ("transformer", ("digits", "text"), Transformer),
        ("hugging face vit", ("digits",), lambda e: hugging_face("vit", e)),
        ("hugging face bert", ("text",), lambda e: hugging_face("bert", e)),
        ("hugging face gpt2", ("text",), lambda e: hugging_face("gpt2", e)),
        ("hugging face resnet", ("digits",), lambda e: hugging_face("resnet", e)),
    ]
    for (name, sets, build), steps in zip(builds, itertools.cycle((40, 120, 300)), strict=False):
        for data, rule in zip(filter(available, sets), itertools.cycle(OPTIMIZERS), strict=False):
            rule = "adam" if data == "diabetes" else _rule(name, rule)  # the others' rates suit classes
            yield Case("", f"trained for {steps}: {name}, {data}, {rule}", _trained(build, data, rule, steps))
    followed = [*builds[-9:-6], *[(name, ("text",), build) for name, build in EMBEDDED]]
    for (name, sets, build), rule in zip(followed, itertools.cycle(OPTIMIZERS), strict=False):
        for data in filter(available, sets[:3]):
            rule = _rule(name, rule)
            yield Case("", f"followed: {name}, {data}, {rule}", _followed(build, data, rule))


def _as_it_is(build: Callable[[Examples], nn.Module], data: str, rule: str = "") -> Callable[[], Given]:
    return lambda: Given(build(examples(data)), (examples(data).x, examples(data).y), None, {"batch_size": BATCH})


def _trained(build: Callable[[Examples], nn.Module], data: str, rule: str, steps: int) -> Callable[[], Given]:
    def make() -> Given:
        given = whole(build(examples(data)), examples(data), rule)
        train(given.module, given.more["optimizer"], examples(data).x, examples(data).y, None, BATCH, steps)
        return Given(given.module, given.batch, None, {"batch_size": BATCH})

    return make


def _followed(build: Callable[[Examples], nn.Module], data: str, rule: str) -> Callable[[], Given]:
    def make() -> Given:
        module = build(examples(data))
        more = {"optimizer": OPTIMIZERS[rule](module.parameters()), "batch_size": BATCH, "steps": 100, "every": 5}
        return Given(module, (examples(data).x, examples(data).y), None, more)

    return make


EMBEDDED: list[tuple[str, Callable[[Examples], nn.Module]]] = [
    ("small embeddings", SmallEmbeddings),
    ("small embeddings, mean", lambda e: SmallEmbeddings(e, mean=True)),
    ("small embeddings, wide and deep", lambda e: SmallEmbeddings(e, 64, 3)),
    ("small embeddings, narrow", lambda e: SmallEmbeddings(e, 16, 1, mean=True)),
    ("small embeddings with a layer norm", lambda e: SmallEmbeddings(e, normed=True)),
    ("small embeddings with a layer norm, deep", lambda e: SmallEmbeddings(e, 32, 4, True, True)),
]
"""Networks of characters whose embeddings begin small, as those of language models do."""


HUGGING_FACE = [("vit", "digits"), ("vit", "mnist"), ("resnet", "digits"), ("resnet", "mnist"), ("convnext", "digits"),
                ("convnext", "cifar10"), ("bert", "text"), ("distilbert", "text"), ("gpt2", "text")]  # fmt: skip


def _rule(name: str, rule: str) -> str:
    """Transformers are trained with Adam and its kin, as everywhere."""
    attends = name.startswith(
        ("transformer", "small embeddings", "hugging face vit", "hugging face convnext", "hugging face bert")
    )
    return "adam" if attends or "bert" in name or "gpt" in name else rule


def _made(build: Callable[[Examples], nn.Module], data: str, rule: str) -> Callable[[], Given]:
    return lambda: whole(build(examples(data)), examples(data), rule)
