"""Every number of a layer's row, against a pass written out by hand."""

import copy
import json
import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from inspection.make_network import batch, draws, stack
from trainsmith.inspection import inspect


def test_numbers_are_those_of_a_pass_written_out_in_numpy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6)), rng.normal(size=(40, 3))
    first, last = nn.Linear(6, 5).double(), nn.Linear(5, 3).double()
    inspection = inspect(nn.Sequential(first, nn.Tanh(), last), (torch.tensor(x), torch.tensor(y)))
    w, b, v, c = (p.detach().numpy() for p in (*first.parameters(), *last.parameters()))
    u = x @ w.T + b
    h = np.tanh(u)
    out = h @ v.T + c
    at_out = 2 * (out - y) / y.size
    at_h = at_out @ v
    at_u = at_h * (1 - h**2)
    assert inspection.loss == pytest.approx(np.mean((out - y) ** 2))
    for row, values, gradient in zip(inspection.layers, (u, h, out), (at_u, at_h, at_out), strict=True):
        assert row.mean == pytest.approx(values.mean())
        assert row.std == pytest.approx(values.std())
        assert row.second_moment == pytest.approx((values**2).mean())
        assert row.signal == pytest.approx(values.var(axis=0).mean())
        assert row.gradient == pytest.approx(gradient.std())
        assert row.shape == values.shape[1:]
        assert sum(row.histogram.counts) == values.size
    assert [row.kind for row in inspection.layers] == ["Linear", "Tanh", "Linear"]
    assert [row.parameters for row in inspection.layers] == [35, 0, 18]


def test_saturation_is_the_share_below_five_percent_of_the_largest_slope():
    x = draws(300, 20) * 3
    rows = inspect(nn.Sequential(nn.Tanh(), nn.Sigmoid(), nn.Hardtanh()), x).layers
    tanh = torch.tanh(x)
    sigmoid = torch.sigmoid(tanh)
    assert rows[0].saturated == pytest.approx(float((1 - tanh**2 < 0.05).double().mean()), abs=1e-9)
    assert rows[1].saturated == 0
    assert rows[2].saturated == float((sigmoid >= 1).double().mean()) == 0


@pytest.mark.parametrize(
    ("layer", "known"),
    [(nn.ReLU(), True), (nn.GELU(), True), (nn.ELU(inplace=True), True), (nn.Softmax(1), False),
     (nn.Linear(20, 20), False), (nn.LayerNorm(20, elementwise_affine=False), False), (nn.Dropout(0.3), False),
     (nn.Identity(), False)],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_activation_functions_are_known_by_what_they_do(layer, known):
    assert (inspect(nn.Sequential(layer), draws(50, 20)).layers[0].saturated is not None) == known


def test_an_unheard_of_function_is_measured_too():
    class Own(nn.Module):
        def forward(self, x):
            return torch.atan(x * 50)

    x = draws(400, 10)
    row = inspect(nn.Sequential(Own()), x).layers[0]
    # f' = 50 / (1 + (50 x)^2): below 5 % of 50 where |50 x| > sqrt(19)
    assert row.saturated == pytest.approx(float(((50 * x).abs() > 19**0.5).double().mean()), abs=0.005)


def test_zeros_of_a_relu_are_zeros_and_not_saturated():
    x = draws(200, 30)
    row = inspect(nn.Sequential(nn.ReLU()), x).layers[0]
    assert row.zeros == pytest.approx(float((x <= 0).double().mean()))
    assert row.saturated == 0


def test_in_place_layers_give_the_same_numbers():
    plain, in_place = (stack(0.2, lambda where=w: nn.ELU(inplace=where), depth=3) for w in (False, True))
    for a, b in zip(inspect(plain, batch()).layers, inspect(in_place, batch()).layers, strict=True):
        assert b.gradient == pytest.approx(a.gradient, rel=1e-5)
        assert (b.std, b.signal, b.predicted, b.saturated) == pytest.approx((a.std, a.signal, a.predicted, a.saturated))


def test_an_in_place_first_layer_leaves_the_users_batch_alone():
    x = draws(20, 5)
    before = x.clone()
    inspect(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(5, 2)), x)
    assert torch.equal(x, before)


def test_predictions_start_from_the_measured_input_and_weights():
    network, (x, y) = stack(0.1, nn.Tanh), batch()
    rows = inspect(network, (x * 3, y)).layers
    weight = network[0].weight.detach().double()
    assert rows[0].predicted == pytest.approx(
        100 * float(weight.square().mean()) * float((x * 3).double().square().mean()), rel=1e-6
    )
    for row in rows[:10]:
        assert row.predicted == pytest.approx(row.second_moment, rel=0.15)


def test_where_theory_is_silent_there_is_no_prediction():
    rows = inspect(
        nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(392)), draws(8, 1, 100)
    ).layers
    assert [row.predicted for row in rows] == [None] * 4


def test_a_module_called_again_has_a_row_each_time():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x):
            for _ in range(22):
                x = self.fc(x)
            return x

    names = [row.name for row in inspect(Twice(), draws(16, 8)).layers]
    assert names[:4] == ["fc", "fc (2nd call)", "fc (3rd call)", "fc (4th call)"]
    assert [names[10], names[20], names[21]] == ["fc (11th call)", "fc (21st call)", "fc (22nd call)"]


def test_rows_stand_in_the_order_of_the_datas_way():
    class Backward(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(4, 2), nn.Linear(3, 4)

        def forward(self, x):
            return self.last(self.first(x))

    assert [row.name for row in inspect(Backward(), draws(5, 3)).layers] == ["first", "last"]


def test_a_parametrized_layer_is_one_row():
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), nn.Tanh())
    assert [row.name for row in inspect(network, draws(9, 6)).layers] == ["0", "1"]


def test_convolutions_and_pooling_work():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(288, 4)
    )
    rows = inspect(network, (draws(12, 3, 14, 14), torch.arange(12) % 4)).layers
    assert [row.shape for row in rows[:3]] == [(8, 12, 12)] * 3
    assert all(row.gradient > 0 for row in rows)


def test_outputs_may_be_a_tuple_a_mapping_or_hold_logits():
    class Wrapped(nn.Module):
        def __init__(self, wrap):
            super().__init__()
            self.fc, self.wrap = nn.Linear(4, 3), wrap

        def forward(self, x):
            return self.wrap(self.fc(x))

    class Output:
        def __init__(self, logits):
            self.logits = logits

    torch.manual_seed(0)
    fc, data = nn.Linear(4, 3), (draws(10, 4), torch.arange(10) % 3)
    expected = float(functional.cross_entropy(fc(data[0]), data[1]).detach())
    for wrap in (lambda t: t, lambda t: (t, "state"), lambda t: {"logits": t}, Output):
        network = Wrapped(wrap)
        network.fc.load_state_dict(fc.state_dict())
        assert inspect(network, data).loss == pytest.approx(expected)


def test_default_losses():
    torch.manual_seed(0)
    fc, x = nn.Linear(4, 1), draws(10, 4)
    out = fc(x).detach()
    assert inspect(fc, x).loss == pytest.approx(float(out.square().sum() / 2))
    assert inspect(fc, (x, x[:, 0])).loss == pytest.approx(float((out[:, 0] - x[:, 0]).square().mean()))
    assert inspect(fc, (x, x[:, :1]), lambda o, y: (o - y).abs().mean()).loss == pytest.approx(
        float((out - x[:, :1]).abs().mean())
    )


@pytest.mark.parametrize("frozen", [True, False])
def test_a_network_without_trainable_weights_is_measured(frozen):
    network = stack(0.1, nn.Tanh).requires_grad_(False) if frozen else nn.Sequential(nn.Tanh(), nn.ReLU())
    assert all(row.gradient > 0 for row in inspect(network, draws(50, 100)).layers)


def test_arrays_will_do():
    x = draws(30, 100)
    network = stack(0.1, nn.Tanh)
    assert inspect(network, x.numpy()) == inspect(network, x)


def test_to_dict_is_json_even_for_broken_networks():
    network, (x, y) = stack(0.1, nn.ReLU), batch()
    network[4].weight.data[0, 0] = float("nan")
    rows = json.loads(json.dumps(inspect(network, (x, y)).to_dict(), allow_nan=False))["layers"]
    assert rows[4]["mean"] is None
    assert rows[0]["mean"] is not None


def test_the_pass_is_one_of_training_whatever_the_modules_mode():
    network = nn.Sequential(nn.Linear(100, 200), nn.Dropout(0.4), nn.Linear(200, 2)).eval()
    assert inspect(network, draws(200, 100)).layers[1].zeros == pytest.approx(0.4, abs=0.02)


def test_the_histogram_of_a_large_layer_is_of_evenly_spaced_values_of_every_channel():
    x = torch.randn(300, 8, 16, 16, generator=torch.Generator().manual_seed(0)) + 10 * torch.arange(8).view(8, 1, 1)
    (row,) = inspect(nn.Sequential(nn.Identity()), x).layers
    drawn = np.array(row.histogram.counts)
    whole = np.histogram(x.numpy(), len(drawn), (row.histogram.low, row.histogram.high))[0]
    assert 60_000 < drawn.sum() <= 2**17 < x.numel()
    np.testing.assert_allclose(drawn / drawn.sum(), whole / whole.sum(), atol=0.004)


class Checkpointed(nn.Module):
    def __init__(self, again):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.c, self.again = nn.Linear(6, 8), nn.Linear(8, 3), again
        self.b = nn.Sequential(nn.ReLU(), nn.Linear(8, 8), nn.Tanh())

    def forward(self, x):
        x = self.a(x)
        return self.c(checkpoint(self.b, x, use_reentrant=False) if self.again else self.b(x))


def test_what_gradient_checkpointing_runs_again_is_no_call():
    x, y = draws(50, 6), torch.arange(50) % 3
    plain, again = (inspect(Checkpointed(a), (x, y)) for a in (False, True))
    assert [m.name for m in again.layers] == ["a", "b.0", "b.1", "b.2", "c"]
    assert again == plain


def test_ratios_are_to_the_layer_before_the_input_and_the_last_layers_gradient():
    torch.manual_seed(0)
    network, x, y = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), draws(50, 6) * 2, torch.arange(50) % 3
    values, grads = [x.double()], []
    for layer in copy.deepcopy(network).double():
        values.append(layer(values[-1]))
        values[-1].register_hook(grads.append)
    nn.functional.cross_entropy(values[-1], y).backward()
    variance = [float(v.detach().var(correction=0)) for v in values]
    spread = [float(g.std(correction=0)) for g in reversed(grads)]
    found = inspect(network, (x, y)).layers
    assert math.isnan(found[0].variance_ratio)
    for i, m in enumerate(found):
        assert i == 0 or m.variance_ratio == pytest.approx(variance[i + 1] / variance[i], rel=1e-4)
        assert m.input_ratio == pytest.approx(variance[i + 1] / variance[0], rel=1e-4)
        assert m.gradient_ratio == pytest.approx(spread[i] / spread[-1], rel=1e-4)
    words = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 3))
    assert all(math.isnan(m.input_ratio) for m in inspect(words, torch.arange(9)).layers)


def test_arrays_backwards_or_read_only_will_do():
    network, x = nn.Linear(4, 3), draws(20, 4)
    still = x.numpy().copy()
    still.setflags(write=False)
    expected = inspect(network, x).layers
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inspect(network, still).layers == expected
        assert inspect(network, x.numpy()[::-1]).loss == pytest.approx(inspect(network, x).loss)


class OwnLoss(nn.Module):
    """Its loss is a layer, and one of its experts gets no example."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.idle, self.last, self.loss = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3), (
            nn.CrossEntropyLoss())  # fmt: skip

    def forward(self, x, labels):
        hidden = torch.tanh(self.inner(x))
        hidden = torch.cat([hidden, self.idle(hidden[:0])])
        logits = self.last(hidden)
        return {"loss": self.loss(logits, labels), "logits": logits}


def test_layers_that_give_a_loss_or_nothing_have_no_row():
    data = {"x": draws(50, 6), "labels": torch.arange(50) % 3}
    found = inspect(OwnLoss(), data, lambda out, y: out["loss"], steps=2)
    assert [m.name for m in found.layers] == ["inner", "tanh", "last"]
    assert [m.name for m in found.course.measurements[0].layers] == ["inner", "tanh", "last"]
