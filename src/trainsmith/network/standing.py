"""Normalization layers that a network brings along: a technique takes their places."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from trainsmith.catalogue import techniques
from trainsmith.initialization import WEIGHT_LAYERS, outputs_of
from trainsmith.network.plain import AtEachPosition
from trainsmith.normalization.parametrization import Parametrization

TORCHS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class Place:
    """Where a normalization layer fits in: axes of its inputs; positions: whether each has several, features last."""

    axes: int
    positions: bool

    def holds(self, layer: nn.Module) -> nn.Module:
        return AtEachPosition(layer) if self.positions else layer


class Standing(nn.Identity):
    """Keeps a normalization layer's place while the network around it changes.

    last: its features are the last axis; None: those of a class with a forward of its own, which has to be tried.
    """

    def __init__(self, module: nn.Module, last: bool | None) -> None:
        super().__init__()
        self.last = last
        self._kept = (module,)  # no part of the network meanwhile

    def own(self) -> nn.Module:
        """The layer whose place it keeps."""
        return self._kept[0]

    def place(self, x: Tensor) -> Place:
        """What stands here for inputs like x."""
        return Place(2, x.ndim > 2) if self._last(x) else Place(x.ndim, False)

    def features(self, x: Tensor) -> int:
        """How many features inputs like x have."""
        return x.shape[-1] if self._last(x) else x.shape[1]

    def _last(self, x: Tensor) -> bool:
        """Whether the layer takes inputs like x over their last axis, so that factors on rows make no difference."""
        if self.last is not None:
            return self.last
        rows = torch.arange(x.numel(), dtype=x.dtype, device=x.device).sin().view(x.shape)
        factors = 2 + torch.arange(x[..., :1].numel(), dtype=x.dtype, device=x.device).cos().view(x[..., :1].shape)
        try:
            given, scaled = self.own()(rows), self.own()(factors * rows)
        except (RuntimeError, ValueError):  # it takes no such inputs any more
            return False
        return torch.allclose(given, scaled, rtol=1e-2, atol=1e-2)


def is_normalization(module: nn.Module) -> bool:
    """Whether `module` is a normalization layer, torch's or ours."""
    ours = {t.make for t in techniques("normalization") if t.role == "layer"}
    return isinstance(module, TORCHS) or type(module) in ours


def stand_in(module: nn.Module) -> Standing:
    """What keeps the place of a normalization layer."""
    last: bool | None = isinstance(module, (nn.LayerNorm, nn.RMSNorm)) and len(module.normalized_shape) == 1
    if last and type(module).forward not in (nn.LayerNorm.forward, nn.RMSNorm.forward):
        last = None  # some have channels before positions
    return Standing(module, last)


@torch.no_grad()
def taken_off(made: Parametrization) -> nn.Module:
    """A layer with the weight that its parametrization makes, and without that."""
    layer, made.training = made.layer, False
    layer.weight.copy_(made.effective())  # type: ignore[operator]
    return layer


@dataclass(frozen=True)
class Stand:
    """A place that is kept: how a layer fits into it, for how many features, behind which weight layer if one."""

    place: Place
    features: int
    behind: nn.Module | None


def stands(root: nn.Module, example: Tensor) -> dict[nn.Module, Stand]:
    """Every place kept in `root` that a forward pass reaches."""
    found: dict[nn.Module, Stand] = {}
    left: list[tuple[nn.Module, Tensor]] = []

    def weight(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        left.append((module, output))

    def standing(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, Standing)
        behind = next((m for m, out in left if out is args[0]), None)
        found[module] = Stand(module.place(args[0]), module.features(args[0]), behind)

    hooks = [m.register_forward_hook(weight) for m in root.modules() if isinstance(m, WEIGHT_LAYERS)]
    hooks += [m.register_forward_hook(standing) for m in root.modules() if isinstance(m, Standing)]
    try:
        outputs_of(root, example[:2])
    finally:
        for hook in hooks:
            hook.remove()
    return found
