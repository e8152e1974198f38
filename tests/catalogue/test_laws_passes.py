"""What holds for every technique with passes of its own: alone, in a population, with batch normalization."""

import copy
import functools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from each_technique import each, settings
from make_runs import blobs
from side_by_side import side_by_side
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.population import make_member

each_pass = each("pass")


LATER = ("start", "ramp")
"""Numbers that say when a technique begins to act: here it acts at once."""


def network_of():
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).double()


def small(shape, outputs):
    """Two hidden layers: what is traced grows with each, and a normalization behind another says it all."""
    layers = [nn.Linear(math.prod(shape), 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, outputs)]
    return nn.Sequential(nn.Flatten(), *layers)


def kind_of(technique):
    return "table" if "table" in getattr(technique.make, "kinds", ("table",)) else "images"


def batch(technique):
    draws = torch.Generator().manual_seed(1)
    shape = (4,) if kind_of(technique) == "table" else (1, 2, 2)
    return torch.rand(6, *shape, generator=draws).double(), torch.randint(0, 3, (6,), generator=draws)


@functools.cache
def data_of(kind):
    """A table, or images of as many numbers for a technique that is for images alone."""
    table = blobs(features=16)
    return table if kind == "table" else from_arrays(table.x.numpy().reshape(-1, 1, 4, 4), table.y.numpy(), "images")


def members(kind, several, *names):
    """One for each of these numbers, in double precision: the slopes of two normalizations by 4 amplify a last bit."""
    recipe = Recipe(normalization="batch", optimizer="sgd", regularization=(*names, "dropout"))
    made = [make_member(Run(Trial(recipe, given), 5), small, data_of(kind)) for given in several]
    for member in made:
        member.objective.double()
    return made


@functools.cache
def ordinary(kind):
    """Losses of the same network without any such technique, on the first member's examples."""
    data = data_of(kind)
    return side_by_side(lambda: members(kind, [{}]), data.x.double(), data.y, steps=3)[1][:, 0]


@each_pass
def test_without_strength_it_is_the_ordinary_loss_and_gradient(technique):
    x, y = batch(technique)
    network = network_of()
    weak = {h.name: h.domain.low for h in technique.hyperparameters if h.name != "alpha" or h.tuned}
    torch.manual_seed(0)
    own = technique.make(**weak).double()(network, functional.cross_entropy, x, y)
    expected = functional.cross_entropy(network(x), y)
    torch.testing.assert_close(own, expected)
    for a, b in zip(*(torch.autograd.grad(v, list(network.parameters())) for v in (own, expected)), strict=True):
        torch.testing.assert_close(a, b)


@each_pass
def test_running_statistics_move_once_and_nothing_else_does(technique):
    x, y = batch(technique)
    network = network_of()
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    technique.make().double()(network, functional.cross_entropy, x, y)
    moved = int(network[2].num_batches_tracked)
    assert moved == (2 if technique.name.startswith(("fgsm-training", "trades")) else 1), (
        "clean and moved examples, or one"
    )
    assert all(torch.equal(before[n], p) and p.grad is None for n, p in network.named_parameters())


@each_pass
def test_members_with_other_numbers_get_together_what_they_get_alone(technique):
    kind = kind_of(technique)
    data = data_of(kind)
    numbers = [{n: v for n, v in given.items() if n not in LATER} for given in settings(technique)]
    now = {n: 0.0 for n in technique.defaults if n in LATER}
    several = [{f"{technique.name}.{n}": v for n, v in {**given, **now}.items()} for given in numbers]
    made = functools.partial(members, kind, several, technique.name)
    together, alone = side_by_side(made, data.x.double(), data.y, steps=3)
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-8)
    assert not torch.allclose(together[1:, 0], ordinary(kind)[1:], rtol=1e-3)


@each_pass
def test_the_network_stays_as_it_was_for_who_trains_it(technique):
    network, (x, y) = network_of(), batch(technique)
    twin = copy.deepcopy(network)
    technique.make().double()(network, functional.cross_entropy, x, y)
    assert list(network.state_dict()) == list(twin.state_dict())


@each_pass
@pytest.mark.parametrize("other", ["cutmix", "weight-noise"])
def test_it_does_not_share_the_pass(technique, other):
    images = from_arrays(torch.rand(60, 1, 4, 4).numpy(), (torch.arange(60) % 3).numpy(), "images")
    with pytest.raises(InvalidInput, match="cannot act together"):
        make_member(Run(Trial(Recipe(regularization=(technique.name, other))), 0), "mlp", images)
