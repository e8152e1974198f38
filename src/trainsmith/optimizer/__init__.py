"""Optimizers: each is an ordinary torch.optim.Optimizer around one update rule.

Where a rule has beta1 and beta2, `betas=(beta1, beta2)` gives both at once, as to torch's own.
"""

from trainsmith.optimizer.accumulated import AdaDelta, AdaGrad
from trainsmith.optimizer.adam_decayed import AdamW, AMSGrad
from trainsmith.optimizer.adam_variants import Adamax, NAdam, RAdam
from trainsmith.optimizer.adaptive import Adam, RMSprop
from trainsmith.optimizer.average import WeightAverage, recompute_statistics, whole_batches, with_statistics
from trainsmith.optimizer.centred import CentredRMSprop
from trainsmith.optimizer.clipping import (
    AdaptiveClipping,
    ClipByNorm,
    ClipByValue,
    Clipping,
    clip_adaptively,
    clip_by_norm,
    clip_by_value,
)
from trainsmith.optimizer.eigenbasis import SOAP
from trainsmith.optimizer.factored import Adafactor
from trainsmith.optimizer.gradient_descent import SGD, Momentum, Nesterov
from trainsmith.optimizer.layerwise import LAMB, LARS
from trainsmith.optimizer.moving_average import MovingAverage
from trainsmith.optimizer.orthogonalized import Muon
from trainsmith.optimizer.plateau import Plateau
from trainsmith.optimizer.rule import Optimizer
from trainsmith.optimizer.schedule import SCHEDULES, Schedule, scheduler
from trainsmith.optimizer.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from trainsmith.optimizer.schedules_falling import constant_rate, exponential, staircase
from trainsmith.optimizer.schedules_rising import cosine, linear_decay, one_cycle, stable_decay, warm_up
from trainsmith.optimizer.sign import Lion

__all__ = [
    "LAMB",
    "LARS",
    "SCHEDULES",
    "SGD",
    "SOAP",
    "AMSGrad",
    "AdaDelta",
    "AdaGrad",
    "Adafactor",
    "Adam",
    "AdamW",
    "Adamax",
    "AdaptiveClipping",
    "CentredRMSprop",
    "ClipByNorm",
    "ClipByValue",
    "Clipping",
    "Lion",
    "Momentum",
    "MovingAverage",
    "Muon",
    "NAdam",
    "Nesterov",
    "Optimizer",
    "Plateau",
    "RAdam",
    "RMSprop",
    "Schedule",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "WeightAverage",
    "clip_adaptively",
    "clip_by_norm",
    "clip_by_value",
    "constant_rate",
    "cosine",
    "exponential",
    "linear_decay",
    "one_cycle",
    "recompute_statistics",
    "scheduler",
    "stable_decay",
    "staircase",
    "warm_up",
    "whole_batches",
    "with_statistics",
]
