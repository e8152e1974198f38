"""Which network a factory makes, as a text that another process finds too, so that a study knows its network again."""

import hashlib
from collections.abc import Hashable, Iterator

import torch
from torch import Tensor, nn

from trainsmith.network.factory import build
from trainsmith.network.host import seed_torch, seeded_host
from trainsmith.network.reference import Factory
from trainsmith.network.signature import calls, structure

MOST_NUMBERS = 2**20
"""Of a tensor so many numbers, evenly spread, are looked at."""


def fingerprint(network: str | Factory, x: Tensor, outputs: int) -> str | None:
    """A hash of the network that a factory makes for data like x (n, *features), 32 hexadecimal digits.

    It tells networks of other structure, of other initial weights under the same seed, or of another sequence of
    operations in a forward pass, in training and in evaluation, from one another. What is not the same in two networks
    of the factory, such as the time they were made, does not count, nor do objects whose inside cannot be seen. Initial
    weights count to three digits, since machines round differently. None for a reference network, which its name tells.
    Raises InvalidInput as build does.
    """
    if isinstance(network, str) and ":" not in network:
        return None
    mixed = hashlib.blake2b(digest_size=16)
    for part, again in zip(_parts(network, x, outputs), _parts(network, x, outputs), strict=False):
        if part == again:
            mixed.update(f"{part}\n".encode("utf-8", "surrogatepass"))
    return mixed.hexdigest()


def _parts(network: str | Factory, x: Tensor, outputs: int) -> Iterator[str]:
    with torch.random.fork_rng(devices=[]), seeded_host([0]):
        seed_torch(0)
        module = build(network, tuple(x.shape[1:]), outputs)
    yield from map(_text, structure(module, type))
    tensors = (*module.named_parameters(), *module.named_buffers())
    yield from [f"{name} {_numbers(tensor.detach())}" for name, tensor in tensors]
    for training in (True, False):
        module.train(training)
        yield _operations(module, x)


def _operations(module: nn.Module, x: Tensor) -> str:
    try:
        return _text(calls(module, lambda m: m(x), type))
    except Exception:  # it is the user's code, and told as that when it trains
        return ""


def _text(value: Hashable) -> str:
    """A stand-in of Canonical as text that hangs on no address and no order of a set."""
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, tuple):
        return f"({' '.join(map(_text, value))})"
    if isinstance(value, frozenset):
        return f"{{{' '.join(sorted(map(_text, value)))}}}"
    return repr(value)


def _numbers(tensor: Tensor) -> str:
    """A tensor's size and direction, to three digits; whole numbers to the last."""
    if tensor.layout is not torch.strided or tensor.device.type == "meta" or not tensor.numel():
        return ""
    flat = torch.view_as_real(tensor).flatten() if tensor.is_complex() else tensor.flatten()
    flat = flat[:: max(1, len(flat) // MOST_NUMBERS)].cpu()
    if not flat.is_floating_point():
        return hashlib.blake2b(flat.numpy().tobytes(), digest_size=16).hexdigest()
    flat = flat.double()
    size = flat.square().mean().sqrt()
    signs = (torch.arange(len(flat)) * 2654435761 >> 16 & 1) * 2.0 - 1  # as good as drawn
    direction = float((flat * signs).mean() / size) * len(flat) ** 0.5 if size else 0.0
    return f"{size:.3e} {direction:.3f}"


__all__ = ["fingerprint"]
