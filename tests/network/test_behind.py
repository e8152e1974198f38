"""A layer behind a module of a network that is named."""

import pytest
import torch
from torch import nn

import trainsmith
from trainsmith.errors import InvalidInput
from trainsmith.network import behind
from trainsmith.regularization import ActivityL1, Dropout, KWinners, activity_cost

X = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
Y = torch.arange(60) % 3


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4), nn.Sigmoid())
        self.decoder = nn.Linear(4, 5)

    def forward(self, x):
        return self.decoder(self.encoder(x))


def test_the_penalty_is_that_of_the_named_layers_outputs_and_of_no_others():
    network = Autoencoder()
    hidden = network.encoder(X).detach()
    outputs = network(X)
    behind(network, {"encoder.3": ActivityL1(0.5)})
    assert torch.equal(network(X), outputs)
    (cost,) = activity_cost(network)
    torch.testing.assert_close(cost, 0.5 * hidden.sum(1).mean())
    behind(network, {"encoder": KWinners(0.25), "encoder.1": ActivityL1(0.5), "decoder": Dropout(0.1)})
    assert [name for name, m in network.named_modules() if isinstance(m, (ActivityL1, KWinners, Dropout))] == [
        "encoder.0.1.1", "encoder.0.3.1", "encoder.1", "decoder.1",
    ]  # fmt: skip
    assert ((network.encoder(X) != 0).sum(1) == 1).all()


def test_members_of_a_population_have_each_a_penalty_of_their_own():
    def network(strength):
        made = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
        behind(made, {"1": ActivityL1(strength)})
        return made

    population = trainsmith.Population(network, strength=[0.0, 0.5], seeds=0)
    fit = population.fit(X, Y, steps=20, batch_size=20)
    assert fit.losses[0, 1] > fit.losses[0, 0] + 0.1
    assert fit.deviation < 1e-4


@pytest.mark.parametrize("training", [True, False])
def test_what_is_put_in_has_the_mode_of_what_it_stands_behind(training):
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).train(training)
    behind(network, {"1": Dropout(0.5)})
    assert {m.training for m in network.modules()} == {training}


def test_names_and_places_that_are_not_one_are_refused_and_nothing_is_changed():
    shared = nn.ReLU()
    network = nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared)
    layer = Dropout(0.5)
    for layers, says in (
        ({"0": Dropout(0.5), "7": Dropout(0.5)}, "unknown module of the network '7': choose one of: 0, 1, 2"),
        ({"": Dropout(0.5)}, "unknown module of the network ''"),
        ({"0": Dropout(0.5), "1": Dropout(0.5)}, "1 stands in several places"),
        ({"0": layer, "2": layer}, "give each name a layer of its own"),
    ):
        with pytest.raises(InvalidInput, match=says):
            behind(network, layers)
    assert [type(m) for m in network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU]
