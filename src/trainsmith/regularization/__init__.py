"""Regularizers: penalties, constraints, noise, augmentation, changes of the loss, when to stop."""

from trainsmith.regularization.columns import FeatureDropout, SwapNoise
from trainsmith.regularization.confidence_penalty import ConfidencePenalty
from trainsmith.regularization.constraint import Constraint, MaxNorm, SoftThreshold, WeightDecay
from trainsmith.regularization.dropout import Dropout
from trainsmith.regularization.early_stopping import EarlyStopping
from trainsmith.regularization.images import Cutout, Flip, Rotation, Shift, Zoom
from trainsmith.regularization.label_smoothing import LabelSmoothing
from trainsmith.regularization.mixing import CutMix, Mixup, mixed_loss
from trainsmith.regularization.noise import GradientNoise, InputNoise, WeightNoise
from trainsmith.regularization.nothing import NoRegularization
from trainsmith.regularization.orthogonality import Orthogonality
from trainsmith.regularization.penalty import L2
from trainsmith.regularization.random_augment import RandAugment
from trainsmith.regularization.sparse import L1, ElasticNet

__all__ = [
    "L1",
    "L2",
    "ConfidencePenalty",
    "Constraint",
    "CutMix",
    "Cutout",
    "Dropout",
    "EarlyStopping",
    "ElasticNet",
    "FeatureDropout",
    "Flip",
    "GradientNoise",
    "InputNoise",
    "LabelSmoothing",
    "MaxNorm",
    "Mixup",
    "NoRegularization",
    "Orthogonality",
    "RandAugment",
    "Rotation",
    "Shift",
    "SoftThreshold",
    "SwapNoise",
    "WeightDecay",
    "WeightNoise",
    "Zoom",
    "mixed_loss",
]
