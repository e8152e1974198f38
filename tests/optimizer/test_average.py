"""Averages of weights against torch's, plain sums, and a training that must not notice them."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.optim import swa_utils

from trainsmith.errors import InvalidInput
from trainsmith.normalization import BatchNorm, BatchRenorm, GhostBatchNorm
from trainsmith.optimizer import SGD, Adam, ScheduleFreeSGD, WeightAverage, recompute_statistics
from trainsmith.regularization import WeightEMA


def net(norm=nn.BatchNorm1d):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), norm(4), nn.ReLU(), nn.Linear(4, 1))


def batch(step):
    return 2 + 3 * torch.randn(8, 3, generator=torch.Generator().manual_seed(step))


def train_step(network, optimizer, step):
    optimizer.zero_grad()
    network(batch(step)).square().mean().backward()
    optimizer.step()


def weights_after(steps):
    """The weights after each step of a training that is not averaged."""
    network = net()
    optimizer = Adam(network.parameters(), lr=0.05)
    path = []
    for step in range(steps):
        train_step(network, optimizer, step)
        path.append(copy.deepcopy(network.state_dict()))
    return path


def averaged(steps, **options):
    network = net()
    average = WeightAverage(Adam(network.parameters(), lr=0.05), module=network, **options)
    for step in range(steps):
        train_step(network, average, step)
    return network, average


def test_the_plain_mean_is_that_of_the_weights_and_running_statistics():
    path = weights_after(9)
    network, average = averaged(9, decay=None)
    with average.evaluating():
        for name, tensor in network.state_dict().items():
            values = torch.stack([p[name] for p in path])
            expected = values.mean(0) if tensor.is_floating_point() else values[-1]
            torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6)


def test_with_a_start_and_a_stride_it_is_stochastic_weight_averaging():
    path = weights_after(12)
    network, average = averaged(12, decay=None, start=4, every=3)
    with average.evaluating():
        expected = (path[4]["0.weight"] + path[7]["0.weight"] + path[10]["0.weight"]) / 3
        torch.testing.assert_close(network[0].weight.detach(), expected, rtol=1e-5, atol=1e-6)


def test_the_plain_mean_is_torchs():
    network = net(nn.LayerNorm)
    model = swa_utils.AveragedModel(network)
    average = WeightAverage(SGD(network.parameters(), lr=0.1), decay=None)
    for step in range(6):
        train_step(network, average, step)
        model.update_parameters(network)
    average.eval()
    for ours, torchs in zip(network.parameters(), model.module.parameters(), strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)


def test_the_exponential_average_forgets_by_its_decay_once_it_is_older_than_its_memory():
    path = weights_after(20)
    network, average = averaged(20, decay=0.75)
    expected = torch.stack([p["0.weight"] for p in path[:4]]).mean(0)
    for p in path[4:]:
        expected = 0.75 * expected + 0.25 * p["0.weight"]
    average.eval()
    torch.testing.assert_close(network[0].weight.detach(), expected, rtol=1e-5, atol=1e-6)


def test_without_memory_the_average_is_the_weights():
    path = weights_after(5)
    network, average = averaged(5, decay=0.0)
    average.eval()
    torch.testing.assert_close(network[0].weight.detach(), path[-1]["0.weight"], rtol=1e-6, atol=1e-7)


def test_evaluating_in_between_changes_nothing_however_often():
    path = weights_after(6)
    network = net()
    average = WeightAverage(Adam(network.parameters(), lr=0.05), module=network)
    average.eval()
    for step in range(6):
        average.train()
        train_step(network, average, step)
        average.eval()
        inside = network[0].weight.detach().clone()
        average.eval()
        assert torch.equal(network[0].weight, inside)
    average.train()
    average.train()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, path[-1][name]), name


@pytest.mark.parametrize("evaluating", [False, True])
def test_a_training_stored_in_the_middle_goes_on_bit_for_bit(evaluating):
    whole, average = averaged(8)
    average.eval()
    network, average = averaged(5)
    if evaluating:
        average.eval()
    file = io.BytesIO()
    torch.save({"network": network.state_dict(), "average": average.state_dict()}, file)
    file.seek(0)
    stored = torch.load(file)
    again = net()
    again.load_state_dict(stored["network"])
    other = WeightAverage(Adam(again.parameters()), module=again)
    other.load_state_dict(stored["average"])
    other.train()
    for step in range(5, 8):
        train_step(again, other, step)
    other.eval()
    for (name, tensor), expected in zip(again.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(tensor, expected), name


def test_a_step_while_evaluating_is_refused():
    _, average = averaged(2)
    average.eval()
    with pytest.raises(InvalidInput, match=r"averaged weights: call train\(\) before step\(\)"):
        average.step()


def test_it_goes_around_any_optimizer_and_shows_its_learning_rate():
    for make in (lambda p: torch.optim.SGD(p, lr=0.1), lambda p: ScheduleFreeSGD(p, lr=0.1)):
        network = net()
        average = WeightAverage(make(network.parameters()))
        train_step(network, average, 0)
        assert average.param_groups[0]["lr"] == 0.1
        assert average.step(lambda: torch.tensor(3.0)).item() == 3


def test_numbers_and_states_without_meaning_are_refused():
    network = net()
    optimizer = SGD(network.parameters())
    with pytest.raises(InvalidInput, match=r"weight average: decay must be a number in \[0, 1\); got 1.0"):
        WeightAverage(optimizer, decay=1.0)
    with pytest.raises(InvalidInput, match="every must be a whole number of at least 1; got 0"):
        WeightAverage(optimizer, every=0)
    _, average = averaged(2)
    other = WeightAverage(SGD([nn.Parameter(torch.ones(3))]))
    with pytest.raises(InvalidInput, match="other shapes than the parameters: pass the same network"):
        other.load_state_dict(average.state_dict())


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, BatchNorm])
def test_recomputed_statistics_are_the_means_over_the_batches(norm):
    network = net(norm).eval()
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    momentum = network[1].momentum
    momentum = momentum.clone() if isinstance(momentum, torch.Tensor) else momentum
    recompute_statistics(network, [batch(i) for i in range(7)])
    hidden = [network[0](batch(i)).detach() for i in range(7)]
    torch.testing.assert_close(network[1].running_mean, torch.stack([h.mean(0) for h in hidden]).mean(0))
    torch.testing.assert_close(network[1].running_var, torch.stack([h.var(0) for h in hidden]).mean(0))
    assert network[1].momentum == momentum
    assert not any(m.training for m in network.modules())
    assert all(torch.equal(p, before[n]) for n, p in network.named_parameters())


def test_recomputing_statistics_is_no_training_step():
    """Batch renormalization counts these, and lets its limits grow by them."""
    layer = BatchRenorm(3, warmup=10.0)
    layer(torch.randn(8, 3))
    recompute_statistics(layer, [torch.randn(8, 3) for _ in range(5)])
    assert layer.steps.item() == 1


def test_recomputed_statistics_are_torchs():
    ours, torchs = net(), net()
    recompute_statistics(ours, [batch(i) for i in range(5)])
    swa_utils.update_bn([batch(i) for i in range(5)], torchs)
    torch.testing.assert_close(ours[1].running_var, torchs[1].running_var)
    torch.testing.assert_close(ours[1].running_mean, torchs[1].running_mean)


def test_recomputed_statistics_of_batches_by_parts_are_those_of_whole_batches():
    parts, whole = net(lambda n: GhostBatchNorm(n, size=4)), net(BatchNorm)
    parts.load_state_dict(whole.state_dict())
    batches = [torch.cat([batch(0), batch(1) + 5]), batch(2)]
    for network in (parts, whole):
        recompute_statistics(network, batches)
    torch.testing.assert_close(parts[1].running_mean, whole[1].running_mean)
    torch.testing.assert_close(parts[1].running_var, whole[1].running_var)
    assert not parts[1].whole


def test_a_batch_that_fails_leaves_modes_and_momenta_as_they_were():
    network = net(BatchNorm).eval()
    before = network[1].momentum.clone()
    with pytest.raises(RuntimeError):
        recompute_statistics(network, [batch(0), batch(0)[:, :1]])
    assert torch.equal(network[1].momentum, before)
    assert not any(m.training for m in network.modules())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "around",
    [
        lambda optimizer: WeightAverage(optimizer, decay=0.999),
        lambda optimizer: attached(WeightEMA(decay=0.999), optimizer),
        lambda optimizer: WeightAverage(optimizer, decay=None),
    ],
    ids=["around", "attached", "plain mean"],
)
def test_averages_of_half_precision_move_by_small_shares_as_those_of_single(around, dtype):
    """A share of 0.001 of a step is less than the rounding of the average."""
    found = []
    for kind in (dtype, torch.float32):
        theta = nn.Parameter(torch.zeros(3, dtype=kind))
        optimizer = torch.optim.SGD([theta], lr=1.0)
        average = around(optimizer)
        step = average.step if isinstance(average, WeightAverage) else optimizer.step
        for t in range(1500):
            theta.grad = torch.full((3,), -1.0 if t == 1000 else 0.0, dtype=kind)
            step()
        state = average.state_dict()
        average.load_state_dict(state)
        step()
        with average.evaluating():
            assert theta.dtype == kind
            found.append(theta.detach().float().clone())
    assert 0.2 < found[1][0] < 0.5
    torch.testing.assert_close(found[0], found[1], rtol=0.01, atol=0)


def attached(average, optimizer):
    average.attach(optimizer)
    return average


def test_an_average_goes_on_in_the_precision_of_the_parameters_that_it_is_attached_to():
    first, second = (nn.Parameter(torch.zeros(2, dtype=kind)) for kind in (torch.float32, torch.float64))
    average, other = attached(WeightEMA(), torch.optim.SGD([first], lr=1.0)), WeightEMA()
    optimizer = torch.optim.SGD([second], lr=1.0)
    other.attach(optimizer)
    other.load_state_dict({**average.state_dict(), "taken": 1, "averages": [torch.ones(2)]})
    second.grad = torch.ones(2, dtype=torch.float64)
    optimizer.step()
    assert torch.equal(other.averages[0], torch.zeros(2, dtype=torch.float64))  # the mean of 1 and -1
