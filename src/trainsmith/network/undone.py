"""A network as it was, where an error ends a change of it."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

Undo = Callable[[], None]


@contextlib.contextmanager
def undone_by_errors(network: nn.Module) -> Iterator[None]:
    """Whatever is done to the network inside is undone where an error, or the user, ends it.

    Its modules, weights and lists are the same objects then, with the classes, attributes and numbers that they had. It
    keeps a copy of the weights meanwhile.
    """
    tensors = {t: None for m in network.modules() for t in (*m._parameters.values(), *m._buffers.values())}
    undo = [_tensor(t) for t in tensors if t is not None]
    undo += [_module(m) for m in network.modules()]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for back in undo:
                back()
        raise


def _tensor(t: Tensor) -> Undo:
    numbers, trained = t.detach().clone(), t.requires_grad

    def undo() -> None:
        t.requires_grad_(trained)
        if t.shape == numbers.shape:
            t.copy_(numbers)
        else:
            t.data = numbers

    return undo


def _module(module: nn.Module) -> Undo:
    """Its class, its attributes, and what is in those that are dictionaries, lists or sets, such as its children's."""
    kind, attributes = type(module), dict(vars(module))
    contents = [(v, v.copy()) for v in attributes.values() if type(v) in (dict, OrderedDict, list, set)]

    def undo() -> None:
        module.__class__ = kind
        vars(module).clear()
        vars(module).update(attributes)
        for held, before in contents:
            held.clear()
            held.extend(before) if isinstance(held, list) else held.update(before)

    return undo
