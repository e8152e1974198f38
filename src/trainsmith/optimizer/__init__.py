"""Optimizers: each is an ordinary torch.optim.Optimizer around one update rule."""

from trainsmith.optimizer.adaptive import Adam, RMSprop
from trainsmith.optimizer.gradient_descent import SGD, Momentum, Nesterov
from trainsmith.optimizer.rule import Optimizer

__all__ = ["SGD", "Adam", "Momentum", "Nesterov", "Optimizer", "RMSprop"]
