"""Modules of a network replaced by others, and which of them are activation functions."""

from collections.abc import Callable, Collection

from torch import Tensor, nn
from torch.nn.modules import activation as torch_activations

from trainsmith.catalogue import techniques
from trainsmith.initialization import call_parts, calls_in_turn, take_mode

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


def called_in_parts(root: nn.Module, example: Tensor) -> set[nn.Module]:
    """The sequences that no pass calls as a whole: where their layers are called by place or in slices, places stay."""
    sequences: set[nn.Module] = {m for m in root.modules() if type(m) is nn.Sequential}
    return sequences.difference(calls_in_turn(root, sequences, example[:2])[0])


def rewrite(parent: nn.Module, edit: Edit, apart: Collection[nn.Module] = ()) -> None:
    """Replace each descendant m by the modules edit(m) gives in its place; None leaves it and looks inside.

    A module that stands in several places is replaced in each of them, by what edit gives then; what is new has the
    mode of what it replaces. apart: sequences whose places stay, each with one module, as `called_in_parts` finds them.
    """
    _rewrite(parent, edit, apart, set())
    call_parts(parent)


def _rewrite(parent: nn.Module, edit: Edit, apart: Collection[nn.Module], seen: set[nn.Module]) -> None:
    """The same; seen: the modules that were looked into already, and are not again."""
    children: list[tuple[str, nn.Module, list[nn.Module]]] = []
    for name, child in children_of(parent):
        new = edit(child)
        if new is None and child not in seen:
            seen.add(child)
            _rewrite(child, edit, apart, seen)
        take_mode(child, *(new or ()))
        children.append((name, child, [child] if new is None else new))
    if type(parent) is nn.Sequential and parent not in apart and all(name.isdigit() for name, *_ in children):
        parent._modules = {str(i): m for i, m in enumerate(m for *_, new in children for m in new)}
        return
    for name, child, new in children:
        made = new[0] if len(new) == 1 else nn.Sequential(*new) if new else nn.Identity()
        take_mode(child, made)
        setattr(parent, name, made)
