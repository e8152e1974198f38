"""A decoder made of its encoder's weights, and layers of one shape drawn to one another, by name."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from trainsmith import Population
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.export.check import imported
from trainsmith.export.winner import make_export
from trainsmith.population import Training, make_member
from trainsmith.regularization import SoftTying, tied_weights


def autoencoder(*sizes):
    torch.manual_seed(1)
    layers = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def test_the_decoder_is_the_encoder_transposed_and_the_middle_is_left():
    network = tied_weights(autoencoder(5, 4, 3, 3, 4, 5)).double()
    x = torch.rand(6, 5).double()
    with torch.no_grad():
        network[6].bias.copy_(torch.randn(4))
        network[8].bias.copy_(torch.randn(5))
    (w1, b1), (w2, b2), (w3, b3) = ([p.detach().numpy() for p in network[i].parameters()] for i in (0, 2, 4))
    c2, c1 = network[6].bias.detach().numpy(), network[8].bias.detach().numpy()
    h = np.tanh(np.tanh(np.tanh(x.numpy() @ w1.T + b1) @ w2.T + b2) @ w3.T + b3)
    expected = np.tanh(h @ w2 + c2) @ w1 + c1
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-10)


def test_a_tied_weight_has_the_gradients_of_both_its_uses():
    free = autoencoder(5, 3, 5).double()
    with torch.no_grad():
        free[2].weight.copy_(free[0].weight.T)
        free[2].bias.zero_()
    x = torch.rand(6, 5).double()
    one, two = torch.autograd.grad(functional.mse_loss(free(x), x), [free[0].weight, free[2].weight])
    tied = tied_weights(autoencoder(5, 3, 5).double())
    (both,) = torch.autograd.grad(functional.mse_loss(tied(x), x), tied[0].weight)
    torch.testing.assert_close(both, one + two.T)
    assert sum(p.numel() for p in tied.parameters()) == 15 + 3 + 5


@pytest.mark.parametrize("sizes", [(5, 3, 4), (5, 3, 3, 3, 2)])
def test_what_does_not_give_back_what_it_takes_is_no_autoencoder(sizes):
    with pytest.raises(InvalidInput, match="tied-weights needs an autoencoder of linear layers"):
        tied_weights(autoencoder(*sizes))


def test_a_decoder_without_biases_stays_without():
    network = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 4, bias=False))
    assert tied_weights(network)[1].bias is None


def test_soft_tying_draws_each_weight_to_the_next_of_its_shape():
    draws = [torch.randn(shape).double() for shape in ((2, 3), (3, 2), (2, 3), (4,), (2, 3))]
    a, _, b, _, c = (w.numpy() for w in draws)
    expected = 0.7 * (np.square(a - b).sum() + np.square(b - c).sum())
    assert SoftTying(0.7).double()(draws).item() == pytest.approx(expected, rel=1e-6)
    assert SoftTying(0.7)(draws[:2]) == 0


def test_soft_tying_is_left_out_where_no_two_layers_are_alike():
    data = from_arrays(np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3)

    def narrowing(shape, outputs):
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs))

    def equal(shape, outputs):
        return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, outputs))

    run = Run(Trial(Recipe(regularization=("soft-tying",)), {"soft-tying.strength": 0.3}), 0)
    assert make_member(run, narrowing, data).skipped == {
        "soft-tying": "no two weights of the network have the same shape"
    }
    objective = make_member(run, equal, data).objective
    x, y = data.x[:8], data.y[:8]
    apart = (objective.network[0].weight - objective.network[2].weight).square().sum()
    torch.testing.assert_close(objective(x, y), functional.cross_entropy(objective.network(x), y) + 0.3 * apart)


def test_a_population_is_told_to_tie_in_the_factory_and_trains_what_is_tied():
    def network():
        return tied_weights(nn.Sequential(nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 6)))

    with pytest.raises(InvalidInput, match="tied-weights cannot be among the regularizers: it changes the network"):
        Population(network, 2, regularizers=["tied-weights"])
    x = torch.rand(64, 6)
    population = Population(network, 2, lr=[1e-2, 1e-1], optimizer="sgd")
    fit = population.fit(x, x, steps=10, batch_size=16)
    assert fit.deviation <= fit.tolerance
    member = population.member(1)
    assert member[2].weight is member[0].weight


def square(shape, outputs):
    """Its layers mirror those of another network of the ensemble too."""
    return nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))


@pytest.mark.parametrize("network", ["mlp", square])
@pytest.mark.parametrize(
    "around", [("deep-ensemble",), ("snapshot-ensemble",), ("bagging", "monte-carlo-dropout")], ids=str
)
def test_each_network_of_an_exported_ensemble_has_ties_of_its_own(around, network):
    x = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    run = Run(Trial(Recipe(regularization=("tied-weights", *around))), 3)
    data = from_arrays(x, np.arange(60) % 3, task="autoencoding")
    export = make_export(run, network, data, Training(steps=10, batch_size=8))
    assert export.replay.deviation < 1e-5
    studied = make_member(run, network, data).objective.network
    with imported(export.files) as script:
        built = script.build()
    for count in (nn.Module.parameters, lambda m: m.state_dict().values()):
        assert sum(p.numel() for p in count(built)) == sum(p.numel() for p in count(studied))
