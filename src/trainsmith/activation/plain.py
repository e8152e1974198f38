"""Modules that torch.nn lacks, in torch alone: exported source contains them as they stand here."""

import functools

import torch
from torch import nn


class HardSigmoid(nn.Module):
    """min(1, max(0, slope * x + 1/2))."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return (self.slope * x + 0.5).clamp(0, 1)

    def extra_repr(self):
        return repr(self.slope)


class Swish(nn.Module):
    """x * sigmoid(beta * x)."""

    def __init__(self, beta):
        super().__init__()
        self.beta = beta

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)

    def extra_repr(self):
        return repr(self.beta)


class SwiGLU(nn.Module):
    """silu(a) * b for the two halves a, b of the features."""

    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        a, b = x.chunk(2, self.axis)
        return nn.functional.silu(a) * b

    def extra_repr(self):
        return repr(self.axis)


class GEGLU(nn.Module):
    """gelu(a) * b for the two halves a, b of the features."""

    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        a, b = x.chunk(2, self.axis)
        return nn.functional.gelu(a) * b

    def extra_repr(self):
        return repr(self.axis)


class Maxout(nn.Module):
    """The largest of the corresponding features of `pieces` equal parts."""

    def __init__(self, pieces, axis):
        super().__init__()
        self.pieces, self.axis = pieces, axis

    def forward(self, x):
        return functools.reduce(torch.maximum, x.chunk(self.pieces, self.axis))

    def extra_repr(self):
        return f"{self.pieces}, {self.axis}"


class CReLU(nn.Module):
    """The positive parts of the features, then the negative ones."""

    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        return torch.relu(torch.cat([x, -x], self.axis))

    def extra_repr(self):
        return repr(self.axis)
