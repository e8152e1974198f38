"""Regularizers: penalties, constraints, noise, augmentation, sparsity, averages, ensembles, changes of the loss.

Several heads with their own targets, and sharing, are here as parts to be used alone.
"""

from trainsmith.regularization.activity import ActivityKL, ActivityL1, ActivityPenalty, KWinners, activity_cost
from trainsmith.regularization.adversarial import adversarial_loss, fgsm, pgd, robust_accuracy, trades
from trainsmith.regularization.adversarial_euclidean import TRADESL2, FGSMTrainingL2, PGDTrainingL2, RootMeanSquare
from trainsmith.regularization.adversarial_training import TRADES, FGSMTraining, PGDTraining
from trainsmith.regularization.after_stopping import continue_until, retrain
from trainsmith.regularization.averaging import SWA, Averaging, PolyakAveraging, WeightEMA
from trainsmith.regularization.columns import FeatureDropout, SwapNoise
from trainsmith.regularization.confidence_penalty import ConfidencePenalty
from trainsmith.regularization.constraint import Constraint, MaxNorm, SoftThreshold, WeightDecay
from trainsmith.regularization.drop_connect import DropConnect, DropConnectLinear
from trainsmith.regularization.drop_connect_gaussian import GaussianDropConnect
from trainsmith.regularization.dropout import Dropout
from trainsmith.regularization.early_stopping import (
    EarlyStopping,
    EarlyStoppingContinue,
    EarlyStoppingRetrain,
    UntilMatched,
)
from trainsmith.regularization.ensemble import (
    Bagging,
    DeepEnsemble,
    Ensemble,
    SnapshotEnsemble,
    average_probabilities,
    averaged,
    bootstrap,
    snapshot_rate,
)
from trainsmith.regularization.images import Cutout, Flip, Rotation, Shift, Zoom
from trainsmith.regularization.label_smoothing import LabelSmoothing
from trainsmith.regularization.manifold_mixup import ManifoldMixup
from trainsmith.regularization.many_masks import MonteCarlo, MonteCarloDropout
from trainsmith.regularization.matching import FixMatch
from trainsmith.regularization.mixing import CutMix, Mixup, mixed_loss
from trainsmith.regularization.multitask import SharedTrunk, UncertaintyWeights, rotated
from trainsmith.regularization.noise import GradientNoise, InputNoise, WeightNoise
from trainsmith.regularization.nothing import NoRegularization
from trainsmith.regularization.orthogonality import Orthogonality
from trainsmith.regularization.own import OwnAugmentation, augmentation, augmentation_elsewhere
from trainsmith.regularization.penalty import L2
from trainsmith.regularization.random_augment import RandAugment
from trainsmith.regularization.second_tasks import (
    AuxiliaryReconstruction,
    AuxiliaryRotation,
    UncertainReconstruction,
    UncertainRotation,
)
from trainsmith.regularization.self_training import EntropyMinimization, PseudoLabel
from trainsmith.regularization.semi_supervised import (
    Teacher,
    adversarial_direction,
    consistency,
    entropy_minimization,
    fixmatch,
    pseudo_label,
    ramp_up,
    virtual_adversarial,
)
from trainsmith.regularization.sharing import TiedAutoencoder, soft_tying
from trainsmith.regularization.sharpness import SAM
from trainsmith.regularization.sparse import L1, ElasticNet
from trainsmith.regularization.stochastic import (
    DropBranch,
    StochasticDepth,
    StochasticPool2d,
    linear_decay,
    monte_carlo_dropout,
)
from trainsmith.regularization.structured_dropout import AlphaDropout, DropBlock, SpatialDropout
from trainsmith.regularization.tied import SoftTying, Transposed, tied_weights
from trainsmith.regularization.twice import GradientPenalty, RDrop
from trainsmith.regularization.two_views import MeanTeacher, PiModel
from trainsmith.regularization.weight_sharing import SoftWeightSharing
from trainsmith.regularization.worst_direction import VAT

__all__ = [
    "L1",
    "L2",
    "SAM",
    "SWA",
    "TRADES",
    "TRADESL2",
    "VAT",
    "ActivityKL",
    "ActivityL1",
    "ActivityPenalty",
    "AlphaDropout",
    "AuxiliaryReconstruction",
    "AuxiliaryRotation",
    "Averaging",
    "Bagging",
    "ConfidencePenalty",
    "Constraint",
    "CutMix",
    "Cutout",
    "DeepEnsemble",
    "DropBlock",
    "DropBranch",
    "DropConnect",
    "DropConnectLinear",
    "Dropout",
    "EarlyStopping",
    "EarlyStoppingContinue",
    "EarlyStoppingRetrain",
    "ElasticNet",
    "Ensemble",
    "EntropyMinimization",
    "FGSMTraining",
    "FGSMTrainingL2",
    "FeatureDropout",
    "FixMatch",
    "Flip",
    "GaussianDropConnect",
    "GradientNoise",
    "GradientPenalty",
    "InputNoise",
    "KWinners",
    "LabelSmoothing",
    "ManifoldMixup",
    "MaxNorm",
    "MeanTeacher",
    "Mixup",
    "MonteCarlo",
    "MonteCarloDropout",
    "NoRegularization",
    "Orthogonality",
    "OwnAugmentation",
    "PGDTraining",
    "PGDTrainingL2",
    "PiModel",
    "PolyakAveraging",
    "PseudoLabel",
    "RDrop",
    "RandAugment",
    "RootMeanSquare",
    "Rotation",
    "SharedTrunk",
    "Shift",
    "SnapshotEnsemble",
    "SoftThreshold",
    "SoftTying",
    "SoftWeightSharing",
    "SpatialDropout",
    "StochasticDepth",
    "StochasticPool2d",
    "SwapNoise",
    "Teacher",
    "TiedAutoencoder",
    "Transposed",
    "UncertainReconstruction",
    "UncertainRotation",
    "UncertaintyWeights",
    "UntilMatched",
    "WeightDecay",
    "WeightEMA",
    "WeightNoise",
    "Zoom",
    "activity_cost",
    "adversarial_direction",
    "adversarial_loss",
    "augmentation",
    "augmentation_elsewhere",
    "average_probabilities",
    "averaged",
    "bootstrap",
    "consistency",
    "continue_until",
    "entropy_minimization",
    "fgsm",
    "fixmatch",
    "linear_decay",
    "mixed_loss",
    "monte_carlo_dropout",
    "pgd",
    "pseudo_label",
    "ramp_up",
    "retrain",
    "robust_accuracy",
    "rotated",
    "snapshot_rate",
    "soft_tying",
    "tied_weights",
    "trades",
    "virtual_adversarial",
]
