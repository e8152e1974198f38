"""Planted faults are found at their place, healthy networks are left in peace, and every finding shows its evidence."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from inspection.make_network import batch, draws, stack
from trainsmith.inspection import FAULTS, inspect, ranked
from trainsmith.inspection.faults import fault
from trainsmith.inspection.passes.record import Call
from trainsmith.inspection.statistics.layers import twins

HE, XAVIER = 0.02**0.5, 0.1


def found(network, data=None):
    """{what was found: the layers, in order}."""
    places = {}
    for finding in inspect(network, batch() if data is None else data).findings:
        places.setdefault(finding.short, []).append(finding.layer)
    return places


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("std", "activation"), [(HE, nn.ReLU), (XAVIER, nn.Tanh), (HE, nn.GELU), (XAVIER, nn.ELU)])
def test_healthy_networks_get_no_finding(std, activation, seed):
    assert found(stack(std, activation, seed=seed)) == {}


def test_a_normalized_network_gets_no_finding_where_small_weights_are_mended():
    torch.manual_seed(0)
    layers = []
    for i in range(5):
        linear = nn.Linear(100, 100)
        nn.init.normal_(linear.weight, 0, HE if i == 0 else 0.005)  # spread 0.05 before the normalization, 1 after
        layers += [linear, nn.BatchNorm1d(100), nn.ReLU()]
    assert found(nn.Sequential(*layers, nn.Linear(100, 10))) == {}


def test_a_last_layer_of_zeros_is_no_fault():
    network = stack(HE, nn.ReLU)
    nn.init.zeros_(network[-1].weight)
    assert found(network) == {}


def test_a_small_output_behind_a_function_is_no_fault():
    network = nn.Sequential(*stack(HE, nn.ReLU), nn.Tanh())
    network[-2].weight.data *= 1e-4
    assert found(network, batch()[0]) == {}


def test_layers_of_unequal_width_share_the_gradient_without_losing_it():
    generator = torch.Generator().manual_seed(0)
    layers = []
    for fan_in, fan_out in ((100, 16_384), (16_384, 8), (8, 10)):
        linear = nn.Linear(fan_in, fan_out, bias=False)
        linear.weight.data = torch.randn(fan_out, fan_in, generator=generator) * (2 / fan_in) ** 0.5
        layers += [linear, nn.ReLU()]
    assert found(nn.Sequential(*layers[:-1]), tuple(t[:50] for t in batch())) == {}


def test_a_confident_output_is_no_fault():
    network = nn.Sequential(*stack(HE, nn.ReLU), nn.Tanh())
    network[-2].weight.data *= 50
    assert "saturated" not in found(network, batch()[0])


@pytest.mark.parametrize(
    ("activation", "first"),
    # per layer the variance falls by n Var(w) f'(0)^2 = .01 and .01 / 16; e^-6 is .0025
    [(nn.Tanh, "5"), (nn.Sigmoid, "3")],
)
def test_small_weights_lose_the_signal_at_the_right_layer(activation, first):
    places = found(stack(0.01, activation))
    assert places["signal vanishes"][0] == first
    assert places["signal vanishes"] == [str(i) for i in range(int(first), 10)]
    assert "gradient vanishes" in places


def test_the_gradient_is_lost_towards_the_input():
    places = found(stack(0.01, nn.Tanh))["gradient vanishes"]
    assert places == ["0", "1", "2", "3", "4", "5"]


def test_large_weights_explode_relu_at_the_right_layer():
    # the second moment grows by 50 a layer; e^6 is 403: the third activation
    assert found(stack(1.0, nn.ReLU))["signal explodes"][0] == "5"
    assert "gradient explodes" in found(stack(1.0, nn.ReLU))


def test_large_weights_saturate_tanh():
    assert found(stack(1.0, nn.Tanh))["saturated"] == ["1", "3", "5", "7", "9"]


def test_the_threshold_of_saturation():
    def share_of(saturated):
        x = torch.zeros(100, 100)
        x[:saturated] = 9
        return found(nn.Sequential(nn.Tanh(), nn.Linear(100, 2)), x)

    assert "saturated" not in share_of(30)
    assert share_of(31)["saturated"] == ["0"]


def with_dead(units, examples=200):
    network = stack(HE, nn.ReLU, depth=1)
    network[0] = nn.Linear(100, 100)
    nn.init.normal_(network[0].weight, 0, HE)
    nn.init.zeros_(network[0].bias)
    network[0].bias.data[:units] = -1000
    return found(network, tuple(t[:examples] for t in batch()))


def test_dead_units_are_found_beyond_a_fifth_and_with_examples_enough():
    assert "dead units" not in with_dead(20)
    assert with_dead(21)["dead units"] == ["1"]
    assert "dead units" not in with_dead(50, examples=99)
    assert with_dead(50, examples=100)["dead units"] == ["1"]


def test_symmetric_units_are_found():
    network = stack(HE, nn.Tanh, depth=2)
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 0.01)
    assert found(network)["symmetric units"] == ["0", "2"]
    twins = stack(HE, nn.ReLU, depth=2)
    for layer, wide in ((twins[0], 0), (twins[2], 1)):
        layer.weight.data[:6] = layer.weight.data[6:12] if wide == 0 else layer.weight.data[:6]
    assert found(twins) == {}  # equal weights whose gradients differ part at the first step
    nn.init.zeros_(twins[2].weight)
    assert "symmetric units" in found(twins)


def test_a_large_embedding_is_no_weight_layer():
    network = nn.Sequential(nn.Embedding(60_000, 4), nn.Flatten(), nn.Linear(12, 2))
    assert found(network, torch.arange(30).reshape(10, 3)) == {}


def test_numbers_that_are_not_finite_are_found_where_they_begin():
    network = stack(HE, nn.ReLU)
    network[4].weight.data[0, 0] = math.inf
    assert found(network)["not finite"] == ["4"]


def test_a_gradient_that_is_not_finite_is_found_where_it_begins():
    class Root(nn.Module):
        def forward(self, x):
            return x.abs().sqrt()

    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), Root(), nn.Linear(4, 1))
    nn.init.zeros_(network[1].weight)
    nn.init.zeros_(network[1].bias)
    assert found(network, draws(10, 4))["not finite"] == ["1"]  # the infinite slope at 0 meets it first


class Branches(nn.Module):
    """Blocks x + scale * f(x) behind a layer, and a function at the end, as in ConvNeXt or BERT."""

    def __init__(self, scale, end):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.end, self.scale = nn.Linear(100, 50), nn.Linear(50, 10), end, scale
        self.branches = nn.ModuleList(nn.Sequential(nn.Linear(50, 50), nn.GELU(), nn.Linear(50, 50)) for _ in range(3))

    def forward(self, x):
        x = self.first(x)
        for branch in self.branches:
            x = x + self.scale * branch(x)
        return self.last(self.end(x))


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("end", [nn.Tanh(), nn.Identity(), nn.LayerNorm(50)], ids=str)
def test_branches_that_are_scaled_down_are_no_fault_where_the_data_pass_beside_them(scale, end):
    assert found(Branches(scale, end)) == {}


def test_findings_show_value_threshold_and_source():
    inspection = inspect(stack(0.01, nn.Tanh), batch())
    finding = next(f for f in inspection.findings if f.short == "signal vanishes")
    first, here = (next(r for r in inspection.layers if r.name == n) for n in ("1", "5"))
    assert finding.value == pytest.approx(here.signal / first.signal)
    assert finding.value < finding.threshold == pytest.approx(math.exp(-6))
    assert "Schoenholz" in finding.source
    assert f"{here.second_moment:.2g}" in finding.words
    assert f"predicted {here.predicted:.2g}" in finding.words
    assert here.verdict == "signal vanishes, gradient vanishes"
    assert inspection.layers[-1].verdict == "healthy"
    order = [r.name for r in inspection.layers]
    assert [f.layer for f in inspection.findings] == sorted((f.layer for f in inspection.findings), key=order.index)


def test_causes_are_told_before_what_follows_and_the_start_before_the_training():
    assert sorted(fault.FIRST) == sorted(FAULTS)

    def told(short, layer):
        return fault.finding(short, layer, "", 0.0, 0.0, "")

    late = dataclasses.replace(told("not finite", "loss"), step=9)
    places = ("wrong initial loss", "b"), ("signal vanishes", "a"), ("wrong initial loss", "c"), ("frozen", "d")
    found = [late, *(told(*place) for place in places)]
    assert [(f.short, [g.layer for g in group]) for f, group in ranked(found)] == [
        ("frozen", ["d"]), ("signal vanishes", ["a"]), ("wrong initial loss", ["b", "c"]), ("not finite", ["loss"]),
    ]  # fmt: skip


class Embedded(nn.Module):
    """Small embeddings, a mean over positions, perhaps a normalization, one hidden layer or two."""

    def __init__(self, std, norm=True, size=1.0):
        super().__init__()
        self.e, self.norm = nn.Embedding(50, 64), nn.LayerNorm(64) if norm else nn.Identity()
        self.a, self.act, self.b = nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5)
        nn.init.normal_(self.e.weight, std=std)
        with torch.no_grad():
            self.a.weight *= size

    def forward(self, x):
        return self.b(self.act(self.a(self.norm(self.e(x).mean(1)))))


@pytest.mark.parametrize("std", [0.001, 0.02, 1.0])
def test_small_embeddings_that_a_normalization_undoes_are_no_explosion(std):
    torch.manual_seed(0)
    x, y = torch.randint(50, (64, 10)), torch.randint(5, (64,))
    found = {f.short for f in inspect(Embedded(std), (x, y)).findings}
    assert not found & {"signal explodes", "gradient explodes"}


def test_what_explodes_behind_embeddings_is_found():
    torch.manual_seed(0)
    x, y = torch.randint(50, (64, 10)), torch.randint(5, (64,))
    found = {f.short for f in inspect(Embedded(0.02, size=300.0), (x, y)).findings}
    assert "signal explodes" in found


def test_without_embeddings_a_first_layer_is_what_others_are_compared_with():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5))
    with torch.no_grad():
        module[0].weight *= 0.001
        module[0].bias *= 0.001
    found = {f.short for f in inspect(module, (torch.randn(64, 64), torch.randint(5, (64,)))).findings}
    assert "signal explodes" in found


class Recurrent(nn.Module):
    def __init__(self, kind, layers, behind=None):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.layers = nn.Embedding(30, 32), kind(32, 48, layers, batch_first=True)
        self.behind, self.head = behind or nn.Identity(), nn.Linear(48, 4)

    def forward(self, x):
        return self.head(self.behind(self.layers(self.table(x))[0][:, -1]))


@pytest.mark.parametrize(("kind", "layers"), [(nn.LSTM, 1), (nn.LSTM, 2), (nn.LSTM, 3), (nn.GRU, 3), (nn.RNN, 3)])
def test_gates_let_little_pass_and_are_no_fault(kind, layers):
    x = torch.randint(30, (128, 12), generator=torch.Generator().manual_seed(1))
    data = x, x.sum(1) % 4
    assert found(Recurrent(kind, layers), data) == {}
    small = nn.Sequential(*(layer for _ in range(5) for layer in (nn.Linear(48, 48), nn.Tanh())))
    with torch.no_grad():
        for p in small.parameters():
            p.mul_(0.05)
    assert "signal vanishes" in found(Recurrent(kind, layers, small), data), "what lies behind them is judged"


def test_sparse_gradients_are_inspected():
    x = torch.randint(30, (128, 12), generator=torch.Generator().manual_seed(1))
    network = nn.Sequential(nn.Embedding(30, 32, sparse=True), nn.Flatten(), nn.Linear(384, 4))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    held = x[:40].flip(1), x[:40].sum(1) % 4
    inspection = inspect(network, (x, x.sum(1) % 4), optimizer=optimizer, validation=held, batch_size=32)
    assert inspection.noise is not None
    assert network[0].sparse


@pytest.mark.parametrize("columns", [1, 7, 300])
def test_equal_units_are_found_whatever_they_stand_between(columns):
    """Against every pair looked at: equal ones, nearly equal ones, ones of the same sum, ones of zeros."""
    rows = draws(60, columns).double()
    rows[5], rows[50], rows[20] = rows[40], rows[40] * (1 + 1e-13), rows[10].flip(0)
    rows[30], rows[31], rows[7] = 0, 0, rows[8] * (1 + 1e-6)
    rows[12] = rows[13] + 0.9e-9 * rows.norm(dim=1).max() / columns**0.5  # all of it in the sum
    layer = nn.Linear(columns, 60).double()
    layer.weight.data = rows
    call = Call("0", layer, draws(4, columns), draws(4, 60))
    apart = (rows[:, None] - rows[None]).norm(dim=2) <= 1e-9 * rows.norm(dim=1).max()
    expected = (apart.sum(1) > 1).double().mean()
    assert twins(call) == pytest.approx(float(expected))
    call.weight_gradient = torch.arange(60.0)[:, None].expand(60, columns)
    assert twins(call) == 0
    call.weight_gradient = torch.ones(60, columns)
    assert twins(call) == pytest.approx(float(expected))


def test_a_layer_of_which_all_units_are_dead_is_why_the_gradient_vanishes():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3))
    nn.init.constant_(network[2].bias, -9.0)
    findings = inspect(network, (draws(120, 10), torch.arange(120) % 3)).findings
    told = [f for f, _ in ranked(findings)]
    assert told[0].short == "dead units"
    assert told[0].words.startswith("layer 3: 100% of its units are 0 on all 120 examples")
    some = dataclasses.replace(told[0], value=0.6)
    assert [f.short for f, _ in ranked([some, told[1]])] == [told[1].short, "dead units"]


def test_layers_that_are_numbers_are_called_so():
    names = {"3": "layer 3", "0.2": "layer 0.2", "3 (2nd call)": "layer 3 (2nd call)", "fc1": "fc1", "body.3": "body.3"}
    assert {name: fault.spoken(name) for name in names} == names
