"""Residual blocks found by running, and the initializations that need them."""

import pytest
import torch
from torch import nn

from trainsmith.errors import InvalidInput
from trainsmith.initialization import Fixup, ReZero, ZeroResidual, he, residual_branches

X = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Basic(nn.Module):
    """The block of a residual network: two convolutions, a shortcut that is projected where shapes change."""

    def __init__(self, inputs, outputs, norm=True, project_first=False, stride=1):
        super().__init__()
        make = nn.BatchNorm2d if norm else (lambda channels: nn.Identity())
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1), make(outputs)
        self.relu = nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1), make(outputs)
        projected = inputs != outputs or stride != 1
        self.downsample = nn.Conv2d(inputs, outputs, 1, stride) if projected else None
        self.project_first = project_first

    def shortcut(self, x):
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x):
        kept = self.shortcut(x) if self.project_first else None
        h = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(h + (self.shortcut(x) if kept is None else kept))


class PreActivation(nn.Module):
    """x + one layer of the rectified, normalized input."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.relu, self.layer = nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.layer(self.relu(self.norm(x)))


def resnet(norm=True):
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), Basic(4, 4, norm), Basic(4, 6, norm, stride=2),
        Basic(6, 8, norm, project_first=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


def names(network, modules):
    known = {m: n for n, m in network.named_modules()}
    return [known[m] for m in modules]


@pytest.mark.parametrize(("norm", "ends"), [(True, "bn2"), (False, "conv2")])
def test_branches_are_found_beside_identities_and_projections(norm, ends):
    network = resnet(norm)
    before = {n: t.clone() for n, t in network.state_dict().items()}
    branches = residual_branches(network, X)
    assert [names(network, b.layers) for b in branches] == [[f"{i}.conv1", f"{i}.conv2"] for i in (2, 3, 4)]
    assert names(network, [b.end for b in branches]) == [f"{i}.{ends}" for i in (2, 3, 4)]
    assert [names(network, b.activations) for b in branches] == [[f"{i}.relu"] for i in (2, 3, 4)]
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items()), "looking changes nothing"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_a_branch_of_one_layer_is_found():
    network = nn.Sequential(PreActivation(4), PreActivation(4))
    assert [names(network, b.layers) for b in residual_branches(network, X)] == [["0.layer"], ["1.layer"]]


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)),
        nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(256, 9)), nn.Sequential(nn.Tanh(), nn.Linear(9, 9))),
        nn.Flatten(),
    ],
)
def test_chains_have_no_branches(network):
    assert residual_branches(network, X) == []


@pytest.mark.parametrize("make", [ZeroResidual, ReZero, Fixup])
def test_a_network_without_residual_blocks_is_refused(make):
    with pytest.raises(InvalidInput, match="is for residual blocks, modules that add a branch to their input"):
        make()(nn.Linear(4, 2), torch.randn(5, 4))


@pytest.mark.parametrize("make", [ZeroResidual, ReZero, Fixup])
@pytest.mark.parametrize("norm", [True, False])
def test_each_block_is_its_shortcut_at_first_and_its_branch_can_be_learned(make, norm):
    network = make()(resnet(norm), X)
    h = X
    for module in network.eval():
        if isinstance(module, Basic):
            torch.testing.assert_close(module(h), torch.relu(module.shortcut(h)))
        h = module(h)
    rate = 0.1
    for _ in range(3):
        network.zero_grad()
        nn.functional.cross_entropy(network(X), torch.arange(6) % 3).backward()
        with torch.no_grad():
            for p in network.parameters():
                p.sub_(rate * p.grad)
    assert all(p.grad.any() for n, p in network.named_parameters() if "conv" in n and "weight" in n)


def test_zero_residual_takes_the_last_gain_and_leaves_the_weights_as_he_draws_them():
    network = ZeroResidual()(resnet(), X, draw=lambda place: torch.Generator().manual_seed(place))
    assert not network[2].bn2.weight.any()
    assert network[2].bn1.weight.all()
    assert torch.equal(network[2].conv2.weight, he(torch.empty(4, 4, 3, 3), generator=torch.Generator().manual_seed(2)))
    assert not ZeroResidual()(resnet(norm=False), X)[3].conv2.weight.any()


def test_rezero_has_one_factor_a_branch_that_starts_at_0_and_opens_it():
    network = ReZero()(resnet(), X).eval()
    factors = {n: p for n, p in network.named_parameters() if n.endswith("factor")}
    assert {n: p.item() for n, p in factors.items()} == {f"{i}.bn2.1.factor": 0.0 for i in (2, 3, 4)}
    block, h = network[2], torch.relu(network[0](X))
    with torch.no_grad():
        factors["2.bn2.1.factor"].fill_(0.5)
        branch = block.bn2[0](block.conv2(block.relu(block.bn1(block.conv1(h)))))
        torch.testing.assert_close(block(h), torch.relu(h + 0.5 * branch))


def test_fixup_scales_branches_by_their_number_and_their_depth():
    draw = [torch.Generator().manual_seed(place) for place in range(20)]
    network = Fixup()(resnet(norm=False), X, draw=draw.__getitem__)
    place = torch.Generator().manual_seed(1)
    drawn = he(torch.empty(4, 4, 3, 3), generator=place)
    torch.testing.assert_close(network[2].conv1[1].weight.detach(), drawn * 3 ** (-1 / 2))
    assert not network[2].conv2[1].weight.any()
    assert not network[7].weight.any(), "the network's last layer"
    assert network[0].weight.any()
    assert network[3].downsample.weight.any()


def test_fixup_with_three_layers_a_branch_takes_the_fourth_root():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 7), nn.ReLU(), nn.Linear(7, 5))

        def forward(self, x):
            return x + self.layers(x)

    network = nn.Sequential(*(Deep() for _ in range(4)), nn.Linear(5, 2))
    Fixup()(network, torch.randn(6, 5), draw=lambda place: torch.Generator().manual_seed(place))
    drawn = he(torch.empty(7, 5), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network[0].layers[0][1].weight.detach(), drawn * 4 ** (-1 / 4))
    assert [type(m).__name__ for m in network[1].layers[4]] == ["Shift", "Linear", "Scale"]
    assert [type(m).__name__ for m in network[1].layers[3]] == ["Shift", "ReLU"]
    shifts = [p for n, p in network.named_parameters() if n.endswith("amount")]
    assert [p.item() for p in shifts] == [0.0] * 20
    with torch.no_grad():
        network[1].layers[4][2].factor.fill_(2.0)
        network[1].layers[4][1].weight.fill_(1.0)
        network[1].layers[4][0].amount.fill_(0.25)
        x = torch.randn(6, 5)
        branch = network[1].layers[:4](x)
        torch.testing.assert_close(network[1](x), x + 2 * (branch + 0.25).sum(1, keepdim=True))
