"""Normalizations: of the input, fitted on training data, and as layers."""

from trainsmith.normalization.batch import BatchNorm
from trainsmith.normalization.input import Standardization
from trainsmith.normalization.layer import LayerNorm
from trainsmith.normalization.nothing import NoNormalization

__all__ = ["BatchNorm", "LayerNorm", "NoNormalization", "Standardization"]
