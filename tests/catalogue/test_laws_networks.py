"""What holds for every initialization of a whole network."""

import copy

import pytest
import torch
from torch import nn

from each_technique import each, seeded, settings
from trainsmith.errors import InvalidInput
from trainsmith.initialization import weight_layers

X = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(64) % 3


class Block(nn.Module):
    """x + a branch with two layers."""

    def __init__(self):
        super().__init__()
        self.first, self.act, self.second = nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6)

    def forward(self, x):
        return x + self.second(self.act(self.first(x)))


def network():
    return nn.Sequential(nn.Linear(6, 6), Block(), Block(), nn.Dropout(0.5), nn.Linear(6, 3))


def initialized(technique, seed=0, dtype=torch.float32, **numbers):
    module = network().to(dtype)
    draw = [seeded(seed + place) for place in range(6)]
    return technique.make(**numbers)(module, X.to(dtype), TARGETS, draw=draw.__getitem__)


@each("network")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_initializes_in_place_a_network_that_runs_and_learns(technique, dtype):
    for numbers in settings(technique):
        module = network().to(dtype)
        assert technique.make(**numbers)(module, X.to(dtype), TARGETS) is module
        y = module(X.to(dtype))
        assert (y.shape, y.dtype) == ((64, 3), dtype)
        assert y.isfinite().all()
        nn.functional.cross_entropy(y, TARGETS).backward()
        gradients = [p.grad for p in module.parameters()]
        assert all(g is None or g.isfinite().all() for g in gradients)
        assert any(g is not None and g.any() for g in gradients)


@each("network")
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(technique):
    first, again, other = (initialized(technique, seed).state_dict() for seed in (1, 1, 9))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@each("network")
def test_it_leaves_torchs_own_luck_mode_hooks_and_inputs_as_they_were(technique):
    torch.manual_seed(3)
    module = network()
    module[3].eval()
    before, x = torch.get_rng_state(), X.clone()
    technique.make()(module, x, TARGETS, draw=lambda place: seeded(place))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(x, X)
    assert module.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


@each("network")
def test_what_was_in_the_weights_does_not_matter(technique):
    spoilt = network()
    for p in spoilt.parameters():
        nn.init.constant_(p, 1e30)
    draw = [seeded(place) for place in range(6)]
    technique.make()(spoilt, X, TARGETS, draw=draw.__getitem__)
    for name, tensor in initialized(technique).state_dict().items():
        assert torch.equal(spoilt.state_dict()[name], tensor), name


@each("network")
def test_one_weight_is_filled_as_by_an_initialization_of_weights(technique):
    weight = torch.full((5, 4), torch.nan)
    assert technique.make().fill(weight, generator=seeded()) is weight
    assert weight.isfinite().all()


@each("network")
def test_a_network_it_is_not_for_is_left_as_it_was_drawn(technique):
    chain = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3, bias=False))
    for layer in weight_layers(chain):
        technique.make().fill(layer.weight, generator=seeded())
    drawn = copy.deepcopy(chain)
    if technique.name == "lsuv":
        pytest.skip("it is for any network")
    with pytest.raises(InvalidInput, match=f"^{technique.name} (is for|needs)"):
        technique.make().finish(chain, X, TARGETS)
    assert all(torch.equal(a, b) for a, b in zip(chain.parameters(), drawn.parameters(), strict=True))
