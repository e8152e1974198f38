"""Why a network cannot run as one program for many members: said in a sentence, and looked for where torch is silent.

vmap refuses much by itself (an error of torch's, put here into words). Some modules run under it and give every
member the first one's numbers: those are found by passes of one member on a copy, before anything is trained.
"""

import contextlib
import copy
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from trainsmith.errors import InvalidInput
from trainsmith.luck import counting, noiseless
from trainsmith.network.dispatch import Watch
from trainsmith.network.host import seeded_host
from trainsmith.network.signature import structure
from trainsmith.population.members.asked import check_classes
from trainsmith.population.members.objective import Objective, in_training, predictions
from trainsmith.regularization import OwnAugmentation

SENTENCES = (
    ("aten::lstm", "is recurrent, which torch cannot batch over weights"),
    ("aten::gru", "is recurrent, which torch cannot batch over weights"),
    ("aten::rnn_", "is recurrent, which torch cannot batch over weights"),
    ("data-dependent control flow", "decides by the value of a tensor (`if`, `while`, bool())"),
    (".item()", "turns a tensor into a Python number (.item(), float(), `in`)"),
    ("access data pointer", "leaves torch for NumPy or a Python list (.numpy(), .tolist())"),
    ("numpy", "leaves torch for NumPy (.numpy())"),
    ("dynamic shape", "makes a tensor whose size depends on numbers (a mask as index, nonzero, unique)"),
    (
        "inplace arithmetic",
        "writes into a tensor that it makes anew in its forward pass (y = zeros(...); y[...] = x, or rsample of "
        "torch.distributions)",
    ),
    ("doesn't match the broadcast shape", "writes in place into a tensor that it makes anew in its forward pass"),
    ("escaped from inside", "keeps or recomputes tensors beyond its forward pass (a cache, checkpointing)"),
    ("called random operation", "draws noise with a function that is not drawn per member"),
    ("setup_context", "has a gradient of its own (autograd.Function) without setup_context"),
    ("vmap support", "has a gradient of its own (autograd.Function) without a rule for vmap"),
    ("Batching rule not implemented", "calls an operation that torch cannot batch over weights"),
)
"""What torch's error contains, and what it says about the module."""


def explain(error: BaseException, module: nn.Module) -> str:
    """The sentence for an error that `module`, or a part of it, raised under vmap."""
    text = str(error).strip() or type(error).__name__
    does = next((said for part, said in SENTENCES if part in text), f"stops with: {text.splitlines()[0]}")
    if "recurrent" not in does and (cause := _operation(text)):
        does += f" ({cause})"
    return said_of(_innermost(error.__traceback__, module), module, does)


def said_of(name: str, module: nn.Module, does: str) -> str:
    """One sentence about the submodule `name` of an objective, and what is done about it."""
    part = module.get_submodule(name)
    shown = name.removeprefix("network").removeprefix(".") or "the network"
    return f"{shown} ({type(part).__name__}) {does}; the loop trains each member by itself, with the same results"


def _operation(text: str) -> str:
    found = [word.strip(".,;()") for word in text.split() if "aten::" in word]
    return found[0] if found else ""


def _innermost(trace: TracebackType | None, module: nn.Module) -> str:
    """The name of the innermost submodule that was running where the error was raised."""
    names = {id(m): name for name, m in module.named_modules()}
    found = ""
    while trace is not None:
        found = names.get(id(trace.tb_frame.f_locals.get("self")), found)
        trace = trace.tb_next
    return found


def hazard(module: nn.Module, x: Tensor, y: Tensor) -> str | None:
    """What would silently go wrong if `module` ran as one program, or None. It runs on copies, on few examples x, y."""
    found = next(_hazards(module, x, y), None)
    return said_of(*found) if found else None


def _hazards(module: nn.Module, x: Tensor, y: Tensor) -> Iterator[tuple[str, nn.Module, str]]:
    for name in (n for n, m in module.named_modules() if isinstance(m, OwnAugmentation) and m.each):
        yield name, module, "is called for one example at a time"
    one = copy.deepcopy(module)
    before, tensors = structure(one), _tensors(one)
    with torch.no_grad(), seeded_host([0]), counting() as luck:
        first = one(x.clone(), y)  # which it may write to
    for name, attribute in _changed(before, structure(one)):
        yield name, one, f"changes its own attribute `{attribute}` as it runs, which the program would do once for all"
    after = _tensors(one)
    for name in (n for n, t in tensors.items() if after[n] is not t):
        owner, _, buffer = name.rpartition(".")
        yield owner, one, f"puts another tensor into `{buffer}` instead of changing it in place (`copy_`, `mul_`)"
    again = _pass(module, x, y)
    if not torch.equal(first, again) and not again.isnan().all():
        yield "network", one, "gives another result each time, with the same weights, inputs and seed"
    if luck.host and not torch.equal(first, _pass(module, x, y, seed=1)):
        yield "network", one, "draws from Python's `random` or from `numpy.random`, once for all members"
    yield from _backward(module, x, y)
    two, seen = copy.deepcopy(module), _Foreign()
    seen.own = {_memory(t): n for n, t in _tensors(two).items()}
    state = {n: t.clone() for n, t in _tensors(two).items()}
    seen.given = {_memory(t) for t in state.values()}
    with counting(), seen:
        functional_call(two, state, (x.clone(), y), tie_weights=True)
    for name in seen.found:
        yield "network", two, f"reaches {name or 'weights'} by another way than its attributes (a list, a function)"


def _backward(module: nn.Module, x: Tensor, y: Tensor) -> Iterator[tuple[str, nn.Module, str]]:
    """What a program, whose gradients are a function's, would leave out of an ordinary backward pass."""
    one, hooks = copy.deepcopy(module), _Hooks()
    for name, part in one.named_modules():
        if part._backward_hooks or part._backward_pre_hooks:
            yield name, one, "has a hook on gradients (register_full_backward_hook)"
    try:
        with seeded_host([0]), counting(), hooks:
            loss = one(x.clone(), y)
        if hooks.found:
            yield "network", one, "hangs hooks on the gradients of tensors in its forward pass (register_hook)"
        with noiseless():
            loss.backward()
    except InvalidInput:
        yield "network", one, "draws noise in its backward pass"
    except Exception:  # the loop stops with it, and says it
        return


class _Hooks(TorchFunctionMode):
    """Notes whether hooks are hung on tensors."""

    found = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found = self.found or func in (Tensor.register_hook, Tensor.register_post_accumulate_grad_hook)
        return func(*args, **(kwargs or {}))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _memory(t: Tensor) -> int:
    return t.untyped_storage().data_ptr()


def _pass(module: nn.Module, x: Tensor, y: Tensor, seed: int = 0) -> Tensor:
    with torch.no_grad(), seeded_host([seed]), counting():
        return copy.deepcopy(module)(x.clone(), y)


def _changed(before: Any, after: Any) -> Iterator[tuple[str, str]]:
    """(module, attribute) for whatever differs between two structures of one module."""
    for old, new in zip(before, after, strict=False):
        olds, news = (dict(row[4][0]) for row in (old, new))
        for name in (n for n in news if olds.get(n) != news[n]):
            yield old[0], name
        if old[4:5] == new[4:5] and old != new:
            yield old[0], "buffers or layers"


class _Foreign(Watch):
    """Notes trained tensors, and the module's own, that operations use though others were given in their place."""

    def __init__(self) -> None:
        super().__init__()
        self.own: dict[int, str] = {}
        self.given: set[int] = set()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for t in torch.utils._pytree.tree_leaves((args, kwargs or {})):
            if isinstance(t, Tensor) and _memory(t) not in self.given:
                if _memory(t) in self.own:
                    self.found.append(f"`{self.own[_memory(t)].removeprefix('network.')}`")
                elif isinstance(t, nn.Parameter):
                    self.found.append("")
        return func(*args, **(kwargs or {}))


def fits(objective: Objective, x: Tensor, y: Tensor) -> int:
    """How many outputs an example has, by the last axis.

    Says in a sentence what is wrong when a network or its loss cannot take the data at all: raises InvalidInput.
    """
    objective = in_training(copy.deepcopy(objective))
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            returned = objective.network(x)
            outputs = predictions(returned)
    except InvalidInput:
        raise
    except Exception as error:
        if "does not require grad" in str(error):
            raise InvalidInput(
                "the network differentiates in its forward pass, which is also called without gradients, for "
                "evaluation: begin that with torch.enable_grad()."
            ) from error
        raise InvalidInput(f"the network cannot take x of shape {tuple(x.shape)}: {error}") from error
    _check_whole(objective.loss, returned, y)
    check_classes(objective.loss, y, outputs.shape[-1] if outputs.ndim else 0)
    try:
        with torch.no_grad():
            value = objective.loss(outputs, y)
            if objective.networks == 1 and len(outputs) == len(y):  # as many outputs as examples fit by accident
                outputs, y = (torch.cat([t, t[:1]]) for t in (outputs, y))
                objective.loss(outputs, y)
    except Exception as error:
        raise InvalidInput(
            f"the loss cannot compare outputs {tuple(outputs.shape)} with targets {tuple(y.shape)}: {error}"
        ) from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise InvalidInput(
            f"the loss must be one number for a batch, its mean; got {tuple(getattr(value, 'shape', ()))}."
        )
    return outputs.shape[-1] if outputs.ndim else 0


def _check_whole(loss: nn.Module, returned: Any, y: Tensor) -> None:
    """Raises InvalidInput for a loss of all that a network returns, where it is given the first tensor alone."""
    if not isinstance(returned, (tuple, list)) or len(returned) < 2 or hasattr(returned, "logits"):
        return
    value = None
    with contextlib.suppress(Exception), torch.no_grad():
        value = loss(returned, y)
    if isinstance(value, Tensor) and value.numel() == 1:
        raise InvalidInput(
            f"the network returns {len(returned)} things, of which the loss would be given the first alone, its "
            "predictions: let the network return one tensor, e.g. by torch.cat, and the loss take it apart."
        )
