"""Luck: every draw of a run comes from (seed, step, place), never from its neighbours or its device."""

from trainsmith.luck.draws import batches, drawn, generator, key, noise_keys, torch_generator
from trainsmith.luck.modes import (
    DRAWING,
    LSTMS,
    Counting,
    Luck,
    Silence,
    counting,
    first_pass,
    noiseless,
    opened,
    silent,
    unmoved,
)

__all__ = [
    "DRAWING",
    "LSTMS",
    "Counting",
    "Luck",
    "Silence",
    "batches",
    "counting",
    "drawn",
    "first_pass",
    "generator",
    "key",
    "noise_keys",
    "noiseless",
    "opened",
    "silent",
    "torch_generator",
    "unmoved",
]
