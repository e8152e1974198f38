"""What is no activation function of hidden units to be replaced: sigmoids that gate, or that give the outputs."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainsmith.catalogue import find
from trainsmith.initialization import outputs_of
from trainsmith.network.rewriting import rewrite

TIMES = (torch.mul, Tensor.mul, Tensor.mul_, Tensor.__mul__, Tensor.__rmul__, Tensor.__imul__)
"""Ways to multiply tensors."""


class Aside(nn.Module):
    """Keeps a module out of what is done to the activation functions around it, and calls it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._kept = (module,)  # no part of the network meanwhile

    def own(self) -> nn.Module:
        """The module in whose place it stands."""
        return self._kept[0]

    def forward(self, x: Tensor) -> Tensor:
        """What that gives."""
        return self._kept[0](x)


def set_aside(root: nn.Module, example: Tensor, apart: Collection[nn.Module]) -> list[str]:
    """Set the sigmoids aside that `gates` finds, and what a copy would lose; a line on each. apart: as of `rewrite`.

    nn.TransformerDecoderLayer puts relu in the place of a module that is its activation function when it is copied.
    """
    decoders = [m.activation for m in root.modules() if isinstance(m, nn.TransformerDecoderLayer)]
    lost = dict.fromkeys(
        [f for f in decoders if isinstance(f, nn.Module)], "the activation function of a decoder layer"
    )
    found = {**gates(root, example), **lost}
    rewrite(root, lambda m: [Aside(m)] if m in found else None, apart)
    return [f"{what}, left as it is" for what in found.values()]


def bring_back(root: nn.Module, apart: Collection[nn.Module]) -> None:
    """Put what was set aside back into its place."""
    rewrite(root, lambda m: [m.own()] if isinstance(m, Aside) else None, apart)


def gates(root: nn.Module, example: Tensor) -> dict[nn.Module, str]:
    """The sigmoids of `root` that a pass shows to be no hidden units, with what each does instead.

    A gate's outputs multiply other numbers, as many as there are gates at least; the last sigmoid's outputs are those
    of the network, and mean probabilities.
    """
    kinds = (
        nn.Sigmoid,
        nn.Hardsigmoid,
        nn.LogSigmoid,
        *(find(n, "activation").make for n in ("sigmoid", "hard-sigmoid")),
    )
    sigmoids = [m for m in root.modules() if type(m) in kinds]
    if not sigmoids:
        return {}
    log = _Products()
    hooks = [m.register_forward_hook(log.note) for m in sigmoids]
    try:
        with log:
            outputs = outputs_of(root, example[:2])
    finally:
        for hook in hooks:
            hook.remove()
    last = _memory(outputs) if isinstance(outputs, Tensor) else None
    found = {m: "a sigmoid that gives the network's outputs" for m, out in log.given if _memory(out) == last}
    return {**found, **dict.fromkeys(log.gates, "a sigmoid that gates other values")}


class _Products(TorchFunctionMode):
    """Notes which modules' outputs multiply other numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[nn.Module, Tensor]] = []
        self.gates: list[nn.Module] = []

    def note(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self.given.append((module, output))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        pair = [a for a in args[:2] if isinstance(a, Tensor) and not isinstance(a, nn.Parameter)]
        if func in TIMES and len(pair) == 2:
            for one, other in (pair, pair[::-1]):
                if _memory(one) != _memory(other) and other.numel() >= one.numel():
                    self.gates += [m for m, out in self.given if _memory(out) == _memory(one)]
        return func(*args, **(kwargs or {}))


def _memory(t: Tensor) -> int:
    """Where its numbers lie: the same for what only looks at another tensor's in another shape."""
    return t.untyped_storage().data_ptr()
