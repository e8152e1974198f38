"""Activation functions, as modules whose hyper-parameters are buffers."""

from trainsmith.activation.rectified import ELU, LeakyReLU, ReLU
from trainsmith.activation.saturating import Sigmoid, Tanh

__all__ = ["ELU", "LeakyReLU", "ReLU", "Sigmoid", "Tanh"]
