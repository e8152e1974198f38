"""Parameters that do not move, batch norms and the optimizer's state, against values written out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from inspection.make_network import batch, draws, stack
from trainsmith.inspection import inspect
from trainsmith.inspection.faults.setup import _noise


def found(network, data, loss=None, **more):
    return {f.short: f for f in inspect(network, data, loss, **more).findings}


def healthy():
    return stack(0.02**0.5, nn.ReLU)


def test_a_layer_frozen_behind_others_that_train():
    network = healthy()
    network[4].requires_grad_(False)
    finding = found(network, batch())["frozen"]
    assert finding.layer == "4"
    assert finding.value == pytest.approx(10_000 / (50_000 + 1_010))
    assert "4.weight" in finding.words


def test_a_frozen_beginning_is_fine_tuning_and_a_frozen_rest_beside_adapters_too():
    network = healthy()
    for layer in network[:5]:
        layer.requires_grad_(False)
    assert found(network, batch()) == {}
    network = healthy()
    network[2:].requires_grad_(False)
    network[0].requires_grad_(True)
    assert "frozen" in found(network, batch())
    adapters = nn.Sequential(nn.Linear(100, 100, bias=False), *healthy()[:-1])
    for layer in adapters[1:]:
        layer.requires_grad_(False)
    adapters[0] = nn.Sequential(nn.Linear(100, 20), nn.ReLU(), nn.Linear(20, 100))
    assert "frozen" not in found(adapters, draws(200, 100))


class Detaching(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.never = nn.Linear(100, 50), nn.Linear(50, 10), nn.Linear(3, 3)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)).detach())


def test_parameters_that_the_loss_does_not_reach():
    finding = found(Detaching(), batch())["disconnected"]
    assert "a.weight, a.bias, never.weight and 1 others" in finding.words
    total = 5050 + 510 + 12
    assert finding.value == pytest.approx((5050 + 12) / total)


def test_a_last_layer_of_zeros_disconnects_nothing():
    network = healthy()
    nn.init.zeros_(network[-1].weight)
    assert "disconnected" not in found(network, batch())


def test_parameters_that_the_optimizer_does_not_hold():
    network = healthy()
    optimizer = torch.optim.Adam(network[:-1].parameters(), 1e-3)
    assert found(network, batch(), optimizer=optimizer, batch_size=16)["not in the optimizer"].layer == "10"
    whole = torch.optim.Adam(network.parameters(), 1e-3)
    assert "not in the optimizer" not in found(network, batch(), optimizer=whole, batch_size=16)


def test_nan_in_the_optimizers_state_behind_finite_weights():
    network = healthy()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    network[2].weight.grad[3, 4] = torch.nan
    optimizer.step()
    with torch.no_grad():
        network[2].weight.nan_to_num_(0.0)
    finding = found(network, batch(), optimizer=optimizer)["optimizer's state not finite"]
    assert finding.layer == "2"
    assert finding.value == 1
    assert "still finite" in finding.words


def test_infinity_in_a_moving_average_is_found_as_well():
    network = nn.Sequential(nn.Linear(100, 10))
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    optimizer.state[network[0].bias]["momentum_buffer"] = torch.full((10,), torch.inf)
    finding = found(network, batch(), optimizer=optimizer, batch_size=16)["optimizer's state not finite"]
    assert (finding.layer, finding.value) == ("0", 10)


def normalized():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(100, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))


def test_averages_that_do_not_fit_are_measured_as_a_divergence():
    network, (x, y) = normalized(), batch()
    norm = network[1].eval()
    norm.running_mean.fill_(0.5)
    norm.running_var.fill_(4.0)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    finding = found(network, (x, y))["batch norm's statistics"]
    u = network[0](x).detach().double().numpy()
    m, v = u.mean(0), u.var(0) + norm.eps
    by_hand = 0.5 * (v / (4 + norm.eps) + (m - 0.5) ** 2 / (4 + norm.eps) - 1 - np.log(v / (4 + norm.eps)))
    assert finding.value == pytest.approx(by_hand.mean(), rel=1e-4)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    norm.train()
    assert "batch norm's statistics" not in found(network, (x, y))


def test_averages_that_fit_are_no_fault_in_evaluation_mode():
    network, (x, y) = normalized(), batch()
    network[1].momentum = 1.0
    network(x)
    network[1].eval()
    assert found(network, (x, y)) == {}


@pytest.mark.parametrize(("size", "faulty"), [(2, True), (4, True), (16, False), (64, False)])
def test_small_batches_make_batch_norm_noisy(size, faulty):
    assert ("batch norm's batches" in found(normalized(), batch(), batch_size=size)) == faulty


def test_the_noise_of_batch_statistics_is_that_of_drawn_batches():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 3, 5, generator=generator, dtype=torch.float64)
    x += torch.randn(4000, 3, 1, generator=generator, dtype=torch.float64)  # positions of one example go together
    size = 16
    drawn = x[torch.randint(0, 4000, (3000, size), generator=generator)]  # (draws, size, 3, 5)
    of_mean = drawn.mean((1, 3)).var(0) / x.var((0, 2))
    of_spread = drawn.var((1, 3)).sqrt().log().var(0)
    assert _noise(x, size) == pytest.approx(float((of_mean + of_spread).median()), rel=0.12)
    assert _noise(torch.randn(5000, 20, generator=generator), 8) == pytest.approx(1.5 / 8, rel=0.05)


def lagging(momentum):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(100, 32), nn.BatchNorm1d(32, momentum=momentum), nn.ReLU(), nn.Linear(32, 10))
    x, y = batch()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for i in range(60):
        rows = slice(50 * (i % 10), 50 * (i % 10) + 50)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x[rows] * 3 + 2), y[rows]).backward()
        optimizer.step()
    return network, (x * 3 + 2, y)


def test_averages_that_lag_behind_make_evaluation_worse():
    network, data = lagging(0.001)
    finding = found(network, data)["evaluation differs"]
    with torch.no_grad():
        trained = float(nn.functional.cross_entropy(network.train()(data[0]), data[1]))
    assert finding.layer == "1"
    assert finding.threshold > trained
    network, data = lagging(0.001)
    with torch.no_grad():
        assert finding.value == pytest.approx(float(nn.functional.cross_entropy(network.eval()(data[0]), data[1])))
    assert "evaluation differs" not in found(*lagging(0.1))


def with_dropout(momentum):
    network, _ = lagging(momentum)
    return nn.Sequential(*network[:3], nn.Dropout(0.9), network[3])


def test_averages_that_never_saw_data_are_left_alone_and_so_is_dropout():
    network, data = lagging(0.001)
    network[1].num_batches_tracked.zero_()
    assert "evaluation differs" not in found(network, data)
    plain, dropping = (found(n, data)["evaluation differs"] for n in (lagging(0.001)[0], with_dropout(0.001)))
    assert (dropping.value, dropping.threshold) == pytest.approx((plain.value, plain.threshold))


class Answers(nn.Module):
    """Gives its output and what a part of it says in training, and its output alone in evaluation."""

    def __init__(self, network):
        super().__init__()
        self.network, self.passes = network, 0

    def forward(self, x):
        out = self.network(x)
        self.passes += 1
        return (out, out / 2) if self.training else out


def test_outputs_of_another_form_in_evaluation_are_no_reason_to_stop():
    network, (x, y) = lagging(0.001)

    def both(outputs, targets):
        whole, part = outputs
        return nn.functional.cross_entropy(whole, targets) + nn.functional.cross_entropy(part, targets)

    assert "evaluation differs" not in found(Answers(network), (x, y), both)
    assert "evaluation differs" in found(Answers(network), (x, y), lambda out, t: both(out if type(out) is tuple else
                                                                                      (out, out / 2), t))  # fmt: skip
