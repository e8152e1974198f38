"""Initializations: of one weight tensor in place, drawing from the generator it is given, or of a whole network."""

from trainsmith.initialization.constants import constant, zeros
from trainsmith.initialization.delta import delta_orthogonal
from trainsmith.initialization.fan import fan_in_and_out
from trainsmith.initialization.from_data import LSUV, ClassPrior
from trainsmith.initialization.gaussian import he, he_fan_out, normal, xavier
from trainsmith.initialization.glorot import glorot_normal, glorot_uniform
from trainsmith.initialization.layers import (
    WEIGHT_LAYERS,
    Draw,
    NetworkInitialization,
    calls_in_turn,
    draw_layer,
    has_own_weight,
    is_drawn,
    is_frozen,
    outputs_of,
    replace,
    weight_layers,
)
from trainsmith.initialization.orthogonal import orthogonal
from trainsmith.initialization.residual import Fixup, ReZero, ZeroResidual, residual_branches
from trainsmith.initialization.truncated import truncated_normal
from trainsmith.initialization.uniform import (
    he_uniform,
    he_uniform_fan_out,
    lecun_uniform,
    torch_default,
    uniform,
)

__all__ = [
    "LSUV",
    "WEIGHT_LAYERS",
    "ClassPrior",
    "Draw",
    "Fixup",
    "NetworkInitialization",
    "ReZero",
    "ZeroResidual",
    "calls_in_turn",
    "constant",
    "delta_orthogonal",
    "draw_layer",
    "fan_in_and_out",
    "glorot_normal",
    "glorot_uniform",
    "has_own_weight",
    "he",
    "he_fan_out",
    "he_uniform",
    "he_uniform_fan_out",
    "is_drawn",
    "is_frozen",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "outputs_of",
    "replace",
    "residual_branches",
    "torch_default",
    "truncated_normal",
    "uniform",
    "weight_layers",
    "xavier",
    "zeros",
]
