"""Pooling swapped for stochastic pooling where the regions are the same, and listed where they are not."""

import pytest
import torch
from torch import nn

from trainsmith.network import swap_pooling
from trainsmith.regularization import StochasticPool2d

X = torch.rand(3, 2, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2), nn.AvgPool2d(3, stride=2), nn.MaxPool2d((2, 2), (3, 3)), nn.MaxPool2d(5, padding=(0, 0))]
)
def test_it_takes_the_place_with_the_same_regions(pool):
    network = nn.Sequential(nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU()), pool).eval()
    nn.init.uniform_(network[0][0].weight, 0.5, 1.0)  # so that no map is all zeros
    shape, most = network(X).shape, nn.functional.max_pool2d(network[0](X), pool.kernel_size, pool.stride)
    assert swap_pooling(network) == {}
    assert isinstance(network[1], StochasticPool2d)
    assert not network[1].training
    assert network(X).shape == shape
    assert bool((network(X) <= most + 1e-6).all())
    drawn = network.train()(X)
    assert bool((drawn <= most + 1e-6).all())
    assert not torch.equal(drawn, network(X))


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        (nn.MaxPool2d((2, 3)), "no squares"),
        (nn.MaxPool2d(2, stride=(1, 2)), "no squares"),
        (nn.MaxPool2d(3, padding=1), "beyond the image"),
        (nn.AvgPool2d(3, padding=(0, 1)), "beyond the image"),
        (nn.MaxPool2d(2, dilation=2), "gaps"),
        (nn.MaxPool2d(2, ceil_mode=True), "rounds"),
        (nn.AdaptiveAvgPool2d(1), "AdaptiveAvgPool2d has no stochastic form"),
        (nn.LPPool2d(2, 2), "LPPool2d has no stochastic form"),
    ],
)
def test_what_is_left_is_listed(pool, reason):
    network = nn.ModuleDict({"inside": nn.Sequential(nn.ReLU(), pool)})
    left = swap_pooling(network)
    assert list(left) == ["inside.1"]
    assert reason in left["inside.1"]
    assert network["inside"][1] is pool
