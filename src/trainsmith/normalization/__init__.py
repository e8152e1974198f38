"""Normalizations: of the input, fitted on training data, as layers, and of weights."""

from trainsmith.normalization.batch import BatchNorm
from trainsmith.normalization.group import GroupNorm, InstanceNorm
from trainsmith.normalization.input import Standardization
from trainsmith.normalization.layer import LayerNorm, RMSNorm
from trainsmith.normalization.nothing import NoNormalization
from trainsmith.normalization.parametrization import SpectralNorm, WeightNorm, WeightStandardization
from trainsmith.normalization.renorm import BatchRenorm, GhostBatchNorm
from trainsmith.normalization.scaling import MinMax, Robust
from trainsmith.normalization.whitening import PCAWhitening, ZCAWhitening

__all__ = [
    "BatchNorm",
    "BatchRenorm",
    "GhostBatchNorm",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "MinMax",
    "NoNormalization",
    "PCAWhitening",
    "RMSNorm",
    "Robust",
    "SpectralNorm",
    "Standardization",
    "WeightNorm",
    "WeightStandardization",
    "ZCAWhitening",
]
