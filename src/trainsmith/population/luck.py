"""Luck: every draw of a run comes from (seed, step, place), never from its neighbours or its device.

Draws made before training and batch orders come from NumPy's and PyTorch's CPU generators, seeded with a
hash of the seed and words that say what is drawn. Noise inside the network comes from a counter-based
generator in integer arithmetic (noise.py): exact, hence the same on every device, in every population and alone.
"""

import contextlib
import copy
import functools
import hashlib
import types
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainsmith.errors import InvalidInput
from trainsmith.network.dispatch import Watch
from trainsmith.network.host import host_states, put_back, seed_torch, seeded_host
from trainsmith.population.attention import nests
from trainsmith.population.keyed import KEYED, refuse_own_noise


def key(seed: int, *words: str | int) -> int:
    """64 bits that belong to this seed and these words alone."""
    text = "/".join(map(str, (seed, *words)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *words: str | int) -> np.random.Generator:
    """NumPy's Philox generator for this seed and these words."""
    return np.random.Generator(np.random.Philox(key=key(seed, *words)))


def torch_generator(seed: int, *words: str | int) -> torch.Generator:
    """PyTorch's CPU generator for this seed and these words."""
    return torch.Generator().manual_seed(key(seed, *words))


@contextlib.contextmanager
def drawn(seed: int, *words: str | int) -> Iterator[None]:
    """The global generators of torch, Python and NumPy seeded for this seed and these words meanwhile."""
    own = key(seed, *words)
    with torch.random.fork_rng(devices=[]), seeded_host([own & 0xFFFFFFFF, own >> 32]):
        seed_torch(own)
        yield


def batches(
    seed: int, examples: np.ndarray, batch_size: int, steps: int, start: int = 0, words: tuple[str | int, ...] = ()
) -> np.ndarray:
    """The examples of `steps` steps from `start` on, (steps, batch_size): one shuffled pass after another.

    words: what sets these passes apart from others of the seed.

    A pass is not cut at its end: the next one begins within the same batch, so that every batch is full.
    """
    first, last = start * batch_size // len(examples), -(-(start + steps) * batch_size // len(examples))
    stream = [generator(seed, *words, "batches", i).permutation(examples) for i in range(first, last)]
    begin = start * batch_size - first * len(examples)
    return np.concatenate(stream)[begin : begin + steps * batch_size].reshape(steps, batch_size)


def noise_keys(seeds: Sequence[int], step: int, places: int) -> Tensor:
    """The keys of one step's noise, (members, places, 2) int32: a hash of (seed, step, place)."""
    if places == 0:
        return torch.empty(len(seeds), 0, 2, dtype=torch.int32)
    with np.errstate(over="ignore"):
        mixed = _splitmix(np.asarray(seeds, np.uint64) + np.uint64(0x5851F42D4C957F2D))
        mixed = _splitmix(mixed ^ np.uint64(step))
        mixed = _splitmix(mixed[:, None] ^ np.arange(places, dtype=np.uint64))
    return torch.from_numpy(mixed.view(np.int32).reshape(len(seeds), places, 2))


def _splitmix(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele, Lea & Flood 2014, figure 15), a bijection of 64-bit words."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Luck(TorchFunctionMode):
    """While active, the network's random calls draw from `keys`, (places, 2): one key a call, in order.

    Under vmap each member has its own keys. Raises InvalidInput where the network draws noise in another way,
    or more often than there are keys: members would share it. host: also seed the generators of Python's
    `random` and of `numpy.random` from the last key, and put them back afterwards.
    """

    def __init__(self, keys: Tensor, host: bool = False) -> None:
        super().__init__()
        self.keys = keys
        self.host = host
        self.calls = 0
        self._kept: list[contextlib.ExitStack] = []

    def __enter__(self) -> "Luck":
        kept = contextlib.ExitStack()
        if self.host:
            kept.enter_context(seeded_host([half & 0xFFFFFFFF for half in self.keys[-1].tolist()]))
        if not torch._C._functorch.is_batchedtensor(self.keys):  # vmap itself refuses what is not keyed
            kept.enter_context(_unmoved(_not_keyed("a function")))
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
        self._states = host_states()
        self._net = _Net()
        super().__enter__()
        self._net.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._net.__exit__(*exception)
        before, after = self._states, host_states()
        put_back(before)
        if before != after:
            self.host, self.calls = True, self.calls + 1
        super().__exit__(*exception)


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
    return _unmoved(_NOISY) if any(nests(m) for m in network.modules()) else Silence()


class _Net(Watch):
    """Catches whatever random operation was not keyed, by torch's own mark on it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **(kwargs or {}))
        with _unmoved(_not_keyed(f"the operation {func}")):
            return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def _unmoved(words: str) -> Iterator[None]:
    """Raises InvalidInput with these words if torch's own generators were drawn from meanwhile."""
    before = _torch_states()
    yield
    if any(not torch.equal(a, b) for a, b in zip(before, _torch_states(), strict=True)):
        raise InvalidInput(words)


def _not_keyed(what: str) -> str:
    return (
        f"the network draws noise with {what} that cannot be drawn per member; use dropout, torch.rand, torch.randn, "
        "torch.bernoulli or another function listed in population/keyed.py."
    )


def _torch_states() -> list[Tensor]:
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *devices]
