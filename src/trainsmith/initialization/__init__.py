"""Initializations: of one weight tensor in place, drawing from the generator it is given, or of a whole network.

`draw_layers(network, he)` draws every layer of a network, as studies, populations and `network.change` do: linear
layers and convolutions, each group by itself; transposed convolutions, as (out, in, ...); recurrent layers, each gate
by itself; attention, queries, keys and values each by itself. Biases become 0. What stays as it was made: embeddings,
which sum nothing, bilinear layers, single parameters such as class tokens, and whatever its owner froze by
`requires_grad=False`. `network.change` lists what no initialization draws.

Alone, a function takes a tensor and knows nothing of its layer. Those with a fixed spread (zeros, constant, normal,
uniform, truncated-normal) fill tensors of any shape; the others need (out, in, ...), and an empty weight stays one.
"""

from trainsmith.initialization.constants import constant, zeros
from trainsmith.initialization.delta import delta_orthogonal
from trainsmith.initialization.encoder import call_parts, signs_of
from trainsmith.initialization.fan import fan_in_and_out
from trainsmith.initialization.from_data import LSUV, ClassPrior
from trainsmith.initialization.gaussian import he, he_fan_out, normal, xavier
from trainsmith.initialization.glorot import glorot_normal, glorot_uniform
from trainsmith.initialization.joined import joined_layers, joined_weights
from trainsmith.initialization.layers import (
    FIRST_JOINED,
    WEIGHT_LAYERS,
    Draw,
    NetworkInitialization,
    calls_in_turn,
    draw_layer,
    draw_layers,
    has_own_weight,
    is_drawn,
    is_frozen,
    outputs_of,
    replace,
    sharing_weights,
    take_mode,
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
    "FIRST_JOINED",
    "LSUV",
    "WEIGHT_LAYERS",
    "ClassPrior",
    "Draw",
    "Fixup",
    "NetworkInitialization",
    "ReZero",
    "ZeroResidual",
    "call_parts",
    "calls_in_turn",
    "constant",
    "delta_orthogonal",
    "draw_layer",
    "draw_layers",
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
    "joined_layers",
    "joined_weights",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "outputs_of",
    "replace",
    "residual_branches",
    "sharing_weights",
    "signs_of",
    "take_mode",
    "torch_default",
    "truncated_normal",
    "uniform",
    "weight_layers",
    "xavier",
    "zeros",
]
