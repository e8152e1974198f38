"""While a network runs, torch's random functions draw from a member's keys, or are counted, or refused.

The noise comes from a counter-based generator in integer arithmetic (noise.py): exact, hence the same on every device,
in every population and alone.
"""

import contextlib
import copy
import functools
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainsmith.errors import InvalidInput
from trainsmith.luck.attention import nests
from trainsmith.luck.keyed import KEYED, refuse_own_noise
from trainsmith.network.dispatch import Watch
from trainsmith.network.host import ONE_AT_A_TIME, host_states, put_back, seeded_host


class Luck(TorchFunctionMode):
    """While active, the network's random calls draw from `keys`, (places, 2): one key a call, in order.

    Under vmap each member has its own keys. Raises InvalidInput where the network draws noise in another way,
    or more often than there are keys: members would share it. host: also seed the generators of Python's
    `random` and of `numpy.random` from the last key, and put them back afterwards. more: gives so many keys, the
    present ones first, where the network draws more often than in its first pass.
    """

    def __init__(self, keys: Tensor, host: bool = False, more: Callable[[int], Tensor] | None = None) -> None:
        super().__init__()
        self.keys = keys
        self.host = host
        self.more = more
        self.calls = 0
        self._kept: list[contextlib.ExitStack] = []

    def __enter__(self) -> "Luck":
        kept = contextlib.ExitStack()
        if self.host:
            kept.enter_context(seeded_host([half & 0xFFFFFFFF for half in self.keys[-1].tolist()]))
        if not torch._C._functorch.is_batchedtensor(self.keys):  # vmap itself refuses what is not keyed
            kept.enter_context(unmoved(_not_keyed("a function")))
        self._kept.append(kept)
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        self._kept.pop().__exit__(*exception)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keyed, options = KEYED.get(func), kwargs or {}
        if keyed is not None:
            refuse_own_noise(func.__name__, options)
            return keyed(self.key, *args, **options)
        if func in LSTMS:
            _refuse_dropout_between_layers(func.__name__, args)
        if func not in DRAWING:
            return func(*args, **options)
        super().__enter__()  # torch turns modes off inside its own functions
        try:
            return opened(func)(*args, **options)
        finally:
            super().__exit__(None, None, None)

    def key(self) -> Tensor:
        """The key of the next place."""
        if self.calls >= len(self.keys) - self.host and self.more is not None:
            self.calls, self.host = self.calls + self.host, False  # the last key is the host's
            self.keys = self.more(2 * len(self.keys))
        if self.calls >= len(self.keys) - self.host:
            raise InvalidInput(
                f"the network drew noise {len(self.keys)} times in a first pass and now draws more often; the number "
                "of its random calls must not change while it trains."
            )
        place, self.calls = self.calls, self.calls + 1
        return self.keys[place]


LSTMS = (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)


def _refuse_dropout_between_layers(name: str, args: Sequence[Any]) -> None:
    dropout, training = (args[5], args[6]) if isinstance(args[3], bool) else (args[6], args[7])
    if dropout > 0 and training:
        raise InvalidInput(
            f"dropout={dropout} inside {name.upper().split('_')[0]} cannot be drawn from the member's seed; use layers "
            "of their own with num_layers=1 and nn.Dropout between them."
        )


def _drawing() -> set[Any]:
    """torch's Python functions that call a random one, or one that does: their insides have to be seen."""
    found: set[Any] = set()
    names = {f.__name__ for f in KEYED}
    functions = {n: f for n, f in vars(functional).items() if isinstance(f, types.FunctionType) and f not in KEYED}
    while True:
        new = {n: f for n, f in functions.items() if f not in found and names & _names(f)}
        if not new:
            return found
        found |= set(new.values())
        names |= set(new)


def _names(function: types.FunctionType) -> set[str]:
    """The names that a function's code looks up; also in the functions it chooses from."""
    inner = [c.cell_contents for c in function.__closure__ or () if isinstance(c.cell_contents, types.FunctionType)]
    return set(function.__code__.co_names).union(*map(_names, inner))


DRAWING = _drawing()


@functools.cache
def opened(function: types.FunctionType) -> types.FunctionType:
    """The same function, that runs its body where it would first ask whether a mode wants it."""
    asks = {name: lambda *_: False for name in function.__globals__ if name.startswith("has_torch_function")}
    cells = [c.cell_contents for c in function.__closure__ or ()]
    inner = tuple(types.CellType(opened(c) if isinstance(c, types.FunctionType) else c) for c in cells)
    same = types.FunctionType(
        function.__code__, {**function.__globals__, **asks}, function.__name__, function.__defaults__, inner
    )
    same.__kwdefaults__ = function.__kwdefaults__
    return same


class Counting(Luck):
    """Luck that serves to count, in `calls`, the keys that one forward pass needs; `host` tells of host noise.

    Raises InvalidInput by name for any of torch's random functions that is not keyed.
    """

    def __init__(self) -> None:
        super().__init__(torch.zeros(1, 2, dtype=torch.int32).expand(2**31, 2))

    def __enter__(self) -> "Counting":
        ONE_AT_A_TIME.acquire()
        self._states = host_states()
        self._net = _Net()
        super().__enter__()
        self._net.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        try:
            self._net.__exit__(*exception)
            before, after = self._states, host_states()
            put_back(before)
            if before != after:
                self.host, self.calls = True, self.calls + 1
            super().__exit__(*exception)
        finally:
            ONE_AT_A_TIME.release()


def counting() -> Counting:
    """See Counting."""
    return Counting()


def first_pass(module: nn.Module, x: Tensor, y: Tensor) -> tuple[Counting, bool]:
    """What a pass of a copy of a network with its loss draws, and whether it writes to its inputs x (n, ...)."""
    counter, given = counting(), x.clone()
    version = given._version
    with torch.no_grad(), counter:
        copy.deepcopy(module)(given, y)
    return counter, given._version > version


_NOISY = (
    "the network draws noise in evaluation mode too, so its predictions would not repeat; make it ask self.training, "
    "e.g. functional.dropout(x, p, self.training)."
)


class Silence(Luck):
    """While active, as in evaluation, a network must not draw noise: its predictions would not repeat.

    Python's and NumPy's global generators begin at the same state each time.
    """

    def __init__(self) -> None:
        super().__init__(torch.zeros(1, 2, dtype=torch.int32), host=True)

    def key(self) -> Tensor:
        """Raises InvalidInput."""
        raise InvalidInput(_NOISY)


def silent(network: nn.Module) -> contextlib.AbstractContextManager[Any]:
    """`Silence`; where functions under watch would compute something else, torch's generators are looked at instead."""
    return unmoved(_NOISY) if any(nests(m) for m in network.modules()) else Silence()


def noiseless() -> contextlib.AbstractContextManager[Any]:
    """Raises InvalidInput where torch's own generators are drawn from meanwhile, also in a backward pass."""
    return _Net()


class _Net(Watch):
    """Catches whatever random operation was not keyed, by torch's own mark on it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **(kwargs or {}))
        with unmoved(_not_keyed(f"the operation {func}")):
            return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def unmoved(words: str) -> Iterator[None]:
    """Raise InvalidInput with these words if torch's own generators were drawn from meanwhile."""
    before = _torch_states()
    yield
    if any(not torch.equal(a, b) for a, b in zip(before, _torch_states(), strict=True)):
        raise InvalidInput(words)


def _not_keyed(what: str) -> str:
    return (
        f"the network draws noise with {what} that cannot be drawn per member; use dropout, torch.rand, torch.randn, "
        "torch.bernoulli or another function listed in luck/keyed.py."
    )


def _torch_states() -> list[Tensor]:
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *devices]
