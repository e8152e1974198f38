"""Adversarial examples: closed forms on linear networks, balls, and what training on them is for."""

from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainsmith.regularization import TRADES, adversarial_loss, fgsm, pgd, robust_accuracy, trades

WIDE = (-100.0, 100.0)


@pytest.fixture
def linear():
    torch.manual_seed(0)
    network = nn.Linear(5, 2).double()
    return network, torch.randn(8, 5, dtype=torch.float64), torch.arange(8) % 2


def worst(network, y):
    """For two classes the loss grows along (w_other - w_own), whatever x is."""
    return network.weight[1 - y] - network.weight[y]


def test_fgsm_goes_along_the_sign_of_the_gradient(linear):
    network, x, y = linear
    torch.testing.assert_close(fgsm(network, x, y, 0.1, within=WIDE), x + 0.1 * worst(network, y).sign())
    towards = functional.normalize(worst(network, y))
    torch.testing.assert_close(fgsm(network, x, y, 0.1, norm="2", within=WIDE), x + 0.1 * towards)


def test_a_euclidean_step_is_as_long_where_the_network_is_sure_of_its_answer(linear):
    """There a gradient is far below 1e-12, and its squares cannot be told from 0; what is left points to the other
    class, since the probability of the first is 1 to the last digit."""
    network, x, _ = linear
    with torch.no_grad():
        network.bias.copy_(torch.tensor([60.0, 0.0]))
    sure, x, zeros = network.float(), x.float(), torch.zeros(8, dtype=torch.long)
    moved = fgsm(sure, x, zeros, 0.1, norm="2", within=WIDE)
    towards = functional.normalize(sure.weight[1:])
    torch.testing.assert_close(moved, x + 0.1 * towards)


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_pgd_on_a_linear_network_ends_at_the_worst_point_of_the_ball(linear, norm):
    network, x, y = linear
    torch.manual_seed(0)
    found = pgd(network, x, y, 0.3, norm=norm, within=WIDE, steps=100, step=0.05)
    torch.testing.assert_close(found, fgsm(network, x, y, 0.3, norm=norm, within=WIDE), atol=2e-3, rtol=0)


@pytest.mark.parametrize("norm", ["inf", "2"])
@pytest.mark.parametrize("steps", [0, 3])
def test_pgd_stays_in_the_ball_and_in_the_range(norm, steps):
    torch.manual_seed(0)
    network, x, y = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.rand(50, 3, 4), torch.arange(50) % 3
    moved = pgd(network, x, y, 0.2, norm=norm, steps=steps, step=0.5)
    delta = (moved - x).flatten(1)
    size = delta.abs().amax(1) if norm == "inf" else delta.norm(dim=1)
    assert (size <= 0.2 + 1e-6).all()
    assert moved.min() >= 0
    assert moved.max() <= 1
    first, second = (pgd(network, x, y, 0.2, norm=norm, steps=1, step=0.01) for _ in range(2))
    assert not torch.equal(first, second), "the start is random"
    fixed = [pgd(network, x, y, 0.2, norm=norm, steps=2, random_start=False) for _ in range(2)]
    assert torch.equal(*fixed)


def test_attacks_leave_the_network_without_gradients(linear):
    network, x, y = linear
    assert not fgsm(network, x, y, 0.1).requires_grad
    assert all(p.grad is None for p in network.parameters())


def test_the_mixed_loss(linear):
    network, x, y = linear
    moved = fgsm(network, x, y, 0.1)
    expected = 0.3 * functional.cross_entropy(network(x), y) + 0.7 * functional.cross_entropy(network(moved), y)
    torch.testing.assert_close(adversarial_loss(network, x, y, 0.1, 0.3), expected)
    torch.testing.assert_close(adversarial_loss(network, x, y, 0.1, 1.0), functional.cross_entropy(network(x), y))


def test_trades_is_cross_entropy_plus_beta_times_the_divergence(linear):
    network, x, y = linear
    shift = torch.full_like(x, 0.05)
    found = trades(network, x, y, 0.1, beta=2.0, attack=lambda n, x, y, eps, loss: x + shift)
    p, q = network(x).softmax(1), network(x + shift).softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(found, functional.cross_entropy(network(x), y) + 2.0 * divergence)
    clean = functional.cross_entropy(network(x), y)
    torch.testing.assert_close(trades(network, x, y, 0.1, beta=0.0, steps=2), clean)
    assert trades(network, x, y, 0.1, steps=5) > clean


def test_training_against_fgsm_repairs_what_it_breaks():
    torch.manual_seed(0)
    x = torch.rand(600, 20)
    y = (x[:, 0] > 0.5).long()  # one strong feature; the others mislead a little each
    x[:, 1:] = (x[:, 1:] + 0.08 * (2 * y[:, None] - 1)).clamp(0, 1)

    def trained(loss):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))
        optimizer = torch.optim.Adam(network.parameters(), 0.01)
        for _ in range(200):
            optimizer.zero_grad()
            loss(network).backward()
            optimizer.step()
        return robust_accuracy(network, x, y, lambda n, x, y: fgsm(n, x, y, 0.1))

    plain = trained(lambda n: functional.cross_entropy(n(x), y))
    against = trained(lambda n: adversarial_loss(n, x, y, 0.1, 0.5))
    assert against > plain + 0.02


def test_robust_accuracy_counts_what_is_right_twice():
    network = nn.Linear(1, 2)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        network.bias.zero_()
    x, y = torch.tensor([[2.0], [0.5], [-0.5], [-2.0]]), torch.tensor([1, 1, 1, 0])
    network = nn.Sequential(network, nn.Dropout(0.9), nn.Identity()).train()
    network[1].eval()
    assert robust_accuracy(network, x, y, lambda n, x, y: x - torch.sign(x)) == 0.5
    assert [m.training for m in network] == [True, False, True], "what its owner froze stays frozen"


def test_a_short_step_in_the_euclidean_ball_stays_where_it_leads():
    """What lies inside is not taken to the border."""
    network, x = nn.Linear(4, 2).double(), torch.rand(3, 4, dtype=torch.float64) / 2 + 0.25
    moved = pgd(network, x, torch.tensor([0, 1, 1]), 0.1, step=0.02, steps=1, norm="2", random_start=False)
    torch.testing.assert_close((moved - x).norm(dim=1), torch.full((3,), 0.02, dtype=torch.float64))


def test_the_gradient_of_trades_is_also_that_of_the_clean_prediction_in_the_divergence():
    network, x, y = nn.Linear(4, 3).double(), torch.rand(5, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])
    technique = TRADES(eps=0.1, beta=2.0, steps=1)
    moved = x + 0.05
    with mock.patch.object(technique, "moved", return_value=moved):
        technique(network, nn.functional.cross_entropy, x, y).backward()
    found = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    clean, other = (network(v).log_softmax(-1) for v in (x, moved))
    divergence = (clean.exp() * (clean - other)).sum(-1).mean()
    (nn.functional.nll_loss(clean, y) + 2 * divergence).backward()
    for g, p in zip(found, network.parameters(), strict=True):
        torch.testing.assert_close(g, p.grad)


def test_an_attack_of_the_users_own_may_take_gradients():
    """The gradient of the loss by torch's own backward, which needs a graph."""

    def own(network, x, y):
        z = x.clone().requires_grad_()
        functional.cross_entropy(network(z), y).backward()
        return (x + 0.25 * z.grad.sign()).clamp(0, 1)

    torch.manual_seed(0)
    network, x = nn.Linear(4, 3), torch.rand(40, 4)
    y = network(x).argmax(-1)
    found = robust_accuracy(network, x, y, own)
    assert found == robust_accuracy(network, x, y, lambda *given: fgsm(*given, 0.25)) < 1
