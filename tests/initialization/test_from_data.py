"""Initializations that look at training data: LSUV and the class prior."""

import numpy as np
import pytest
import torch
from torch import nn

from trainsmith.errors import InvalidInput
from trainsmith.initialization import LSUV, ClassPrior, he, orthogonal
from trainsmith.normalization import WeightNorm


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def outputs_of_layers(network, x):
    seen = []
    hooks = [
        m.register_forward_hook(lambda m, a, out: seen.append(out))
        for m in network.modules()
        if isinstance(m, (nn.Linear, nn.Conv2d))
    ]
    with torch.no_grad():
        network.eval()(x)
    for hook in hooks:
        hook.remove()
    return seen


NETWORKS = {
    "mlp": (lambda: nn.Sequential(*(m for _ in range(6) for m in (nn.Linear(20, 20), nn.GELU()))), (200, 20)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ELU(), nn.Dropout(0.5), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 5)
        ),
        (50, 3, 8, 8),
    ),
}
each_network = pytest.mark.parametrize(("build", "shape"), NETWORKS.values(), ids=NETWORKS)


@each_network
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_every_layers_outputs_get_variance_1(build, shape, scale):
    x = scale * torch.randn(shape, generator=seeded())
    network = LSUV(0.01)(build(), x, draw=lambda place: seeded(place))
    for out in outputs_of_layers(network, x):
        assert out.var(correction=0).item() == pytest.approx(1, abs=0.0101)


@each_network
def test_weights_are_orthogonal_up_to_one_factor_a_layer(build, shape):
    network = LSUV()(build(), torch.randn(shape, generator=seeded()), draw=lambda place: seeded(place))
    layers = [m for m in network if hasattr(m, "weight")]
    for place, layer in enumerate(layers):
        drawn = orthogonal(torch.empty_like(layer.weight), 1.0, generator=seeded(place))
        factor = (layer.weight / drawn).detach()
        torch.testing.assert_close(factor, factor.flatten()[0].expand(factor.shape), rtol=1e-4, atol=0)


def test_a_layer_within_the_tolerance_is_left_as_it_is():
    x = 1.05 * torch.randn(5000, 30, generator=seeded())
    for tolerance, kept in ((0.5, True), (0.01, False)):
        layer = LSUV(tolerance)(nn.Linear(30, 30), x, draw=lambda place: seeded(7))
        assert torch.equal(layer.weight, orthogonal(torch.empty(30, 30), 1.0, generator=seeded(7))) is kept


def test_outputs_that_do_not_vary_and_weights_made_elsewhere_are_left_alone():
    network = LSUV()(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), torch.zeros(9, 4))
    assert all(p.isfinite().all() for p in network.parameters())
    wrapped = WeightNorm(nn.Linear(4, 4))
    before = wrapped.layer.weight.clone()
    LSUV(0.001).finish(wrapped, 5 * torch.randn(9, 4))
    assert torch.equal(wrapped.layer.weight, before)


def test_a_layer_that_is_called_twice_keeps_the_scale_of_its_first_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x):
            return self.layer(3 * self.layer(x))

    x = 2 * torch.randn(100, 8, generator=seeded())
    network = LSUV(0.01)(Twice(), x)
    assert outputs_of_layers(network, x)[0].var(correction=0).item() == pytest.approx(1, abs=0.0101)


@pytest.mark.parametrize("targets", [[0, 0, 0, 1, 2, 2], [1, 1, 1, 1, 1, 1]])
def test_without_inputs_the_last_layer_predicts_the_classes_frequencies(targets):
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    ClassPrior()(network, torch.randn(6, 4), torch.tensor(targets), draw=lambda place: seeded(place))
    expected = (np.bincount(targets, minlength=3) + 1) / 9
    with torch.no_grad():
        np.testing.assert_allclose(network[2].bias.softmax(0), expected, rtol=1e-6)
    assert not network[0].bias.any()
    for place, layer in ((0, network[0]), (1, network[2])):
        assert torch.equal(layer.weight, he(torch.empty_like(layer.weight), generator=seeded(place)))


def test_the_last_layer_is_the_one_that_is_called_last():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body = nn.Linear(4, 3), nn.Linear(4, 4)

        def forward(self, x):
            return self.head(self.body(x))

    network = ClassPrior()(Backwards(), torch.randn(4, 4), torch.tensor([0, 0, 0, 1]))
    assert network.head.bias.any()
    assert not network.body.bias.any()


@pytest.mark.parametrize("targets", [None, torch.randn(6)])
def test_targets_that_are_no_classes_are_refused(targets):
    with pytest.raises(InvalidInput, match="class-prior needs targets that are classes"):
        ClassPrior()(nn.Linear(4, 3), torch.randn(6, 4), targets)


@pytest.mark.parametrize("network", [nn.Linear(4, 3, bias=False), nn.Linear(4, 2), nn.Flatten()])
def test_a_network_without_a_bias_for_each_class_is_refused(network):
    with pytest.raises(InvalidInput, match="class-prior needs a last layer with a bias for each class"):
        ClassPrior()(network, torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2]))


def test_lsuvs_variance_is_that_of_the_outputs_there_are_however_few():
    network, x = nn.Linear(5, 2), torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    LSUV(1e-6)(network, x)
    assert network(x).var(correction=0).item() == pytest.approx(1.0, abs=1e-5)
