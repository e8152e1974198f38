"""What the scripts of results/claims compute by themselves, against torch, definitions and sampling."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "results" / "claims"))

import c10_dead
import c13_ensemble
import grid
import h07_few_labels
import h09_dropconnect
import h13_edge
import h14_noise_scale
import h16_early_stopping
import h17_pooling
from perceptrons import SideBySide
from training import Course, Part, Parts


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSMITH_CACHE", str(tmp_path))


def blobs(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    return Part(torch.randn(n, 4, generator=generator) + 4 * torch.eye(4)[y], y)


class Locked:
    """A data set of which only the test part is asked."""

    def __init__(self, part):
        self.test, self.part, self.opened = self, part, 0

    def open(self):
        self.opened += 1
        return self.part.x, self.part.y


def linear(scale):
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    return nn.Sequential(layer, Scaled(scale))


class Scaled(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, x):
        return x * self.scale


def test_sides_choose_on_validation_data_and_open_the_test_part_once():
    locked = Locked(blobs(90, 3))
    data = Parts(blobs(300, 1), blobs(90, 2), locked)
    learning = grid.Side(linear, [grid.Trial(1e-7, {"scale": 1.0}), grid.Trial(0.1, {"scale": 1.0})], "sgd")
    still = grid.Side(linear, [grid.Trial(1e-7, {"scale": 1.0})] * 2, "sgd")
    found, told = grid.compared({"a": learning, "b": still}, data, Course(40, 10, "constant"), 3, 2, examples=60)
    assert locked.opened == 1
    assert told["a"]["chosen"] == "lr 0.1"
    assert found["a"].shape == (3,)
    assert found["a"].max() < 20 < found["b"].min()
    few, all_of_them = (
        grid.population(learning, learning.trials, [7], data.train, Course(40, 10), n) for n in (20, None)
    )
    assert not torch.equal(few.outputs(data.train.x), all_of_them.outputs(data.train.x))
    with pytest.raises(ValueError, match="same number of trials"):
        grid.compared({"a": learning, "b": grid.Side(linear, still.trials[:1])}, data, Course(5, 10), 1)


def test_a_seed_draws_its_own_examples_without_replacement():
    first, again, other = (grid.own_examples([s], 100, 40)[0] for s in (3, 3, 4))
    assert len(set(first.tolist())) == 40
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_perceptrons_perceptrons_are_perceptrons():
    both = SideBySide((6, 5, 3), [0, 4])
    x = torch.randn(2, 7, 6)
    for k in range(2):
        one = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        for layer, w, b in zip((one[0], one[2]), both.weights, both.biases, strict=True):
            layer.weight.data, layer.bias.data = w[k].T.data, b[k, 0].data
        torch.testing.assert_close(both(x.flatten(0, 1))[7 * k : 7 * k + 7], one(x[k]))
    assert not torch.equal(both.weights[0][0], both.weights[0][1])
    assert torch.equal(both.weights[0][1], SideBySide((6, 5, 3), [4]).weights[0][0])


def test_few_labels_are_ten_a_class_and_unlabelled_images_are_of_the_pool(monkeypatch):
    monkeypatch.setattr(h07_few_labels, "POOL", 150)
    part = Part(torch.arange(400.0)[:, None], torch.arange(400) % 10)
    few = h07_few_labels.drawn(part, range(2))
    assert few.y.shape == (2, 100)
    assert all(torch.equal(torch.bincount(y), torch.full((10,), 10)) for y in few.y)
    assert torch.equal(few.y, (few.x[..., 0] % 10).long())
    assert few.pool.shape == (2, 150)


def test_dead_units_are_those_with_no_slope_on_any_image():
    network = nn.Sequential(nn.Linear(2, 4), c10_dead.ReLU())
    network[0].weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    network[0].bias.data = torch.tensor([0.0, 0.0, -5.0, -2.0])
    x = torch.tensor([[1.0, 1.0], [2.0, 3.0]])
    assert c10_dead.dead(network, x).tolist() == [False, True, True, False]
    leaky = nn.Sequential(network[0], c10_dead.LeakyReLU())
    assert not c10_dead.dead(leaky, x).any()
    saturated = nn.Sequential(network[0], c10_dead.ELU())
    assert c10_dead.dead(saturated, x * 10).tolist() == [False, True, False, False]


def test_sharpness_is_the_largest_eigenvalue_of_the_hessian():
    torch.manual_seed(0)
    module, x, y = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(9, 3), torch.randn(9, 2)
    names, shapes = zip(*((n, p.shape) for n, p in module.named_parameters()), strict=True)

    def loss(flat):
        parts = torch.split(flat, [s.numel() for s in shapes])
        named = {n: t.view(s) for n, t, s in zip(names, parts, shapes, strict=True)}
        return 0.5 * (torch.func.functional_call(module, named, (x,)) - y).square().sum(-1).mean()

    flat = torch.cat([p.detach().flatten() for p in module.parameters()])
    hessian = torch.autograd.functional.hessian(loss, flat).double()
    expected = float(torch.linalg.eigvalsh(hessian)[-1])
    assert h13_edge.sharpness(module, x, y) == pytest.approx(expected, rel=1e-3)


def test_the_noise_scale_is_that_of_the_gradients_one_by_one():
    torch.manual_seed(0)
    module, part = nn.Linear(4, 3), blobs(40)
    rows = []
    for x, y in zip(part.x, part.y, strict=True):
        loss = nn.functional.cross_entropy(module(x[None]), y[None])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, module.parameters())]))
    rows = torch.stack(rows).double().numpy()
    trace = np.cov(rows.T).trace()
    expected = trace, (rows.mean(0) ** 2).sum() - trace / 40
    assert h14_noise_scale.trace_and_square(module, part) == pytest.approx(expected, rel=1e-4)


def test_gaussian_inference_has_the_mean_and_variance_of_the_masks():
    torch.manual_seed(0)
    layer, x = h09_dropconnect.DropConnect(30, 4), torch.randn(1, 30).abs()
    many = layer(x.expand(40_000, 30)).mean(0)
    torch.testing.assert_close(layer.eval().gaussian(x)[0], many, rtol=0.03, atol=0.01)
    assert (many - layer(x)[0]).abs().max() > 0.03  # what the mean weights would give


def test_stochastic_pooling_draws_by_size_and_weights_by_probability():
    torch.manual_seed(0)
    pool = h17_pooling.StochasticPool()
    x = torch.tensor([[1.0, 3.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]])[None, None]
    drawn = torch.cat([pool(x) for _ in range(4_000)]).flatten(1)
    values, counts = drawn[:, 0].unique(return_counts=True)
    assert values.tolist() == [1.0, 3.0, 4.0]
    torch.testing.assert_close(counts / 4_000, torch.tensor([1 / 8, 3 / 8, 1 / 2]), atol=0.03, rtol=0)
    assert not drawn[:, 1].any()
    torch.testing.assert_close(pool.eval()(x).flatten(), torch.tensor([26 / 8, 0.0]))


def test_a_share_of_the_labels_is_wrong_and_the_images_stay():
    part = Part(torch.randn(50_000, 2), torch.arange(50_000) % 10)
    wrong = h16_early_stopping.with_wrong_labels(part, 0.2)
    assert float((wrong.y != part.y).double().mean()) == pytest.approx(0.2, abs=0.006)
    assert wrong.x is part.x
    assert torch.equal(h16_early_stopping.with_wrong_labels(part, 0.0).y, part.y)


def test_a_group_of_networks_is_scored_alone_and_together(monkeypatch):
    monkeypatch.setattr(c13_ensemble, "MEMBERS", 3)
    logits = torch.tensor([[1.2, 0.0], [1.2, 0.0], [0.0, 10.0]])[:, None].repeat(1, 4, 1)

    class Three:
        active = (0, 1, 2)

        def __len__(self):
            return 3

        def outputs(self, x):
            return logits[:, : len(x)]

    found = c13_ensemble.group_errors(Three(), Part(torch.zeros(4, 1), torch.tensor([0, 0, 0, 1])), 1)
    assert found["mean member"].tolist() == pytest.approx([(25 + 25 + 75) / 3])
    assert found["best member"].tolist() == [25.0]
    assert found["together"].tolist() == [25.0]
