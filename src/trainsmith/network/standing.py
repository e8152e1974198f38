"""Normalization layers that a network brings along: a technique takes their places."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from trainsmith.catalogue import techniques
from trainsmith.initialization import WEIGHT_LAYERS, outputs_of
from trainsmith.network.plain import AtEachPosition

TORCHS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class Place:
    """Where a normalization layer fits in: axes of its inputs; positions: whether each has several, features last."""

    axes: int
    positions: bool

    def holds(self, layer: nn.Module) -> nn.Module:
        return AtEachPosition(layer) if self.positions else layer


class Standing(nn.Identity):
    """Keeps a normalization layer's place while the network around it changes. last: its features are the last axis."""

    def __init__(self, module: nn.Module, last: bool) -> None:
        super().__init__()
        self.last = last
        self._kept = (module,)  # no part of the network meanwhile

    def own(self) -> nn.Module:
        """The layer whose place it keeps."""
        return self._kept[0]

    def place(self, x: Tensor) -> Place:
        """What stands here for inputs like x."""
        return Place(2, x.ndim > 2) if self.last else Place(x.ndim, False)

    def features(self, x: Tensor) -> int:
        return x.shape[-1] if self.last else x.shape[1]


def is_normalization(module: nn.Module) -> bool:
    """Whether `module` is a normalization layer, torch's or ours."""
    ours = {t.make for t in techniques("normalization") if t.role == "layer"}
    return isinstance(module, TORCHS) or type(module) in ours


def stand_in(module: nn.Module) -> Standing:
    """What keeps the place of a normalization layer."""
    return Standing(module, isinstance(module, (nn.LayerNorm, nn.RMSNorm)) and len(module.normalized_shape) == 1)


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
