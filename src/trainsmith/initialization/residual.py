"""Residual blocks, found by running the network, and initializations that make them the identity at first."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainsmith.catalogue import technique
from trainsmith.errors import InvalidInput
from trainsmith.initialization.layers import WEIGHT_LAYERS, NetworkInitialization, outputs_of, replace, weight_layers
from trainsmith.initialization.plain import Scale, Shift


@dataclass(frozen=True)
class Branch:
    """The branch of a residual block beside its shortcut.

    layers: its weight layers in the order of their calls. end: the normalization that follows the last of them at
    once, or that layer itself: scaling its outputs scales the branch. activations: the modules without weights
    called between them.
    """

    layers: Sequence[nn.Module]
    end: nn.Module
    activations: Sequence[nn.Module]


def residual_branches(network: nn.Module, x: Tensor) -> list[Branch]:
    """The branches of the network's innermost residual blocks, in the network's order.

    A module is a residual block if, with one of its weight layers at 0, its output still tells examples apart, and
    either is its input (or the positive part of it), or leaves other layers of the block without a gradient: those
    are the branch. Modules that are called with anything but one tensor are passed over.

    x: a few inputs (n, *features).
    """
    entered: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, args: tuple[Tensor, ...], named: dict[str, object]) -> None:
        if len(args) == 1 and not named:
            entered.setdefault(module, args[0])

    blocks = [m for m in network.modules() if not isinstance(m, WEIGHT_LAYERS) and weight_layers(m)]
    hooks = [m.register_forward_pre_hook(note, with_kwargs=True) for m in blocks]
    try:
        outputs_of(network, x)
    finally:
        for hook in hooks:
            hook.remove()
    found: list[Branch] = []
    taken: set[nn.Module] = set()
    for block in reversed(blocks):  # children come after their parents
        if block in entered and not taken.intersection(block.modules()):
            branch = _branch(block, entered[block])
            if branch is not None:
                found.append(branch)
                taken.add(block)
    return found[::-1]


def _branch(block: nn.Module, x: Tensor) -> Branch | None:
    calls: list[tuple[nn.Module, tuple[object, ...], object]] = []
    leaves = [m for m in block.modules() if not any(True for _ in m.children())]
    hooks = [m.register_forward_hook(lambda m, args, out: calls.append((m, args[:1], out))) for m in leaves]
    try:
        outputs_of(block, x)
    finally:
        for hook in hooks:
            hook.remove()
    called = list(dict.fromkeys(m for m, _, _ in calls))
    layers = [m for m in called if isinstance(m, WEIGHT_LAYERS)]
    for last in reversed(layers):
        silent = _silenced(block, x, last, layers)
        if silent is None:
            continue
        branch = [m for m in layers[: layers.index(last)] if m in silent] + [last]
        ends = [out for m, _, out in calls if m is last]
        behind = [m for m, into, _ in calls if any(v is out for v in into for out in ends)]
        learns = [m for m in behind if isinstance(getattr(m, "weight", None), nn.Parameter) and m not in layers]
        norms = [m for m in learns if not isinstance(m, nn.PReLU)]
        inside = called[called.index(branch[0]) : called.index(last)]
        activations = [m for m in inside if not any(True for _ in m.parameters()) and not isinstance(m, nn.Identity)]
        return Branch(branch, norms[0] if norms else last, activations)
    return None


def _silenced(block: nn.Module, x: Tensor, last: nn.Module, layers: Sequence[nn.Module]) -> set[nn.Module] | None:
    """The block's layers without a gradient while `last` is 0; None if `last` does not end a residual branch."""
    memo: dict[int, nn.Module] = {}
    trial = copy.deepcopy(block, memo).eval()
    _zero(memo[id(last)])
    x = x.detach().clone()
    with torch.enable_grad():
        output = trial(x)
        if not isinstance(output, Tensor) or len(x) < 2 or bool((output == output[:1]).all()):
            return None
        weighing = torch.linspace(1, 2, output.numel(), dtype=output.dtype).view(output.shape)
        others = [m for m in layers if m is not last]
        weights: list[Tensor] = [memo[id(m)].weight for m in others]  # type: ignore[misc]
        gradients = torch.autograd.grad((output * weighing).sum(), weights, allow_unused=True) if weights else ()
    silent = {m for m, g in zip(others, gradients, strict=True) if g is None or not g.any()}
    before = silent.intersection(layers[: layers.index(last)])
    same = output.shape == x.shape and any(torch.allclose(output, v, atol=1e-6) for v in (x, x.relu()))
    return silent if before or same else None


@torch.no_grad()
def _zero(layer: nn.Module) -> None:
    for p in layer.parameters(recurse=False):
        p.zero_()


def _found(network: nn.Module, x: Tensor, name: str) -> list[Branch]:
    branches = residual_branches(network, x[:4])
    if not branches:
        raise InvalidInput(f"{name} is for residual blocks, modules that add a branch to their input; none was found")
    return branches


@technique("initialization", "network", name="zero-residual", aliases=("zero-init-residual", "zero-gamma"))
class ZeroResidual(NetworkInitialization):
    """Zero residual: the last layer of every residual branch starts at 0, so that each block is its shortcut.

        y = x + F(x),   F's last gain (of its normalization, or else its last weight) = 0;   the other weights as he

    Paper: Goyal et al. 2017, Accurate, large minibatch SGD, section 5.1, unnumbered (gain 0 in the last
    normalization).

    Differs: 1. Without a normalization at the end of the branch its last weight layer is 0. 2. Blocks are found by
    running the network: see residual_branches.

    Pitfall: at the first step only the ends of branches have a gradient; a weight decay on gains keeps them there.

    Helps: deep residual networks, which start as shallow ones. Not in networks without residual branches, where there
    is nothing for it to do.

    >>> import torch
    >>> from trainsmith.initialization import ZeroResidual
    >>> block = torch.nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, batch_first=True)
    >>> ZeroResidual()(block, torch.randn(4, 3, 8)).linear2.weight.any().item()
    False
    """

    def finish(self, network: nn.Module, x: Tensor, targets: Tensor | None = None) -> None:
        """Set the ends of the branches to 0."""
        for branch in _found(network, x, "zero-residual"):
            _zero(branch.end)


@technique("initialization", "network", name="rezero")
class ReZero(NetworkInitialization):
    """ReZero: every residual branch is multiplied by a learned number that starts at 0.

        y = x + alpha F(x),   alpha = 0 at first;   the weights as he

    Paper: Bachlechner, Majumder, Mao, Cottrell & McAuley 2020, ReZero is all you need, equation 1.

    Differs: 1. The paper takes the normalizations out; here that is the recipe's choice.

    Pitfall: it adds a module behind each branch's last layer. At the first step the branches' weights have no gradient:
    alpha has to move first, and a high learning rate moves it far.

    Helps: very deep residual networks and transformers without normalization and warm-up. Not in networks without
    residual branches, where there is nothing for it to do.

    >>> import torch
    >>> from trainsmith.initialization import ReZero
    >>> block = torch.nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, batch_first=True)
    >>> ReZero()(block, torch.randn(4, 3, 8)).linear2[1].factor.item()
    0.0
    """

    def finish(self, network: nn.Module, x: Tensor, targets: Tensor | None = None) -> None:
        """Put the factors behind the ends of the branches."""
        for branch in _found(network, x, "rezero"):
            replace(network, branch.end, nn.Sequential(branch.end, Scale(0.0)))


@technique("initialization", "network", name="fixup")
class Fixup(NetworkInitialization):
    """Fixup: residual branches scaled down by their number, so that deep networks train without normalization.

        L branches of m layers:   w = he * L^(-1 / (2 m - 2)),   each branch's last layer and the network's last layer 0
        a learned shift (0) before every layer and activation of a branch, a learned factor (1) behind its last layer

    Paper: Zhang, Dauphin & Ma 2019, Fixup initialization, section 3 (rules 1 to 3).

    Differs: 1. Shortcuts have no shift. 2. An activation module that a block calls twice has one shift for both calls;
    functions, which are no modules, have none.

    Pitfall: it replaces normalization, and its authors add strong regularization (mixup) to make up for what
    normalization did there.

    Helps: deep residual networks where batches are too small for batch normalization. Not beside a normalization, which
    it replaces.

    >>> import torch
    >>> from trainsmith.initialization import Fixup
    >>> block = torch.nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, batch_first=True)
    >>> [p.item() for n, p in Fixup()(block, torch.randn(4, 3, 8)).named_parameters() if "factor" in n]
    [1.0]
    """

    def finish(self, network: nn.Module, x: Tensor, targets: Tensor | None = None) -> None:
        """Scale the weights of the branches and put shifts and factors into them."""
        branches = _found(network, x, "fixup")
        inside = {layer for branch in branches for layer in branch.layers}
        if (head := weight_layers(network)[-1]) not in inside:
            _zero(head)
        shifted: set[nn.Module] = set()
        for branch in branches:
            with torch.no_grad():
                for layer in branch.layers[:-1]:
                    layer.weight.mul_(len(branches) ** (-1 / (2 * len(branch.layers) - 2)))  # type: ignore[operator]
            _zero(branch.layers[-1])
            for module in (*branch.layers, *branch.activations):
                behind = (Scale(1.0),) if module is branch.layers[-1] else ()
                if module not in shifted:
                    replace(network, module, nn.Sequential(Shift(), module, *behind))
                    shifted.add(module)
