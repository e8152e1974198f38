"""Regularizers: penalties, constraints, noise in layers, changes of the loss, when to stop."""

from trainsmith.regularization.constraint import Constraint, MaxNorm, SoftThreshold, WeightDecay
from trainsmith.regularization.dropout import Dropout
from trainsmith.regularization.early_stopping import EarlyStopping
from trainsmith.regularization.label_smoothing import LabelSmoothing
from trainsmith.regularization.nothing import NoRegularization
from trainsmith.regularization.orthogonality import Orthogonality
from trainsmith.regularization.penalty import L2
from trainsmith.regularization.sparse import L1, ElasticNet

__all__ = [
    "L1",
    "L2",
    "Constraint",
    "Dropout",
    "EarlyStopping",
    "ElasticNet",
    "LabelSmoothing",
    "MaxNorm",
    "NoRegularization",
    "Orthogonality",
    "SoftThreshold",
    "WeightDecay",
]
