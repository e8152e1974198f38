"""Activation functions that a network calls as functions, such as functional.relu(x), made into modules.

A module whose forward calls some becomes an instance of a class of its own: the user's, with each such call turned
into a call of a module. What the rest of forward does stays as it is written, self.training and loops included. A
function that a module holds by a name, as nn.TransformerEncoderLayer holds its own, becomes a module of that name.
"""

import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainsmith.initialization import outputs_of
from trainsmith.network import unchanged
from trainsmith.network.forward import CALLS, KNOWN, METHODS, Make, Rewritten, rewritten
from trainsmith.network.rewriting import is_activation

Change = tuple[Callable[[], object], Callable[[], object]]
"""What is done to a network, and what undoes it."""
DECODER = nn.TransformerDecoderLayer
LEFT = (functional.threshold, functional.rrelu, torch.rrelu, functional.prelu)
"""Activation functions with numbers of their own, which draw in training or have weights: they stay, and are listed."""


def call_modules(root: nn.Module, example: Tensor) -> tuple[str, ...]:
    """Turn calls of activation functions in the forward of `root`'s modules into modules, in place.

    What was left as it is, one line for each function: calls in functions beside forward, in a forward whose source is
    not to be had, or of a value that multiplies another, which is a gate; and what recurrent layers
    have inside. The network computes the same as before.
    """
    handed = [_handed(m, name, make) for m in root.modules() for name, make in held(m)]
    decoders = [m.activation for m in root.modules() if isinstance(m, DECODER)]
    kept = Counter(str(getattr(f, "__name__", f)) for f in decoders if not isinstance(f, nn.Module))
    if not handed and not called(root, example):
        return (*unchanged.recurrent(root), *unchanged.calls(kept))
    with torch.no_grad():
        wanted = _outputs(root, example)
        _attempt(handed, root, example, wanted)
        kinds: list[tuple[nn.Module, Any]] = [(m, type(m)) for m in root.modules()]
        _attempt([_recast(m, new) for m, kind in kinds if (new := rewritten(kind))], root, example, wanted)
    return (*unchanged.recurrent(root), *unchanged.calls(called(root, example) + kept))


def held(module: nn.Module) -> Iterator[tuple[str, Make]]:
    """The names by which a module holds activation functions, and what makes the module that does the same.

    One that is an activation function itself, as those of transformers, is whole; nn.TransformerDecoderLayer would lose
    the module when it is copied.
    """
    for name, value in () if is_activation(module) or isinstance(module, DECODER) else vars(module).items():
        if isinstance(value, (types.FunctionType, types.BuiltinFunctionType)) and value in CALLS:
            yield name, CALLS[value]


def _handed(module: nn.Module, name: str, make: Make) -> Change:
    """A function that a module holds made into a module of that name."""
    function = getattr(module, name)

    def undo() -> None:
        delattr(module, name)
        setattr(module, name, function)

    return lambda: setattr(module, name, make().train(module.training)), undo


def _recast(module: nn.Module, new: "Rewritten") -> Change:
    """A module made an instance of the class that calls modules."""
    old = type(module)

    def do() -> None:
        module.__class__ = new.kind
        for name, make in new.sites:
            module.add_module(name, make().train(module.training))

    def undo() -> None:
        module.__class__ = old
        for name, _ in new.sites:
            delattr(module, name)

    return do, undo


def _attempt(changes: Sequence[Change], root: nn.Module, example: Tensor, wanted: Tensor) -> None:
    """Make changes that leave the network's outputs what they are; where they do not, all are undone."""
    for do, _ in changes:
        do()
    try:
        same = not changes or torch.equal(wanted, _outputs(root, example))
    except (AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError):
        same = False
    if not same:
        for _, undo in changes:
            undo()


def called(root: nn.Module, example: Tensor, wanted: Callable[[Any], bool] | None = None) -> Counter[str]:
    """How often each activation function is called in a forward pass, other than by torch's own modules.

    wanted: of which functions, in place of these.
    """
    log = _Log(wanted or _is_activation)
    kept = [m for m in root.modules() if type(m).__module__.startswith(KNOWN)]
    hooks = [m.register_forward_pre_hook(log.enter) for m in kept]
    hooks += [m.register_forward_hook(log.leave, always_call=True) for m in kept if not isinstance(m, nn.Sequential)]
    hooks = [h for h in hooks if h is not None]
    try:
        with log:
            outputs_of(root, example[:2])
    finally:
        for hook in hooks:
            hook.remove()
    return log.names


def _is_activation(func: Any) -> bool:
    name = getattr(func, "__name__", "")
    return func in CALLS or func in LEFT or (name in METHODS and func is getattr(Tensor, name, None))


class _Log(TorchFunctionMode):
    """Counts the calls of the wanted functions outside of modules that are known."""

    def __init__(self, wanted: Callable[[Any], bool]) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.wanted = wanted
        self.inside = 0

    def enter(self, module: nn.Module, args: Any) -> None:
        self.inside += not isinstance(module, nn.Sequential)

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self.inside -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.inside and self.wanted(func):
            self.names[func.__name__.strip("_")] += 1
        return func(*args, **(kwargs or {}))


def _outputs(root: nn.Module, example: Tensor) -> Tensor:
    found = outputs_of(root, example[:2])
    return found if isinstance(found, Tensor) else torch.zeros(())
