"""Initializations: each fills a weight tensor in place, drawing from the generator it is given."""

from trainsmith.initialization.constants import constant, zeros
from trainsmith.initialization.fan import fan_in_and_out
from trainsmith.initialization.gaussian import he, normal, xavier
from trainsmith.initialization.glorot import glorot_normal, glorot_uniform
from trainsmith.initialization.orthogonal import orthogonal

__all__ = [
    "constant",
    "fan_in_and_out",
    "glorot_normal",
    "glorot_uniform",
    "he",
    "normal",
    "orthogonal",
    "xavier",
    "zeros",
]
