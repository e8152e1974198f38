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


class DropBlocks(nn.Module):
    """DropBlock (Ghiasi, Lin & Le 2018): square blocks of maps are switched off in training."""

    def __init__(self, rate, size):
        super().__init__()
        self.rate, self.size = rate, size

    def forward(self, x):
        if not self.training:
            return x
        kind = torch.promote_types(x.dtype, torch.float32)
        if x.ndim < 4:
            mask = (torch.rand_like(x, dtype=kind) >= self.rate).to(x.dtype)
        else:
            h, w = x.shape[-2:]
            size = min(self.size, h, w)
            size -= 1 - size % 2
            inner = x[..., : h - size + 1, : w - size + 1]
            gamma = self.rate / size**2 * (h * w / (inner.shape[-2] * inner.shape[-1]))
            seeds = (torch.rand_like(inner, dtype=kind) < gamma).to(x.dtype)
            maps = nn.functional.pad(seeds.flatten(1, -3), [size - 1] * 4)
            mask = 1 - nn.functional.max_pool2d(maps, size, stride=1).reshape(x.shape)
        kept = mask.flatten(1).sum(1, dtype=kind).clamp(min=1)
        return x * mask * (math.prod(x.shape[1:]) / kept).to(x.dtype).view(-1, *(1,) * (x.ndim - 1))

    def extra_repr(self):
        return f"rate={self.rate}, size={self.size}"


class DroppedChannels(nn.Module):
    """Spatial dropout: whole channels (axis 1) of an example are switched off in training."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if not self.training:
            return x
        kept = torch.rand(x.shape[:2], dtype=torch.promote_types(x.dtype, torch.float32), device=x.device) >= self.rate
        return x * kept.view(*x.shape[:2], *(1,) * (x.ndim - 2)) / (1 - self.rate)

    def extra_repr(self):
        return f"rate={self.rate}"
