"""Regularizers: penalties, noise in layers, changes of the loss, when to stop."""

from trainsmith.regularization.dropout import Dropout
from trainsmith.regularization.early_stopping import EarlyStopping
from trainsmith.regularization.label_smoothing import LabelSmoothing
from trainsmith.regularization.nothing import NoRegularization
from trainsmith.regularization.penalty import L2

__all__ = ["L2", "Dropout", "EarlyStopping", "LabelSmoothing", "NoRegularization"]
