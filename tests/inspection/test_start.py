"""Inputs, the first loss and missing non-linearities: each fault at its threshold, and what is none."""

import pytest
import torch
from torch import nn

from inspection.make_network import batch, draws, stack
from trainsmith.inspection import inspect


def found(network, data, loss=None, **more):
    return {f.short: f for f in inspect(network, data, loss, **more).findings}


def first(width, outputs=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(width, 20), nn.ReLU(), nn.Linear(20, outputs))


@pytest.mark.parametrize(("size", "faulty"), [(0.09, True), (0.11, False), (1.0, False), (4.9, False), (5.1, True)])
def test_inputs_should_be_neither_small_nor_large(size, faulty):
    x = draws(400, 30)
    x *= size / x.square().mean().sqrt()
    finding = found(first(30), x).get("unscaled inputs")
    assert (finding is not None) == faulty
    if finding:
        assert finding.value == pytest.approx(size, rel=1e-5)
        assert finding.quantity == "root mean square"
        assert "normalization=standardization" in finding.remedies


def test_zeros_do_not_make_inputs_small():
    x = nn.functional.one_hot(torch.arange(450) % 150, 150).float()
    assert x.square().mean().sqrt() < 0.1
    assert "unscaled inputs" not in found(first(150), x)


@pytest.mark.parametrize(("factor", "faulty"), [(95.0, False), (105.0, True)])
def test_one_input_much_wider_than_the_others(factor, faulty):
    x = torch.linspace(-1, 1, 101)[:, None].repeat(1, 9)
    x[:, 4] *= factor
    finding = found(first(9), x * 0.1).get("unscaled inputs")
    assert (finding is not None) == faulty
    assert finding is None or finding.value == pytest.approx(factor, rel=1e-4)


def test_a_normalization_at_the_entrance_mends_any_inputs():
    x = draws(300, 12) * torch.logspace(-3, 3, 12)
    assert "unscaled inputs" in found(first(12), x)
    assert "unscaled inputs" not in found(nn.Sequential(nn.BatchNorm1d(12), *first(12)), x)


@pytest.mark.parametrize(("constant", "faulty"), [(5, False), (6, True), (10, True)])
def test_inputs_that_never_change(constant, faulty):
    x = draws(100, 10)
    x[:, :constant] = 0.7
    finding = found(first(10), x).get("constant inputs")
    assert (finding is not None) == faulty
    assert finding is None or finding.value == pytest.approx(constant / 10)


def test_numbers_of_an_embedding_are_not_judged():
    network = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    network[0].weight.data *= 100
    assert "unscaled inputs" not in found(network, torch.arange(120).reshape(40, 3) % 9)


def last_layer(scale, bias=0.0):
    network = first(30, 10)
    network[2].weight.data *= scale
    network[2].bias.data[:] = 0
    network[2].bias.data[0] = bias
    return network


def test_a_first_loss_far_above_that_of_all_classes_alike():
    x, y = draws(500, 30), torch.arange(500) % 10
    assert "wrong initial loss" not in found(last_layer(1.0), (x, y))
    finding = found(last_layer(1.0, 20.0), (x, y))["wrong initial loss"]
    assert finding.threshold == pytest.approx(torch.log(torch.tensor(10.0)).item() + 2)
    expected = nn.functional.cross_entropy(last_layer(1.0, 20.0)(x), y)
    assert finding.value == pytest.approx(float(expected.detach()), rel=1e-5)
    assert "wrong initial loss" in found(last_layer(50.0), (x, y))
    assert "wrong initial loss" in found(last_layer(50.0), (x, y), nn.functional.cross_entropy)


def test_a_loss_of_the_users_own_is_asked_what_a_constant_gives():
    x, y = draws(500, 30), torch.arange(500) % 10

    def thrice(outputs, targets):
        return 3 * nn.functional.cross_entropy(outputs, targets)

    finding = found(last_layer(1.0, 20.0), (x, y), thrice)["wrong initial loss"]
    assert finding.threshold == pytest.approx(3 * (torch.log(torch.tensor(10.0)).item() + 2))


@pytest.mark.parametrize(
    ("shift", "spread", "faulty"),
    [
        (0.0, 1.0, False),
        (1.4, 1.0, False),
        (1.6, 1.0, True),
        (0.0, 9.5, False),
        (0.0, 10.5, True),
        (0.0, 0.09, True),
        (1.2, 9.0, False),
        (1.6, 0.5, True),
    ],
)
def test_numbers_to_predict_that_lie_where_no_output_begins(shift, spread, faulty):
    y = draws(400, 1, seed=4)
    y = ((y - y.mean()) / y.std(correction=0) + shift) * spread
    assert ("wrong initial loss" in found(first(30, 1), (draws(400, 30), y))) == faulty


def test_labels_and_pixels_between_0_and_1_are_no_such_numbers():
    y = torch.ones(400, 3)
    y[:5] = 0
    loss = nn.functional.binary_cross_entropy_with_logits
    assert "wrong initial loss" not in found(first(30, 3), (draws(400, 30), y), loss)


def test_two_linear_layers_in_a_row():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 30), nn.Dropout(0.5), nn.BatchNorm1d(30), nn.Linear(30, 30), nn.Tanh())
    finding = found(network, draws(50, 20))["missing non-linearity"]
    assert finding.layer == "3"
    assert "layer 3 takes what layer 0 gives with no activation function" in finding.words


class Functional(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.a, self.b, self.function = nn.Linear(20, 30), nn.Linear(30, 5), function

    def forward(self, x):
        return self.b(self.function(self.a(x)))


def test_a_function_called_in_forward_is_a_non_linearity():
    assert "missing non-linearity" not in found(Functional(torch.relu), draws(50, 20))
    assert "missing non-linearity" in found(Functional(lambda x: x.view(-1, 30)), draws(50, 20))


def test_what_saves_weights_on_purpose_is_no_fault():
    low_rank = nn.Sequential(nn.Linear(20, 5), nn.Linear(5, 30), nn.ReLU())
    assert "missing non-linearity" not in found(low_rank, draws(50, 20))
    separable = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 12, 1), nn.ReLU())
    assert "missing non-linearity" not in found(separable, draws(20, 6, 8, 8))
    dense = nn.Sequential(nn.Conv2d(6, 6, 3), nn.Conv2d(6, 12, 1), nn.ReLU())
    assert "missing non-linearity" in found(dense, draws(20, 6, 8, 8))


def test_a_healthy_stack_has_none_of_these():
    assert not found(stack(0.02**0.5, nn.ReLU), batch())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_data_that_are_not_finite_are_blamed_instead_of_a_layer(value):
    x, y = draws(50, 30), draws(50, 3, seed=2)
    x[7, 2] = x[9, 0] = value
    inspection = inspect(first(30), (x, y))
    (finding,) = inspection.findings
    assert (finding.layer, finding.short, finding.value) == ("inputs", "not finite", 2)
    assert "2 NaN or infinite numbers, in 2 of 50 examples" in finding.words
    assert found(first(30), (draws(50, 30), torch.where(y > 2, value, y)))["not finite"].layer == "targets"


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("scale", "faulty"), [(1.0, False), (60.0, True)])
def test_a_loss_that_is_a_sum_is_judged_as_the_mean_is(reduction, scale, faulty):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 5))
    with torch.no_grad():
        module[2].weight *= scale
    x, y = torch.randn(256, 20), torch.randint(5, (256,))

    def loss(output, target):
        return nn.functional.cross_entropy(output, target, reduction=reduction)

    found = {f.short for f in inspect(module, (x, y), loss=loss).findings}
    assert ("wrong initial loss" in found) == faulty


@pytest.mark.parametrize("flat", [True, False])
def test_a_single_logit_may_begin_as_sure_as_two_classes(flat):
    """Two nats above chance, however many examples there are."""
    y = torch.arange(400) % 2

    def loss(outputs, targets):
        return nn.functional.binary_cross_entropy_with_logits(outputs.reshape(-1), targets.float())

    for bias, faulty in ((5.0, False), (5.8, True)):  # half of the examples lose so many nats
        last = nn.Linear(20, 1)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, bias)
        network = nn.Sequential(*first(30)[:2], last, *([nn.Flatten(0)] if flat else []))
        assert ("wrong initial loss" in found(network, (draws(400, 30), y), loss)) == faulty
