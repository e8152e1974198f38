"""Modules that torch.nn lacks, in torch alone: exported source contains them as they stand here."""

from torch import nn


class Residual(nn.Module):
    """A shortcut around a branch whose outputs have the shape of its inputs: x + branch(x)."""

    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return x + self.branch(x)


class AtEachPosition(nn.Module):
    """A layer for (n, features) that treats each position of (n, ..., features) as an example of its own."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.flatten(0, -2)).unflatten(0, x.shape[:-1])
