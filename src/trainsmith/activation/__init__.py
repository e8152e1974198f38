"""Activation functions, as modules whose hyper-parameters are buffers."""

from trainsmith.activation.gated import GEGLU, GLU, SwiGLU
from trainsmith.activation.linear import Identity
from trainsmith.activation.prelu import PReLU
from trainsmith.activation.rectified import ELU, LeakyReLU, ReLU
from trainsmith.activation.saturating import HardSigmoid, Sigmoid, Tanh
from trainsmith.activation.selu import SELU
from trainsmith.activation.smooth import GELU, GELUTanh, Mish, SiLU, Softplus
from trainsmith.activation.wide import CReLU, Maxout

__all__ = [
    "ELU",
    "GEGLU",
    "GELU",
    "GLU",
    "SELU",
    "CReLU",
    "GELUTanh",
    "HardSigmoid",
    "Identity",
    "LeakyReLU",
    "Maxout",
    "Mish",
    "PReLU",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "SwiGLU",
    "Tanh",
]
