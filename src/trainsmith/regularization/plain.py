"""Layers that torch.nn does not have, as they are written into an exported network's source."""

import math

import torch
from torch import nn


class TopUnits(nn.Module):
    """The largest ceil(share * units) units of each example; the others are 0."""

    def __init__(self, share):
        super().__init__()
        self.share = share

    def forward(self, x):
        units = x.flatten(1)
        count = max(1, math.ceil(self.share * units.shape[1] - 1e-4))
        least = units.topk(count).values[:, -1:].view(-1, *(1,) * (x.ndim - 1))
        return torch.where(x < least, 0, x)

    def extra_repr(self):
        return f"share={self.share}"
