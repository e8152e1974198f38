"""The layers that have weights to initialize, and what initializations of a whole network have in common."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainsmith.initialization.encoder import call_parts
from trainsmith.initialization.gaussian import he
from trainsmith.initialization.joined import JOINED, joined_layers, joined_weights

WEIGHT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
Draw = Callable[[int], torch.Generator]
"""The generator for the initial weights of the n-th weight layer, and from FIRST_JOINED on of the n-th joined layer."""
FIRST_JOINED = 2**16


def weight_layers(module: nn.Module) -> list[nn.Module]:
    """Every linear and convolution layer, in the module's own order, but those whose weight its owner froze."""
    return [m for m in module.modules() if isinstance(m, WEIGHT_LAYERS) and not is_frozen(m)]


def is_frozen(layer: nn.Module) -> bool:
    """Whether its owner froze its weight, by requires_grad=False: it is not to be drawn anew."""
    weight = layer._parameters.get("weight")
    if weight is None and parametrize.is_parametrized(layer, "weight"):
        return not any(p.requires_grad for p in layer.parametrizations.weight.parameters(recurse=False))  # type: ignore[union-attr]
    return weight is not None and not weight.requires_grad


def has_own_weight(layer: nn.Module) -> bool:
    """Whether its weight is a parameter of its own, and not made of others at each call."""
    return layer._parameters.get("weight") is not None


def is_drawn(layer: nn.Module) -> bool:
    """Whether its weight can be drawn: its own, or one that torch's parametrizations can be set to."""
    if has_own_weight(layer) or not parametrize.is_parametrized(layer, "weight"):
        return has_own_weight(layer)
    return all(hasattr(p, "right_inverse") for p in layer.parametrizations.weight)  # type: ignore[union-attr]


def draw_layer(layer: nn.Module, fill: Callable[..., Tensor], generator: torch.Generator | None) -> None:
    """Draw a layer's weight by fill(weight, generator=...), biases 0; one whose weight cannot be stays as it is.

    A grouped convolution is several side by side: each group's part is a weight of its own, with its own fans. So are
    the gates of a recurrent layer, and queries, keys and values of attention. A transposed convolution's weight is
    drawn as (out, in, *kernel), whose fan_in counts the kernel, not the stride: see joined_weights. No other layer is
    drawn: an embedding is a table, from which a row is taken and nothing summed, so that it has no fans.
    """
    if isinstance(layer, JOINED):
        _draw_joined(layer, fill, generator)
        return
    if not is_drawn(layer):
        return
    drawn: Tensor = layer.weight.detach()  # type: ignore[operator]
    drawn = drawn if has_own_weight(layer) else drawn.clone()
    for part in drawn.chunk(getattr(layer, "groups", 1)):
        fill(part, generator=generator)
    if not has_own_weight(layer):
        with torch.no_grad():
            layer.weight = drawn
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def _draw_joined(layer: nn.Module, fill: Callable[..., Tensor], generator: torch.Generator | None) -> None:
    for parts in joined_weights(layer).values():
        for part in parts:
            fill(part, generator=generator)
    for p in layer.parameters(recurse=False):
        if p.ndim == 1 and p.requires_grad:
            nn.init.zeros_(p)


def draw_layers(network: nn.Module, fill: Callable[..., Tensor], draw: Draw | None = None) -> nn.Module:
    """Draw each layer of `network` by draw_layer, in place, and give it back. draw: by default torch's own generator.

    What an owner froze, by requires_grad=False, stays; so do embeddings, and parameters that belong to no layer.

    >>> import torch
    >>> from trainsmith.initialization import draw_layers, orthogonal
    >>> gates = draw_layers(torch.nn.LSTM(3, 5), orthogonal).weight_hh_l0.chunk(4)
    >>> [torch.allclose(w @ w.T, 2 * torch.eye(5), atol=1e-5) for w in gates]
    [True, True, True, True]
    """
    places = (*enumerate(weight_layers(network)), *enumerate(joined_layers(network), FIRST_JOINED))
    for place, layer in places:
        draw_layer(layer, fill, draw(place) if draw else None)
    return network


class NetworkInitialization:
    """An initialization that looks at the whole network, or at training data: first fill, then finish.

    Called as initialization(network, x, targets) it does both, in place.
    """

    def fill(self, weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw one layer's weight, as He initialization does unless a subclass says otherwise."""
        return he(weight, generator=generator)

    def finish(self, network: nn.Module, x: Tensor, targets: Tensor | None = None) -> None:
        """Change the drawn weights in view of the network and of inputs x (n, *features) with their targets (n,).

        Raises InvalidInput where the network or the targets are not of the kind it is for.
        """
        raise NotImplementedError

    def __call__(
        self, network: nn.Module, x: Tensor, targets: Tensor | None = None, *, draw: Draw | None = None
    ) -> nn.Module:
        """Initialize `network` in place and give it back; biases become 0. draw: by default torch's own generator."""
        draw_layers(network, self.fill, draw)
        self.finish(network, x, targets)
        return network


def calls_in_turn(network: nn.Module, layers: Iterable[nn.Module], x: Tensor) -> tuple[list[nn.Module], Any]:
    """Which of these layers a pass of x calls, in the order in which their calls end, and its `outputs_of`."""
    calls: list[nn.Module] = []
    hooks = [layer.register_forward_hook(lambda layer, *_: calls.append(layer)) for layer in layers]
    try:
        outputs = outputs_of(network, x)
    finally:
        for hook in hooks:
            hook.remove()
    return calls, outputs


def outputs_of(network: nn.Module, x: Tensor) -> Any:
    """What the network gives in evaluation mode and without gradients; the mode of each module stays what it was.

    Of an object with `logits` these, of a tuple or a mapping the first.
    """
    modes = [(module, module.training) for module in network.modules()]
    try:
        with torch.no_grad():
            output = network.eval()(x)
    finally:
        for module, mode in modes:  # not network.train(): what its owner froze stays frozen
            module.training = mode
    output = getattr(output, "logits", output)
    output = [*output.values()] if isinstance(output, Mapping) else output
    return output[0] if isinstance(output, (tuple, list)) else output


def replace(network: nn.Module, module: nn.Module, new: nn.Module) -> None:
    """Put `new` in the place of `module`, wherever the network holds it; what is new has its mode."""
    take_mode(module, new)
    for name in [n for n, m in network.named_modules(remove_duplicate=False) if m is module]:
        network.set_submodule(name, new)
    call_parts(network)


def take_mode(module: nn.Module, *new: nn.Module) -> None:
    """Put what is new in `new`, beside the modules of `module`, into its mode, training or evaluation."""
    for m in {m for made in new for m in made.modules()}.difference(module.modules()):
        m.training = module.training


def sharing_weights(network: nn.Module) -> set[nn.Module]:
    """The modules whose weight is that of another one too, as of an embedding and the layer that gives its scores."""
    owners: dict[int, list[nn.Module]] = {}
    for m in network.modules():
        if (weight := m._parameters.get("weight")) is not None:
            owners.setdefault(id(weight), []).append(m)
    return {m for several in owners.values() if len(several) > 1 for m in several}
