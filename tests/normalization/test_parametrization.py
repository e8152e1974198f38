"""Normalizations of weights: weight normalization, weight standardization, spectral normalization."""

import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils import parametrizations

from reference import normalization as paper
from trainsmith.errors import InvalidInput
from trainsmith.normalization import SpectralNorm, WeightNorm, WeightStandardization

LAYERS = {
    "linear": (lambda: nn.Linear(5, 4), (7, 5)),
    "linear without bias": (lambda: nn.Linear(5, 4, bias=False), (7, 5)),
    "convolution": (lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1), (3, 2, 5, 5)),
    "grouped convolution": (lambda: nn.Conv1d(4, 6, 3, groups=2), (3, 4, 8)),
}
each_layer = pytest.mark.parametrize(("build", "shape"), LAYERS.values(), ids=LAYERS)
each_technique = pytest.mark.parametrize("make", [WeightNorm, WeightStandardization, SpectralNorm])


def built(build, seed=0):
    torch.manual_seed(seed)
    return build().double()


def inputs(shape, seed=1):
    return 1 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@each_layer
@each_technique
def test_the_layer_is_used_with_the_effective_weight_and_is_trained_through_it(make, build, shape):
    layer = make(built(build)).double()
    x = inputs(shape)
    expected = functional_call(built(build), {"weight": layer.eval().effective()}, (x,))
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.plain()(x), expected)
    layer(x).square().sum().backward()
    for name, p in layer.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


@each_technique
def test_it_is_stored_and_copied(make):
    layer = make(nn.Linear(5, 4)).eval()
    x = torch.randn(3, 5)
    again = pickle.loads(pickle.dumps(layer))
    torch.testing.assert_close(again(x), layer(x))
    other = make(nn.Linear(5, 4)).eval()
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(x), layer(x))


@each_technique
def test_stacked_layers_have_their_own_weights_and_states_over_several_steps(make):
    layers = [make(built(lambda: nn.Linear(5, 4), seed)).double().train() for seed in range(3)]
    parameters, buffers = stack_module_state(layers)
    for step in range(3):
        x = torch.stack([inputs((6, 5), 10 * step + k) for k in range(3)])
        together = vmap(lambda p, b, x: functional_call(layers[0], {**p, **b}, (x,)))(parameters, buffers, x)
        for k, layer in enumerate(layers):
            torch.testing.assert_close(together[k], layer(x[k]))
            for name, buffer in layer.named_buffers():
                torch.testing.assert_close(buffers[name][k], buffer)
            with torch.no_grad():
                for name, p in layer.named_parameters():
                    p.mul_(1.1).add_(0.05)
                    parameters[name][k] = p


@each_layer
def test_weight_normalization_leaves_the_layer_what_it_was_and_g_is_the_length_of_each_unit(build, shape):
    layer, x = built(build), inputs(shape)
    wrapped = WeightNorm(built(build))
    torch.testing.assert_close(wrapped(x), layer(x))
    with torch.no_grad():
        wrapped.g.copy_(torch.arange(1, len(wrapped.g) + 1))
        wrapped.layer.weight.mul_(-7)
    for g, unit, v in zip(*(t.detach() for t in (wrapped.g, wrapped.effective(), wrapped.weight)), strict=True):
        assert math.sqrt(float(unit.square().sum())) == pytest.approx(g.item())
        torch.testing.assert_close(unit, g * v / v.norm())


@each_layer
def test_weight_normalization_is_torchs_with_its_gradients(build, shape):
    ours, theirs = WeightNorm(built(build)), parametrizations.weight_norm(built(build))
    x = inputs(shape)
    torch.testing.assert_close(ours(x), theirs(x))
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(ours.g.grad, theirs.parametrizations.weight.original0.grad.flatten())
    torch.testing.assert_close(ours.layer.weight.grad, theirs.parametrizations.weight.original1.grad)


@each_layer
def test_from_data_each_output_starts_with_mean_0_and_variance_1(build, shape):
    layer, x = WeightNorm(built(build)), inputs((50, *shape[1:]))
    before = layer.layer.weight.clone()
    assert layer.initialize(x) is layer
    y = layer(x).movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(y.shape[1]).double())
    if layer.layer.bias is not None:
        torch.testing.assert_close(y.mean(0), torch.zeros(y.shape[1]).double(), atol=1e-12, rtol=0)
    assert torch.equal(layer.layer.weight, before), "the directions stay as they were drawn"


def test_from_data_a_unit_that_sees_no_difference_keeps_its_length():
    layer = WeightNorm(built(lambda: nn.Linear(2, 3)))
    g = layer.g.clone()
    layer.initialize(torch.ones(9, 2).double())
    assert torch.equal(layer.g, g)
    assert not layer.layer.bias.any()


def test_g_is_not_decayed():
    layer = WeightNorm(nn.Conv2d(2, 4, 3))
    assert {n: p.ndim for n, p in layer.named_parameters()} == {"g": 1, "layer.weight": 4, "layer.bias": 1}


@each_technique
@pytest.mark.parametrize("layer", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_a_transposed_convolution_has_its_outputs_elsewhere_and_is_refused(make, layer):
    """With as many inputs as outputs nothing would show that the wrong axis is normalized."""
    with pytest.raises(InvalidInput, match=f"its outputs on axis 0, and that of {layer.__name__} has its inputs there"):
        make(layer(4, 4, 3))


@each_technique
@pytest.mark.parametrize("layer", [nn.LSTM(3, 3), nn.LayerNorm(3), nn.ReLU()], ids=lambda m: type(m).__name__)
def test_a_layer_without_a_weight_of_rows_is_refused(make, layer):
    with pytest.raises(InvalidInput, match=rf"needs a layer with a weight .*; {type(layer).__name__} has none"):
        make(layer)


@each_technique
def test_a_layer_of_zeros_gives_0_not_nan(make):
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight)
    wrapped = make(layer)
    assert not wrapped.effective().any()
    wrapped(torch.randn(5, 3)).square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() < 1e3 for p in wrapped.parameters() if p.grad is not None)


@each_layer
@pytest.mark.parametrize("eps", [2.0**-20, 0.5])
def test_weight_standardization_is_the_papers(build, shape, eps):
    layer = WeightStandardization(built(build), gain=2.0, eps=eps).double()
    with torch.no_grad():
        layer.g.copy_(torch.arange(1, len(layer.g) + 1))
    expected = paper.standardized_filters(layer.weight.detach().numpy(), 2 * layer.g.detach().numpy(), eps)
    np.testing.assert_allclose(layer.effective().detach(), expected, rtol=1e-9, atol=1e-12)


def test_standardized_weights_have_no_mean_and_the_variance_of_xavier_whatever_they_were():
    layer = WeightStandardization(nn.Linear(200, 50).double(), gain=1.0, eps=1e-12).double()
    for scale, shift in ((1, 0), (100, 3)):
        with torch.no_grad():
            layer.layer.weight.mul_(scale).add_(shift)
        w = layer.effective()
        torch.testing.assert_close(w.mean(1), torch.zeros(50).double(), atol=1e-9, rtol=0)
        torch.testing.assert_close(w.var(1, correction=0), torch.full((50,), 1 / 200).double(), rtol=1e-6, atol=0)


def test_the_default_gain_keeps_the_variance_through_layers_of_relu():
    torch.manual_seed(0)
    h = torch.randn(300, 1000)
    variances = []
    for _ in range(6):
        h = WeightStandardization(nn.Linear(1000, 1000, bias=False))(torch.relu(h)).detach()
        variances.append(h.var(0).mean().item())
    assert variances[-1] == pytest.approx(1, rel=0.15)


@each_layer
@pytest.mark.parametrize("bound", [1.0, 0.5])
def test_the_largest_singular_value_is_the_bound_from_the_first_step(build, shape, bound):
    layer = SpectralNorm(built(build), bound).double()
    for training in (True, False):
        w = layer.train(training).effective().detach().flatten(1)
        assert np.linalg.svd(w.numpy(), compute_uv=False)[0] == pytest.approx(bound, rel=1e-9)


@each_layer
def test_after_the_weights_moved_sigma_is_that_of_the_papers_power_iteration(build, shape):
    layer = SpectralNorm(built(build)).double()
    p = layer.p.numpy().copy()
    with torch.no_grad():
        layer.layer.weight.copy_(built(build, 5).weight)
    v = layer.weight.detach()
    for _ in range(3):
        sigma, p = paper.power_iteration(v.numpy(), p, 1)
        torch.testing.assert_close(layer.effective().detach(), v / sigma)
        np.testing.assert_allclose(layer.p, p, rtol=1e-9)
    before = layer.p.clone()
    layer.eval().effective()
    assert torch.equal(layer.p, before), "evaluation leaves the state as it is"


def test_the_iteration_finds_the_largest_singular_value():
    layer = SpectralNorm(built(lambda: nn.Linear(30, 20))).double()
    with torch.no_grad():
        layer.layer.weight.copy_(built(lambda: nn.Linear(30, 20), 5).weight)
    for _ in range(300):
        w = layer.effective()
    assert np.linalg.svd(w.detach().numpy(), compute_uv=False)[0] == pytest.approx(1, rel=1e-6)


def test_the_gradient_passes_through_sigma_with_its_vectors_held():
    ours, theirs = SpectralNorm(built(lambda: nn.Linear(5, 4))).double(), built(lambda: nn.Linear(5, 4))
    parametrizations.spectral_norm(theirs, n_power_iterations=1).eval()
    parametrization = theirs.parametrizations.weight[0]
    u, _, vh = torch.linalg.svd(ours.weight.detach())
    parametrization._u.copy_(u[:, 0])
    parametrization._v.copy_(vh[0])
    x = inputs((7, 5))
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(ours.layer.weight.grad, theirs.parametrizations.weight.original.grad)


@each_technique
def test_a_bilinear_layer_has_both_its_inputs(make):
    torch.manual_seed(0)
    layer = make(nn.Bilinear(3, 4, 2)).double().eval()
    x, z = inputs((6, 3)), inputs((6, 4), 2)
    expected = torch.einsum("oij,ni,nj->no", layer.effective(), x, z) + layer.layer.bias
    torch.testing.assert_close(layer(x, z), expected)
    torch.testing.assert_close(layer.plain()(x, z), expected)
    if make is WeightNorm:
        x, z = x.unflatten(0, (2, 3)), z.unflatten(0, (2, 3))
        y = layer.initialize(x, z)(x, z).flatten(0, 1)
        torch.testing.assert_close(y.mean(0), torch.zeros(2).double(), atol=1e-12, rtol=0)
        torch.testing.assert_close(y.std(0, correction=0), torch.ones(2).double())


@each_technique
def test_a_layer_made_on_the_meta_device_takes_a_stored_state(make):
    stored = make(nn.Linear(5, 4))
    with torch.device("meta"):
        layer = make(nn.Linear(5, 4))
    assert {t.device.type for t in layer.state_dict().values()} == {"meta"}
    layer = layer.to_empty(device="cpu")
    layer.load_state_dict(stored.state_dict())
    x = torch.randn(3, 5)
    torch.testing.assert_close(layer.eval()(x), stored.eval()(x))


@each_technique
@pytest.mark.parametrize("sizes", [(0, 3), (3, 0)], ids=str)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_layer_without_weights_stays_one(make, sizes):
    layer = make(nn.Linear(*sizes))
    assert layer(torch.ones(2, sizes[0])).shape == (2, sizes[1])
