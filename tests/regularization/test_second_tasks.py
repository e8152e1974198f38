"""Second tasks by name: against the papers' formulas, with heads that are trained, penalized, and not deployed."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from make_runs import blobs
from reference import second_task as paper
from trainsmith import Population, luck
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.population import Alone, Training, make_member, train
from trainsmith.regularization import (
    AuxiliaryReconstruction,
    AuxiliaryRotation,
    UncertainReconstruction,
    UncertainRotation,
)
from uniform_draws import drawing

TRAINING = Training(steps=4, batch_size=8, checks=1)


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSMITH_CACHE", str(tmp_path))


def network_and_images():
    torch.manual_seed(2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    return network, torch.rand(4, 1, 3, 3).double(), torch.tensor([0, 1, 2, 1])


def features_of(network):
    first = [p.detach().numpy() for p in network[1].parameters()]
    return lambda images: np.tanh(images.reshape(len(images), -1) @ first[0].T + first[1])


def head_of(task):
    return task.head.weight.detach().numpy(), task.head.bias.detach().numpy()


@pytest.mark.parametrize("kind", [AuxiliaryReconstruction, UncertainReconstruction])
def test_reconstruction_is_of_standardized_inputs_from_what_the_last_layer_gets(kind):
    network, x, y = network_and_images()
    seen = torch.cat([x, 3 * x])
    task = kind(0.7).double().fit(seen).with_head(network, x)
    with torch.no_grad():
        task.head.bias.copy_(torch.randn(9))
    first = functional.cross_entropy(network(x), y).item()
    given = features_of(network)(x.numpy()), *head_of(task), x.numpy(), seen.mean().item(), seen.numpy().std()
    second = paper.reconstruction(*given)
    expected = first + 0.7 * second
    if kind is UncertainReconstruction:
        with torch.no_grad():
            task.log_variance.copy_(torch.tensor([0.4, -0.3]))
        expected = paper.weighed_by_uncertainty(first, second, 0.4, -0.3, 0.7)
    assert task(network, functional.cross_entropy, x, y).item() == pytest.approx(expected, rel=1e-7)


def test_columns_of_a_table_are_standardized_each_by_itself_and_constant_ones_are_left():
    x = torch.tensor([[1.0, 10.0, 5.0], [3.0, 50.0, 5.0]])
    task = AuxiliaryReconstruction(1.0).fit(x)
    assert ((x - task.centre) / task.scale).tolist() == [[-1, -1, 0], [1, 1, 0]]


@pytest.mark.parametrize("kind", [AuxiliaryRotation, UncertainRotation])
def test_rotation_tells_the_quarter_by_which_each_image_was_turned(kind):
    network, x, y = network_and_images()
    task = kind(0.7).double().with_head(network, x)
    with torch.no_grad():
        task.head.bias.copy_(torch.randn(4))
    first = functional.cross_entropy(network(x), y).item()
    second = paper.rotation(features_of(network), *head_of(task), x.numpy(), [1, 0, 3, 2])
    expected = first + 0.7 * second
    if kind is UncertainRotation:
        with torch.no_grad():
            task.log_variance.copy_(torch.tensor([-0.2, 0.5]))
        expected = paper.weighed_by_uncertainty(first, second, -0.2, 0.5, 0.7)
    with drawing([0.3, 0.1, 0.99, 0.6]):
        got = task(network, functional.cross_entropy, x, y)
    assert got.item() == pytest.approx(expected, rel=1e-7)


def test_learned_weights_have_the_papers_gradient_and_their_best_where_it_says():
    task = UncertainReconstruction(1.0).double()
    assert not task.log_variance.any()  # the sum of both losses at the start
    losses = torch.tensor([0.7, 2.5], dtype=torch.float64)
    with torch.no_grad():
        task.log_variance.copy_((2 * losses).log())
    (gradient,) = torch.autograd.grad(task.joined(*losses), task.log_variance)
    assert gradient.abs().max() < 1e-7


def test_the_features_are_those_of_the_layer_that_is_called_last():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first, self.unused = nn.Linear(7, 2), nn.Conv2d(1, 7, 3), nn.Linear(50, 50)

        def forward(self, x):
            return self.last(self.first(x).flatten(1))

    network, x, y = Backwards(), torch.rand(4, 1, 3, 3), torch.tensor([0, 1, 1, 1])
    task = AuxiliaryReconstruction(1.0).with_head(network, x)
    assert (task.head.in_features, task.head.out_features) == (7, 9)
    expected = functional.cross_entropy(network(x), y) + functional.mse_loss(
        task.head(network.first(x).flatten(1)), x.flatten(1)
    )
    torch.testing.assert_close(task(network, functional.cross_entropy, x, y), expected)


def member_of(name, *others, data=None, optimizer="sgd", seed=3, **numbers):
    recipe = Recipe(optimizer=optimizer, regularization=(name, *others))
    return make_member(Run(Trial(recipe, numbers), seed), "mlp", data or blobs())


def test_the_head_comes_from_the_seed_is_trained_and_is_no_part_of_what_is_kept():
    data, member = blobs(), member_of("auxiliary-reconstruction")
    head = member.objective.passes.head
    drawn = torch.randn(12, 100, generator=luck.torch_generator(3, "second task")) / 10
    torch.testing.assert_close(head.weight.detach(), drawn)
    assert not head.bias.any()
    before = head.weight.detach().clone()
    (result,) = train(Alone(member), data.x, data.y, TRAINING, keep_states=True)
    assert not torch.equal(head.weight, before)
    assert list(result.state) == list(member.objective.network.state_dict())
    other = member_of("auxiliary-reconstruction", seed=4).objective.passes.head
    assert not torch.equal(other.weight, before)


def test_penalties_count_the_heads_weights_and_not_its_biases_or_learned_weights():
    data, numbers = blobs(), {"l2.strength": 0.5}
    member = member_of("auxiliary-reconstruction-uncertainty", "l2", **numbers)
    objective = member.objective
    with torch.no_grad():
        for p in objective.parameters():
            p.fill_(0.01)
    x, y = data.x[:8], data.y[:8]
    whole = objective(x, y)
    objective.penalized = False
    weights = [p for p in objective.parameters() if p.ndim == 2]
    assert objective.passes.head.weight in set(weights)
    expected = 0.5 / 2 * sum(1e-4 * p.numel() for p in weights)
    assert (whole - objective(x, y)).item() == pytest.approx(expected, rel=1e-5)


def test_constraints_and_gradient_noise_reach_the_head():
    data = blobs()
    member = member_of("auxiliary-reconstruction", "max-norm", **{"max-norm.limit": 1e-3, "sgd.lr": 0.1})
    train(Alone(member), data.x, data.y, TRAINING)
    assert member.objective.passes.head.weight.norm(dim=1).max() < 1.001e-3
    noisy = member_of("auxiliary-reconstruction", "gradient-noise", **{"gradient-noise.eta": 1.0}).objective
    plain = member_of("auxiliary-reconstruction").objective
    for objective in (noisy, plain):
        objective(data.x[:8], data.y[:8]).backward()
    assert not torch.equal(noisy.passes.head.bias.grad, plain.passes.head.bias.grad)


def test_it_is_left_out_with_the_reason_where_it_cannot_act():
    wide = from_arrays(torch.rand(60, 1, 4, 5).numpy(), (torch.arange(60) % 3).numpy(), "images")
    assert member_of("auxiliary-rotation").skipped == {
        "auxiliary-rotation": "it is for images, and these data are tables"
    }
    assert member_of("auxiliary-rotation", data=wide).skipped == {
        "auxiliary-rotation": "it turns square images (n, channels, side, side), and these inputs are (1, 4, 5)"
    }
    with pytest.raises(InvalidInput, match="AuxiliaryReconstruction cannot be used: the network calls no linear or"):
        AuxiliaryReconstruction().with_head(nn.Flatten(), torch.rand(2, 3))


def test_given_to_a_population_each_member_trains_its_own_head():
    draws = torch.Generator().manual_seed(1)
    x, y = torch.randn(64, 6, generator=draws), torch.randint(0, 3, (64,), generator=draws)

    def mlp():
        return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))

    given = [[AuxiliaryReconstruction(w)] for w in (0.0, 0.3, 3.0)]
    population = Population(mlp, 3, optimizer="sgd", lr=0.1, regularizers=given, seeds=5)
    fit = population.fit(x, y, steps=12, batch_size=16)
    assert fit.deviation <= fit.tolerance
    plain = Population(mlp, 1, optimizer="sgd", lr=0.1, seeds=5)
    torch.testing.assert_close(plain.fit(x, y, 12, 16).losses[:, 0], fit.losses[:, 0])
    assert list(population.member(2).state_dict()) == list(mlp().state_dict())
    # a plain loop on the same batches
    network, task = mlp(), AuxiliaryReconstruction(3.0)
    network.load_state_dict(Population(mlp, 1, seeds=5).member(0).state_dict())
    task.with_head(network, x, luck.torch_generator(5, "second task"))
    optimizer = torch.optim.SGD([*network.parameters(), *task.parameters()], lr=0.1)
    for chosen in luck.batches(5, np.arange(64), 16, 12):
        optimizer.zero_grad()
        task(network, functional.cross_entropy, x[chosen], y[chosen]).backward()
        optimizer.step()
    for p, q in zip(network.parameters(), population.member(2).parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)
