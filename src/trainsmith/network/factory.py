"""A network from its name, from a factory in a user's module or file, or from a function."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.catalogue import FAMILIES, Technique, Trial
from trainsmith.errors import InvalidInput, shown, unknown_name
from trainsmith.initialization import outputs_of
from trainsmith.network.host import seeded_host
from trainsmith.network.own_code import named_in_code, told
from trainsmith.network.reference import NETWORKS, Factory

GIVEN = ("normalization", "activation", "regularization")
"""The families that a factory may take as arguments of that name. Each argument is a function that makes a layer."""
Makers = Mapping[str, Callable[..., nn.Module]]


def build(
    network: str | Factory, input_shape: tuple[int, ...], outputs: int, makers: Makers | None = None
) -> nn.Module:
    """A fresh network: by name, by "package.module:factory" or "path/file.py:factory", or from a factory.

    A factory with an argument `activation`, `normalization` or `regularization` gets there a function that makes the
    technique's layer: activation(), normalization(features), regularization(). makers: these functions; by default
    they make ReLU and layers that do nothing. Raises InvalidInput for an unknown name, a factory that cannot be
    imported or called, or one that does not return an nn.Module.
    """
    factory = named_factory(network) if isinstance(network, str) else network
    if isinstance(factory, nn.Module) or not callable(factory):
        raise InvalidInput(
            f"the network must be a name or a function that makes a fresh nn.Module; got {type(factory).__name__}. "
            "Pass the function, not its result: every run needs its own weights."
        )
    taken = families_taken(factory)
    chosen = {family: (makers or {}).get(family, PLAIN[family]) for family in taken}
    shape = (input_shape, outputs) if takes_shape(factory) else ()
    try:
        module = factory(*shape, **chosen)
    except InvalidInput:
        raise
    except Exception as error:  # it is the user's code
        raise InvalidInput(f"the network factory {called_by_name(network)} fails: {told(error)}.") from error
    if not isinstance(module, nn.Module):
        raise InvalidInput(f"the network factory must return an nn.Module; it returned {type(module).__name__}.")
    return module


def _nothing(features: int = 0) -> nn.Module:
    return nn.Identity()


PLAIN: Makers = {"activation": nn.ReLU, "normalization": _nothing, "regularization": _nothing}
"""What a factory is given where no technique is asked for."""


def families_taken(network: str | Factory) -> tuple[str, ...]:
    """The families whose technique the factory wants as an argument. Raises InvalidInput for one it cannot have."""
    factory = named_factory(network) if isinstance(network, str) else network
    names = [name for name in _parameters(factory) if name in FAMILIES]
    if other := [name for name in names if name not in GIVEN]:
        raise InvalidInput(
            f"a network factory may take {', '.join(GIVEN[:-1])} and {GIVEN[-1]} as arguments; {other[0]} is no part "
            "of the network: leave it out."
        )
    return tuple(names)


def makers_of(trial: Trial) -> dict[str, Callable[..., nn.Module]]:
    """What makes the layers of the trial's techniques, by family."""

    def layer(technique: Technique) -> Callable[..., nn.Module]:
        return functools.partial(technique.make, **trial.of(technique))

    recipe = trial.recipe
    makers = {"activation": layer(recipe.one("activation"))}
    if (norm := recipe.one("normalization")).role == "layer":
        makers["normalization"] = layer(norm)
    layers = [layer(t) for t in recipe.techniques() if t.family == "regularization" and t.role == "layer"]
    if layers:
        makers["regularization"] = lambda: nn.Sequential(*(make() for make in layers)) if layers[1:] else layers[0]()
    return makers


def build_with(
    network: str | Factory, input_shape: tuple[int, ...], outputs: int, trial: Trial, example: Tensor
) -> tuple[nn.Module, dict[str, str]]:
    """A network from a factory that takes techniques, and why some could not be given to it, by family.

    A technique with which the network cannot be made, or takes no example, is replaced by ReLU or by nothing.
    """
    makers, refused = makers_of(trial), {}
    for family in families_taken(network):
        if family not in makers:
            continue
        try:
            with torch.random.fork_rng(devices=[]), seeded_host([0]):
                outputs_of(build(network, input_shape, outputs, {family: makers[family]}), example[:2])
        except Exception as error:  # shapes that do not fit raise nearly anything
            refused[family] = f"the network's factory cannot be given it: {shown(error, 120)}"
            del makers[family]
    return build(network, input_shape, outputs, makers), refused


def named_factory(name: str) -> Factory:
    """The factory of a reference network, of "package.module:factory", or of "path/file.py:factory"."""
    if ":" not in name:
        if name.endswith(".py"):
            raise InvalidInput(f"the network must name a function or class in '{name}', such as {name}:build.")
        if name not in NETWORKS:
            hint = " A factory of your own is named as package.module:factory or file.py:factory."
            raise InvalidInput(f"{unknown_name('network', name, NETWORKS)}{hint}")
        return NETWORKS[name]
    return named_in_code(name, "network factory")


def _parameters(factory: Factory) -> Iterator[str]:
    try:
        yield from inspect.signature(factory).parameters
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the network factory {called_by_name(factory)} does not tell its arguments.") from error


def takes_shape(factory: Factory) -> bool:
    """Whether the factory wants (input_shape, outputs). Raises InvalidInput where it wants one or three things."""
    own = {n: p for n, p in inspect.signature(factory).parameters.items() if n not in GIVEN}
    needed = [n for n, p in own.items() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(needed) not in (0, 2):
        raise InvalidInput(
            f"a network factory takes (input_shape, outputs), or nothing; {called_by_name(factory)} needs "
            f"{', '.join(needed)}."
        )
    return len(own) >= 2


def called_by_name(network: Any) -> str:
    """What an error calls the network: its name in quotes, or its factory's."""
    return f"'{network}'" if isinstance(network, str) else getattr(network, "__qualname__", type(network).__name__)
