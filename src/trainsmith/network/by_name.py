"""Techniques put into a network by their names: model surgery for who has a module and no study."""

import contextlib
import copy
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from trainsmith.catalogue import FAMILIES, Recipe, Role, Technique, Trial, find
from trainsmith.errors import InvalidInput, unknown_name
from trainsmith.initialization import Draw, joined_layers, outputs_of, weight_layers
from trainsmith.network import unchanged
from trainsmith.network.functional import call_modules
from trainsmith.network.host import seed_torch
from trainsmith.network.reading import techniques_in
from trainsmith.network.surgery import NOT_NUMBERS, Surgery, apply, in_front
from trainsmith.network.undone import undone_by_errors
from trainsmith.normalization.parametrization import Parametrization
from trainsmith.regularization import GaussianDropConnect
from trainsmith.rows import fit

INSIDE: tuple[Role, ...] = (
    "weights", "network", "input", "layer", "parametrization", "activation", "pooling", "branch", "pair", "tying",
    "perturbation", "nothing",
)  # fmt: skip
"""Roles of techniques that are parts of a network or of its start."""

AT_ACTIVATIONS: tuple[Role, ...] = ("activation", "layer", "parametrization", "pair")
"""Roles of techniques whose places are at a network's activation functions."""

MAKERS = (Parametrization, GaussianDropConnect)
"""Modules that hold a layer and make its weight, or what it gives, in their own way."""


class Perturbed(nn.Module):
    """A parametrization, in torch's sense, of one weight by what changes lists of weights, such as DropConnect."""

    def __init__(self, perturb: nn.Module) -> None:
        super().__init__()
        self.perturb = perturb

    def forward(self, weight: Tensor) -> Tensor:
        """The weight as it is used, anew at each use in training."""
        changed: Tensor = self.perturb([weight])[0]
        return changed

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What to keep for a weight that is set."""
        return weight


def change(
    network: nn.Module,
    *names: str | Technique,
    x: Tensor,
    y: Tensor | None = None,
    seed: int = 0,
    numbers: Mapping[str, float] | None = None,
) -> Surgery:
    """Put techniques into a network by their names, in place; what none of them is about stays as it is.

    An activation function takes the place of those that the network has, modules and calls such as functional.relu(x)
    in a forward. A normalization takes the network's own out: one of layers takes their places, or goes between weight
    layers and activations where there are none; one of weights goes around weight layers; "normalization/none" leaves
    nothing. One of inputs goes in front of everything, and leaves the others. Dropout and its kin go behind
    activations; DropConnect and weight noise on every layer's weight, as a parametrization of torch's; stochastic
    pooling, DropConnect with Gaussian inference, stochastic depth and tied weights where they belong. An initialization
    draws the weights anew; without one they stay, but for those of layers whose width an activation function such as
    GLU changes, and of weight normalization, which starts from data as its paper has it.

    x (n, *features): inputs, as the network is trained on; a pass of them shows what feeds what, and initializations
    and layers that start from data see them. y (n, ...): their targets, for `class-prior`. seed: of what is drawn.
    numbers: hyper-parameters by their full names, such as {"dropout.rate": 0.2}; the others have their defaults.

    Returns the module (another than `network` if something was put in front of one that is no nn.Sequential), why
    techniques could not be put in, by name (`skipped`), and what else was left as it was (`unchanged`).

    Raises InvalidInput for what is no part of a network, such as an optimizer, for two techniques of which a network
    has one, for a number that no named technique has, and for a network on another device than the CPU. Whatever error
    ends it, the network is as it was then.

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.network import change
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> done = change(network, "elu", "layer", "dropout", x=torch.rand(16, 4), numbers={"dropout.rate": 0.2})
    >>> [type(m).__name__ for m in done.module], done.skipped
    (['Linear', 'LayerNorm', 'ELU', 'Dropout', 'Linear'], {})
    >>> done = change(network, "stochastic-pooling", x=torch.rand(16, 4))
    >>> done.skipped["stochastic-pooling"]
    'it needs activations that are not negative, as of relu or sigmoid or hard-sigmoid or softplus, not elu'
    """
    chosen = [name if isinstance(name, Technique) else find(name) for name in names]
    _check(network, chosen, numbers or {})
    if any(is_lazy(p) for p in network.parameters()):  # it has no weights yet that could be kept
        with _as_the_network(network, seed):
            outputs_of(network, x[:2])
    with undone_by_errors(network), _as_the_network(network, seed), _what_it_looks_into():
        return _changed(network, chosen, x, y, seed, numbers or {})


def _changed(
    network: nn.Module, chosen: list[Technique], x: Tensor, y: Tensor | None, seed: int, numbers: Mapping[str, float]
) -> Surgery:
    """What `change` does, of what it has checked."""
    inside = [t for t in chosen if t.role != "input"]
    left = call_modules(network, x) if any(t.role in AT_ACTIVATIONS for t in inside) else ()
    before = dict(network.named_modules())
    drawn = [*weight_layers(network), *joined_layers(network)]
    weights = {layer: copy.deepcopy(layer.state_dict()) for layer in drawn}
    trial = Trial(_recipe(inside, techniques_in(network)), _of(inside, numbers))
    kept: dict[str, str] = {family: "" for family in FAMILIES if family not in {t.family for t in inside}}
    whole: nn.Module = network
    of_inputs = [t for t in chosen if t.role == "input"]
    refused = dict.fromkeys([t.name for t in of_inputs if not x.is_floating_point()], NOT_NUMBERS)
    for t in of_inputs:
        if t.name not in refused:
            behind = whole if type(whole) is nn.Sequential else nn.Sequential(whole)
            made_for = fit(t.make(**_short(t, _of([t], numbers))), x)
            whole = in_front(made_for.train(network.training), behind)
    done = apply(whole, trial, x, _draw(seed), y, kept)
    whole = done.module
    made = [m for p in whole.modules() if isinstance(p, MAKERS) for m in p.modules()]
    layers = [layer for layer in weight_layers(whole) if layer not in made]
    for t in inside:
        if t.role == "perturbation":
            left += tuple(unchanged.unperturbed(network, [*layers, *made], t.name))
            for layer in layers:
                parametrize.register_parametrization(layer, "weight", Perturbed(t.make(**_short(t, trial.values))))
                layer.parametrizations.train(layer.training)  # type: ignore[union-attr]
            left += (f"the weights that another technique makes, without {t.name}",) if made else ()
    outputs_of(whole, x[:2])
    if trial.recipe.initialization in done.skipped:  # what it drew is of no use without the rest of it
        _put_back(weights)
    for module in {*whole.modules()}.difference(network.modules()):
        module.training = network.training
    left += (*done.unchanged, *unchanged.unhooked(before, whole))
    alone = type(network) is not nn.Sequential and len(list(whole.children())) == 1
    return Surgery(next(whole.children()) if alone else whole, {**refused, **done.skipped}, tuple(dict.fromkeys(left)))


def _check(network: nn.Module, chosen: list[Technique], numbers: Mapping[str, float]) -> None:
    if not chosen:
        raise InvalidInput('name at least one technique to put into the network, such as "elu" or "dropout".')
    for t in chosen:
        if t.role not in INSIDE:
            raise InvalidInput(
                f"{t.name} ({t.role}) is no part of a network: use trainsmith.{t.family} in the training itself."
            )
        if hasattr(t.make, "around"):
            raise InvalidInput(
                f"{t.name} needs a class around the whole network: put its layers in yourself, and "
                f"trainsmith.regularization.{t.make.around} around it."
            )
        others = [o.name for o in chosen if o is not t and _kind(o) == _kind(t) != "regularization"]
        if others:
            raise InvalidInput(f"{t.name} and {others[0]}: a network has one {_kind(t)}; name one of them.")
    known = {f"{t.name}.{h.name}" for t in chosen for h in t.hyperparameters}
    for name in numbers:
        if name not in known:
            raise unknown_name(f"hyper-parameter of {', '.join(t.name for t in chosen)}", name, known or {"none"})
    if isinstance(network, torch.jit.ScriptModule):
        raise InvalidInput("a scripted network is compiled and cannot be changed: change it before torch.jit.script.")
    if any(p.device.type != "cpu" for p in network.parameters()):
        raise InvalidInput("the network is changed on the CPU: call network.cpu() before, and move it back afterwards.")


def _kind(technique: Technique) -> str:
    """Of what a network has one; what normalizes its inputs is beside what normalizes inside."""
    return "normalization of inputs" if technique.role == "input" else technique.family


def _of(chosen: list[Technique], numbers: Mapping[str, float]) -> dict[str, float]:
    """The numbers of these techniques."""
    names = [f"{t.name}.{h.name}" for t in chosen for h in t.hyperparameters]
    return {name: numbers[name] for name in names if name in numbers}


def _short(technique: Technique, numbers: Mapping[str, float]) -> dict[str, float]:
    """Of these the technique's own, by their own names."""
    start = f"{technique.name}."
    return {name.removeprefix(start): v for name, v in numbers.items() if name.startswith(start)}


def _put_back(weights: Mapping[nn.Module, Mapping[str, Tensor]]) -> None:
    """Give layers the weights that they had, where these still fit."""
    for layer, state in weights.items():
        own = dict(layer.named_parameters())
        with torch.no_grad():
            for name, t in state.items():
                if name in own and own[name].shape == t.shape:
                    own[name].copy_(t)


def _recipe(chosen: list[Technique], found: Mapping[str, str]) -> Recipe:
    """The recipe of the named techniques, with the activation function that the network has, where it stays."""
    named: dict[str, Any] = {t.family: t.name for t in chosen if t.family != "regularization"}
    regularizers = tuple(t.name for t in chosen if t.family == "regularization")
    return Recipe(**{"activation": found.get("activation", "identity"), **named}, regularization=regularizers)


def _draw(seed: int) -> Draw:
    """Each weight layer's own generator: 64 bits that belong to the seed and the place alone, in every Python."""

    def draw(place: int) -> torch.Generator:
        bits = hashlib.blake2b(f"{seed}/{place}".encode(), digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(bits, "little"))

    return draw


@contextlib.contextmanager
def _what_it_looks_into() -> Iterator[None]:
    """Says so where the network's forward looks for something in a layer around which a technique has been put."""
    try:
        yield
    except AttributeError as missing:
        raise InvalidInput(
            f"the network's forward looks into a layer that a technique was put around ({missing}): put that technique "
            "in yourself. The network is as it was."
        ) from missing


@contextlib.contextmanager
def _as_the_network(network: nn.Module, seed: int) -> Iterator[None]:
    """New modules are made in the network's precision, and what they draw is the seed's."""
    kinds = [p.dtype for p in network.parameters() if p.is_floating_point()]
    before = torch.get_default_dtype()
    torch.set_default_dtype(kinds[0] if kinds else before)
    try:
        with torch.random.fork_rng(devices=[]):
            seed_torch(seed)
            yield
    finally:
        torch.set_default_dtype(before)
