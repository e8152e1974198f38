"""Modules of a network replaced by others, and which of them are activation functions."""

from collections.abc import Callable

from torch import nn
from torch.nn.modules import activation as torch_activations

from trainsmith.catalogue import techniques

TORCHS = (torch_activations.__name__, "transformers.activations")
NOT_ELEMENTWISE = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d, nn.MultiheadAttention, nn.GLU)

Edit = Callable[[nn.Module], list[nn.Module] | None]


def is_activation(module: nn.Module) -> bool:
    """Whether `module` is an element-wise activation function, torch's, ours or that of Hugging Face transformers."""
    torchs = type(module).__module__ in TORCHS and not isinstance(module, NOT_ELEMENTWISE)
    return torchs or type(module) in {t.make for t in techniques("activation")}


def children_of(parent: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules in a module, by name; one that stands in several places in each of them, unlike named_children."""
    return [(name, child) for name, child in parent._modules.items() if child is not None]


def rewrite(parent: nn.Module, edit: Edit, seen: set[nn.Module] | None = None) -> None:
    """Replace each descendant m by the modules edit(m) gives in its place; None leaves it and looks inside.

    A module that stands in several places is replaced in each of them, by what edit gives then. seen: those that were
    looked into already, and are not again.
    """
    seen = set() if seen is None else seen
    children: list[tuple[str, list[nn.Module]]] = []
    for name, child in children_of(parent):
        new = edit(child)
        if new is None and child not in seen:
            seen.add(child)
            rewrite(child, edit, seen)
        children.append((name, [child] if new is None else new))
    if type(parent) is nn.Sequential and all(name.isdigit() for name, _ in children):
        parent._modules = {str(i): m for i, m in enumerate(m for _, new in children for m in new)}
        return
    for name, new in children:
        setattr(parent, name, new[0] if len(new) == 1 else nn.Sequential(*new) if new else nn.Identity())
