"""Modules that torch.nn lacks, in torch alone: exported source contains them as they stand here."""

import torch
from torch import nn


class Standardize(nn.Module):
    """(x - mean) / std with the training data's mean and std, kept with the weights."""

    def __init__(self, shape):
        super().__init__()
        self.shape = tuple(shape)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def forward(self, x):
        return (x - self.mean) / self.std

    def extra_repr(self):
        return repr(self.shape)


class Rescale(nn.Module):
    """(x - shift) / scale with the training data's numbers, kept with the weights."""

    def __init__(self, shape):
        super().__init__()
        self.shape = tuple(shape)
        self.register_buffer("shift", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def forward(self, x):
        return (x - self.shift) / self.scale

    def extra_repr(self):
        return repr(self.shape)


class Whiten(nn.Module):
    """(x - mean) matrix for the flattened inputs, with the training data's numbers, kept with the weights."""

    def __init__(self, features):
        super().__init__()
        self.features = features
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("matrix", torch.eye(features))

    def forward(self, x):
        return ((x.flatten(1) - self.mean) @ self.matrix).reshape(x.shape)

    def extra_repr(self):
        return repr(self.features)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, the mean over channels and positions, one weight a channel."""

    def __init__(self, channels, eps):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        size = torch.rsqrt(wide.square().mean(tuple(range(1, x.ndim)), keepdim=True) + self.eps)
        return (wide * size * self.weight.view(-1, *(1,) * (x.ndim - 2))).to(x.dtype)

    def extra_repr(self):
        return f"{len(self.weight)}, {self.eps!r}"
