"""How many examples fit: numbers that operations give, counted by hand."""

import torch
from torch import nn

from inspection.make_network import draws
from trainsmith.inspection.passes import costs
from trainsmith.inspection.passes.costs import costs_of, looked_at


class Attends(nn.Module):
    def forward(self, x):
        return torch.softmax(x @ x.transpose(1, 2), -1) @ x


def test_numbers_are_those_that_operations_give_and_no_views():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
    operations, numbers = costs_of(network, draws(5, 3, 8, 8))
    assert numbers == 2 * 4 * 36 + 10
    assert operations == 2 * (4 * 36 * 27 + 4 * 36 * 10)
    assert costs_of(Attends(), draws(5, 7, 3))[1] == 2 * 49 + 21


def test_large_networks_are_looked_at_with_fewer_examples(monkeypatch):
    network, x = nn.Sequential(nn.Linear(10, 90), nn.Tanh(), nn.Linear(90, 20)), draws(4, 10)
    for most, held in ((200 * 1000, 1000), (200 * 500 + 199, 500), (200 * 31, 32), (1, 32)):
        monkeypatch.setattr(costs, "MOST_NUMBERS", most)
        assert looked_at(network, x, 1000, 32) == held
    assert looked_at(network, x[:, :3], 1000, 32) == 1000  # what is wrong is said later
