"""Techniques with passes of their own against steps written out by hand, in double precision."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from make_runs import blobs
from trainsmith import Population
from trainsmith.catalogue import Recipe, find
from trainsmith.comparison import plan
from trainsmith.errors import InvalidInput
from trainsmith.normalization import BatchNorm
from trainsmith.regularization import (
    SAM,
    TRADES,
    TRADESL2,
    FGSMTraining,
    FGSMTrainingL2,
    GradientPenalty,
    Mixup,
    PGDTraining,
    PGDTrainingL2,
    RDrop,
)


def linear(weight):
    layer = nn.Linear(len(weight[0]), len(weight), bias=False).double()
    layer.weight.data = torch.tensor(weight, dtype=torch.float64)
    return layer


def small():
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    return network, torch.rand(4, 3).double(), torch.tensor([0, 1, 2, 1])


class Given(nn.Module):
    """A linear map by a tensor that stays what it is in a graph."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, x):
        return x @ self.weight.T


def test_sam_gives_the_gradient_at_the_weights_uphill():
    """Two ordinary passes and torch's own gradients; the first layer is frozen and stays out of the length."""
    network, x, y = small()
    network[0].requires_grad_(False)
    rho = 0.3
    tail = list(network[2].parameters())
    slopes = torch.autograd.grad(functional.cross_entropy(network(x), y), tail)
    length = sum(float(g.square().sum()) for g in slopes) ** 0.5
    moved = copy.deepcopy(network)
    with torch.no_grad():
        for p, g in zip(moved[2].parameters(), slopes, strict=True):
            p += rho * g / length
    expected = functional.cross_entropy(moved(x), y)
    got = SAM(rho).double()(network, functional.cross_entropy, x, y)
    torch.testing.assert_close(got, expected, rtol=1e-7, atol=0)
    wanted = torch.autograd.grad(expected, list(moved[2].parameters()))
    for a, b in zip(torch.autograd.grad(got, tail), wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, BatchNorm])
def test_sam_moves_running_statistics_at_the_weights_and_not_uphill(kind):
    _, x, y = small()
    network = nn.Sequential(nn.Linear(3, 5), kind(5), nn.Linear(5, 3)).double()
    plain = copy.deepcopy(network)
    SAM(0.5).double()(network, functional.cross_entropy, x, y)
    plain(x)
    for name, b in network.named_buffers():
        torch.testing.assert_close(b, dict(plain.named_buffers())[name], rtol=1e-12, atol=0)


def noisy(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, outputs)).eval()


def test_r_drop_has_nothing_to_do_in_a_network_without_noise():
    data, r_drop = blobs(features=6), find("r-drop")
    for network, beside, said in (("mlp", (), True), ("mlp", ("dropout",), False), (noisy, (), False)):
        chosen = [plan.Candidate((), Recipe()), plan.Candidate((r_drop,), Recipe(regularization=("r-drop", *beside)))]
        before = torch.get_rng_state()
        kept, notes = plan.applicable(chosen, network, data)
        assert torch.equal(before, torch.get_rng_state())
        assert len(kept) == 2 - said
        assert any("r-drop was left out: the network draws no noise" in note for note in notes) == said
    network = noisy((6,), 3)
    assert RDrop.idle(network, data.x[:4]) == ""
    assert not any(m.training for m in network.modules())


def test_r_drop_is_the_mean_loss_and_a_quarter_of_both_divergences():
    class Alternating(nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = torch.randn(2, 4, 3, dtype=torch.float64)
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return self.logits[self.calls - 1]

    network, y = Alternating(), torch.tensor([0, 1, 2, 1])
    p, q = (torch.distributions.Categorical(logits=logits) for logits in network.logits)
    kl = torch.distributions.kl_divergence
    ce = sum(functional.cross_entropy(logits, y) for logits in network.logits) / 2
    expected = ce + 0.7 / 4 * (kl(p, q) + kl(q, p)).mean()
    got = RDrop(0.7).double()(network, functional.cross_entropy, torch.zeros(4, 1), y)
    torch.testing.assert_close(got, expected, rtol=1e-7, atol=0)


def test_the_gradient_penalty_is_the_squared_slope_of_each_example():
    """For squares of a linear map: dJ_i/dx_i = 2 w (w x_i), and the penalty's own gradient by finite differences."""
    w = [[1.5, -2.0, 0.5]]
    network, x, y = linear(w), torch.rand(5, 3).double(), torch.zeros(5, 1).double()
    out = x @ torch.tensor(w, dtype=torch.float64).T
    slopes = 2 * out * torch.tensor(w, dtype=torch.float64)
    expected = out.square().mean() + 0.4 / 2 * slopes.square().sum(1).mean()
    penalty = GradientPenalty(0.4).double()
    got = penalty(network, functional.mse_loss, x, y)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)
    weight = network.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: penalty(Given(v), functional.mse_loss, x, y), weight)


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_fgsm_training_moves_in_the_units_of_each_column_and_stays_in_its_range(norm):
    network, y = linear([[2.0, -1.0]]), torch.zeros(3, 1).double()
    x = torch.tensor([[0.0, 100.0], [2.0, 200.0], [1.0, 150.0]]).double()
    technique = FGSMTraining(0.25, 0.4, norm).double().fit(x)

    def loss(out, _):
        return out.sum(-1).mean()

    slope = torch.tensor([2.0 * 2, -1.0 * 100]).double()  # in units of the columns' ranges
    step = slope.sign() if norm == "inf" else slope / slope.norm()
    u = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]).double()
    moved = (u + 0.25 * step).clamp(0, 1) * torch.tensor([2.0, 100.0]) + torch.tensor([0.0, 100.0])
    expected = 0.4 * loss(network(x), y) + 0.6 * loss(network(moved), y)
    torch.testing.assert_close(technique(network, loss, x, y), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_pgd_training_reaches_the_worst_point_of_the_ball(norm):
    """Of a linear loss it is known: eps along the sign, or along the slope, far from the range's end."""
    network = linear([[3.0, -4.0]])
    x, y = torch.full((2, 2), 0.5).double(), torch.zeros(2, 1).double()
    most = 0.1 * (7 if norm == "inf" else 5)
    torch.manual_seed(0)
    got = PGDTraining(0.1, 20, norm).double()(network, lambda out, _: out.mean(), x, y) - network(x).mean()
    assert most * (0.98 if norm == "2" else 1 - 1e-6) < got < most * (1 + 1e-6)


def test_trades_weighs_the_divergence_and_looks_for_a_large_one():
    network, x, y = small()
    technique = TRADES(eps=0.2, beta=3.0, steps=4).double()
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network

        def forward(self, z):
            seen.append(z)
            return self.inner(z)

    torch.manual_seed(0)
    got = technique(Watched(), functional.cross_entropy, x, y)
    moved = seen[-1].detach()
    assert (moved - x).abs().max() <= 0.2 + 1e-6
    p, q = (torch.distributions.Categorical(logits=network(z)) for z in (x, moved))
    apart = torch.distributions.kl_divergence(p, q).mean()
    torch.testing.assert_close(got, functional.cross_entropy(network(x), y) + 3 * apart, rtol=1e-6, atol=0)
    noise = (x + 0.2 * (2 * torch.rand(200, 4, 3).double() - 1)).clamp(0, 1)
    log_p = network(x).log_softmax(-1)
    random = (log_p.exp() * (log_p - network(noise).log_softmax(-1))).sum(-1).mean(-1)
    assert apart > random.quantile(0.95)


def test_in_a_population_each_member_has_its_own_and_two_are_refused():
    x, y = torch.rand(40, 3), torch.arange(40) % 3

    def trained(*rhos):
        population = Population(
            lambda: nn.Linear(3, 3), 2, optimizer="sgd", lr=0.5, regularizers=[[SAM(r)] for r in rhos], seeds=[1, 1]
        )
        fit = population.fit(x, y, 5, 8)
        assert fit.deviation <= fit.tolerance
        return [population.member(k).weight.detach() for k in range(2)]

    different, equal = trained(0.0, 0.5), trained(0.5, 0.5)
    assert torch.equal(equal[0], equal[1])
    assert torch.allclose(different[1], equal[1])
    assert not torch.allclose(different[0], different[1], atol=1e-4)
    for both in ([SAM(), RDrop()], [SAM(), Mixup()]):
        with pytest.raises(InvalidInput, match="cannot act"):
            Population(lambda: nn.Linear(3, 3), 2, regularizers=both)


@pytest.mark.parametrize(
    ("technique", "twin", "others"),
    [
        (FGSMTrainingL2, FGSMTraining, {"alpha": 0.3}),
        (PGDTrainingL2, PGDTraining, {"steps": 3}),
        (TRADESL2, TRADES, {"beta": 2.0, "steps": 3}),
    ],
    ids=["fgsm", "pgd", "trades"],
)
def test_the_euclidean_techniques_by_name_move_as_far_as_the_root_mean_square(technique, twin, others):
    """The same as in that norm alone, with eps sqrt(d) ranges for a length."""
    network, x, y = small()
    found = []
    for made in (technique(0.1, **others), twin(0.1 * 3**0.5, **others, norm="2"), twin(0.1, **others)):
        torch.manual_seed(0)
        found.append(made.double().fit(x)(network, functional.cross_entropy, x, y).item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert abs(found[0] / found[2] - 1) > 1e-4
