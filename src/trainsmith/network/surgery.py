"""Model surgery: put the techniques of a trial into an nn.Module that knows nothing of them."""

import functools
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainsmith.catalogue import Technique, Trial
from trainsmith.errors import InvalidInput
from trainsmith.initialization import (
    WEIGHT_LAYERS,
    Draw,
    draw_layer,
    draw_layers,
    has_own_weight,
    is_frozen,
    joined_layers,
    outputs_of,
    sharing_weights,
    weight_layers,
)
from trainsmith.network import unchanged
from trainsmith.network.functional import call_modules
from trainsmith.network.gates import bring_back, set_aside
from trainsmith.network.places import put_in_their_places
from trainsmith.network.rewriting import Edit, called_in_parts, is_activation, rewrite
from trainsmith.network.standing import Place, Standing, is_normalization, stand_in, stands, taken_off
from trainsmith.network.starting import count_calls, initialize_from_data
from trainsmith.network.widths import Call, calls_of, widen
from trainsmith.normalization.parametrization import Parametrization
from trainsmith.rows import Examples, fit

EXAMPLES_TO_START_FROM = 512
"""Initializations and layers that start from data see so many examples, a batch."""

NOT_NUMBERS = "it is for inputs that are numbers, and these are characters"

Replacement = Callable[[], nn.Module]


@dataclass(frozen=True)
class Surgery:
    """A changed network, why techniques could not be put in, by their names, and what else was left as it was."""

    module: nn.Module
    skipped: Mapping[str, str]
    unchanged: tuple[str, ...] = ()


def apply(
    module: nn.Module,
    trial: Trial,
    examples: Examples,
    draw: Draw,
    targets: Tensor | None = None,
    given: Mapping[str, str] | None = None,
) -> Surgery:
    """Put the trial's initialization, normalization, activation and layer regularizers into `module`, in place.

    examples: training inputs (n, *features); input normalization is fitted on them, and one forward pass of a few shows
    which weight layer feeds which activation. draw: see Draw; the order of the weight layers, not their names, is the
    place of the luck, so that inserted layers do not shift it. targets: those of the examples (n,), for initializations
    that look at them. given: the families whose layers the network was made with and which are left as they are, each
    with "" or why it could not be made with the trial's technique; as "initialization" the weights that it has stay,
    but for those of layers that are made wider or narrower.

    Activation functions are replaced where they are modules, or called in the forward of one (see functional.py). A
    normalization layer takes the places of those that the network has; in one that has none it goes between a weight
    layer and the activation that follows it at once. A normalization of weights goes around that weight layer, dropout
    behind the activation. Linear layers at several positions, as in a transformer, have each position normalized as if
    it were an example. A bias that the normalization behind it would subtract again is left out: it has no gradient but
    rounding errors, of which Adam would make full steps. For an activation function with more or fewer inputs than
    outputs, such as GLU, the weight layers before it are made wider or narrower, so that the rest of the network keeps
    its widths. Sigmoids that gate, or that give the network's outputs, are no activation functions of hidden units and
    stay. A parametrization of ours is taken off a layer, which keeps the weight that it made.
    """
    root = nn.Sequential(module) if type(module) is not nn.Sequential else module
    example = examples[:EXAMPLES_TO_START_FROM]
    recipe, given = trial.recipe, given or {}
    skipped = {getattr(recipe, family): why for family, why in given.items() if why and family != "regularization"}
    left = [*unchanged.frozen(root), *(() if "activation" in given else call_modules(root, example))]
    if "initialization" not in given:
        left += unchanged.undrawn(module)
        if not weight_layers(root) and not joined_layers(root):
            skipped[recipe.initialization] = (
                "the network has no linear, convolution, recurrent or attention layer to train"
            )
    norm = recipe.one("normalization")
    apart = called_in_parts(root, example)
    left += set_aside(root, example, apart)
    layered = norm.role == "layer" and "normalization" not in given
    own = layered and any(is_normalization(m) for m in root.modules())
    if "normalization" not in given:
        left += unchanged.unknown(root)
        rewrite(root, lambda m: _without_norm(m, own), apart)
    calls = calls_of(root, example)
    around = layered or norm.role == "parametrization"
    before = feeding_activations(calls) if around and not own else {}
    if norm.role == "parametrization":  # it would train what stands for a weight
        others = sharing_weights(root)
        before = {m: p for m, p in before.items() if has_own_weight(m) and not is_frozen(m) and m not in others}
    layers = [] if "regularization" in given else _layers(trial)
    if given.get("regularization"):
        skipped |= dict.fromkeys([t.name for t in _layers(trial)], given["regularization"])
    replace: dict[nn.Module, Replacement] = {}
    if any(is_activation(m) for m in root.modules()):
        skipped |= {t.name: reason for t in layers if (reason := _unmet(t, trial))}
        replace = _activations(root, trial, calls, example, skipped, keep="activation" in given)
    else:
        missing = [t.name for t in layers] + [recipe.activation] * ("activation" not in given)
        skipped |= dict.fromkeys(missing, "the network has no activation function that can be replaced")
    if around and not before and not own:
        skipped[norm.name] = "no weight layer is followed at once by an activation module"
    least = getattr(norm.make, "least_axes", 0)
    if flat := [m for m, place in before.items() if place.axes < least]:
        skipped[norm.name] = f"it needs positions, and the outputs of {len(flat)} layers have none"
        before = {}
    activations = [c.module for c in calls if is_activation(c.module)]
    if before:
        fed = [second.module for first, second in _feeding(calls) if first.module in before or is_frozen(first.module)]
        left += unchanged.unfed(activations, fed, norm.name)
    finish = _initialize(root, trial, draw, keep="initialization" in given)
    rewrite(root, _edit(trial, before, replace, [t for t in layers if not _unmet(t, trial)]), apart)
    if own:
        skipped |= _fill_places(root, trial, example, left, apart)
    if "regularization" not in given:
        skipped |= put_in_their_places(root, trial, example, left)
    root = _normalizing_inputs(root, trial, examples, skipped) if norm.role == "input" else root
    try:
        finish(root, example, targets)
    except InvalidInput as reason:
        skipped[recipe.initialization] = f"it {str(reason).removeprefix(f'{recipe.initialization} ').rstrip('.')}"
    initialize_from_data(root, example)
    count_calls(root, example)
    bring_back(root, apart)
    return Surgery(root, skipped, tuple(left))


def _without_norm(module: nn.Module, own: bool) -> list[nn.Module] | None:
    """What stays of a normalization: of one of layers nothing, or what keeps its place; of one of weights the layer."""
    if isinstance(module, Parametrization):
        return [taken_off(module)]
    return ([stand_in(module)] if own else []) if is_normalization(module) else None


def _normalizing_inputs(
    root: nn.Sequential, trial: Trial, examples: Examples, skipped: dict[str, str]
) -> nn.Sequential:
    """The network behind the trial's normalization of inputs, or as it is, and why."""
    norm = trial.recipe.one("normalization")
    if not examples[:1].is_floating_point():
        skipped[norm.name] = NOT_NUMBERS
        return root
    return in_front(fit(norm.make(**trial.of(norm)), examples), root)


def in_front(layer: nn.Module, root: nn.Sequential) -> nn.Sequential:
    """The layer and behind it `root`, in place unless its layers have names of their own."""
    if list(root._modules) != [str(i) for i in range(len(root))]:
        return nn.Sequential(layer, root)
    root.insert(0, layer)
    return root


def _initialize(module: nn.Module, trial: Trial, draw: Draw, keep: bool) -> Callable[..., None]:
    """Draw the weights, biases 0; what is left to do once every technique is in its place.

    keep: draw only those that a layer got anew with its width.
    """
    chosen = trial.recipe.one("initialization")
    numbers = trial.of(chosen)
    of_network = chosen.make(**numbers) if chosen.role == "network" else None
    fill = of_network.fill if of_network else functools.partial(chosen.make, **numbers)
    if not keep:
        draw_layers(module, fill, draw)
    for place, layer in enumerate(weight_layers(module) if keep else ()):
        if bool(torch.isnan(layer.weight).any()):  # type: ignore[arg-type]
            draw_layer(layer, fill, draw(place))
    return of_network.finish if of_network and not keep else lambda *_: None


def feeding_activations(calls: Sequence[Call]) -> dict[nn.Module, Place]:
    """The weight layers whose output goes straight into an activation module, and what that output is like."""
    return {first.module: _place(first.module, first.left.ndim) for first, _ in _feeding(calls)}  # type: ignore[attr-defined]


def _feeding(calls: Sequence[Call]) -> list[tuple[Call, Call]]:
    """The calls of a weight layer and of the activation module that its output goes straight into."""
    return [
        (first, second)
        for first, second in itertools.pairwise(calls)
        if isinstance(first.module, WEIGHT_LAYERS) and is_activation(second.module) and first.left is second.entered
    ]


def _fill_places(
    root: nn.Module, trial: Trial, example: Tensor, left: list[str], apart: Collection[nn.Module]
) -> dict[str, str]:
    """Put the trial's normalization into the places that are kept for it; why not, by its name, where it does not fit.

    Then the network's own come back, if they still fit. A bias that the normalization behind it would subtract again is
    taken away.
    """
    norm, found = trial.recipe.one("normalization"), stands(root, example)
    flat = [m for m, stand in found.items() if stand.place.axes < getattr(norm.make, "least_axes", 0)]
    layers: dict[nn.Module, list[nn.Module]] = {}
    for module, stand in ({} if flat else found).items():
        layers[module] = [stand.place.holds(norm.make(stand.features, **trial.of(norm)))]
        if stand.behind is not None and getattr(norm.make, "takes_out_the_mean", False):
            stand.behind.register_parameter("bias", None)
    if flat:
        _put_back(root, example, apart)
        return {norm.name: f"it needs positions, and the inputs of {len(flat)} of its places have none"}
    left += unchanged.unreached([m for m in root.modules() if isinstance(m, Standing) and m not in layers], norm.name)
    rewrite(root, lambda m: layers.get(m, []) if isinstance(m, Standing) else None, apart)
    return {}


def _put_back(root: nn.Module, example: Tensor, apart: Collection[nn.Module]) -> None:
    """Put the network's own normalizations into their places, or take them out where they do not fit any more."""
    own = {m.own() for m in root.modules() if isinstance(m, Standing)}
    rewrite(root, lambda m: [m.own()] if isinstance(m, Standing) else None, apart)
    try:
        outputs_of(root, example[:2])
    except (RuntimeError, ValueError):
        rewrite(root, lambda m: [] if m in own else None, apart)


def _place(layer: nn.Module, axes: int) -> Place:
    """A linear layer's features are last, whatever stands before them; a convolution's stand behind the examples."""
    return Place(2, axes > 2) if isinstance(layer, nn.Linear) else Place(axes, False)


def _activations(
    root: nn.Module, trial: Trial, calls: Sequence[Call], example: Tensor, skipped: dict[str, str], keep: bool
) -> dict[nn.Module, Replacement]:
    """What makes the new activation function for each activation module; its inputs' widths are made to fit.

    keep: leave every one as it is.
    """
    chosen: Technique = trial.recipe.one("activation")
    make = functools.partial(chosen.make, **trial.of(chosen))
    sites = [m for m in root.modules() if is_activation(m)]
    if keep:
        return {site: functools.partial(_itself, site) for site in sites}
    if (factor := getattr(make(), "widening", 1.0)) == 1:
        return dict.fromkeys(sites, make)
    axes = widen(root, factor, sites, calls, lambda site, axis: make(axis=axis), example)
    if isinstance(axes, str):
        skipped[chosen.name] = axes
        return {site: functools.partial(_itself, site) for site in sites}
    return {site: functools.partial(make, axis=axes[site]) for site in sites}


def _itself(module: nn.Module) -> nn.Module:
    return module


def _layers(trial: Trial) -> list[Technique]:
    return [t for t in trial.recipe.techniques() if t.family == "regularization" and t.role == "layer"]


def _unmet(layer: Technique, trial: Trial) -> str:
    """Why this layer means nothing behind the recipe's activation function, or nothing."""
    wanted = getattr(layer.make, "activations", (trial.recipe.activation,))
    if trial.recipe.activation in wanted:
        return ""
    return f"it needs activations between 0 and 1, as {' or '.join(wanted)} gives, not {trial.recipe.activation}"


def _edit(
    trial: Trial,
    before: Mapping[nn.Module, Place],
    replace: Mapping[nn.Module, Replacement],
    layers: Sequence[Technique],
) -> Edit:
    norm = trial.recipe.one("normalization")
    wrapped: dict[nn.Module, nn.Module] = {}

    def edit(module: nn.Module) -> list[nn.Module] | None:
        if module in replace:
            return [replace[module](), *(t.make(**trial.of(t)) for t in layers)]
        if module in before and getattr(norm.make, "takes_out_the_mean", False):
            module.register_parameter("bias", None)
        if module in before and norm.role == "layer":
            layer = norm.make(len(module.weight), **trial.of(norm))  # type: ignore[arg-type]
            return [module, before[module].holds(layer)]
        if module in before and norm.role == "parametrization":
            if module not in wrapped:  # its weight is one, wherever it stands
                wrapped[module] = norm.make(module, **trial.of(norm))
            return [wrapped[module]]
        return None

    return edit
