"""watch against float64 computations on recorded tensors, on networks of every sort, and what it must not touch."""

import contextlib
import copy
import io
import json
import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import trainsmith
from trainsmith.errors import InvalidInput
from trainsmith.inspection.statistics.sampling import sample
from trainsmith.inspection.watching import log
from trainsmith.inspection.watching.collect import Room, collect
from trainsmith.inspection.watching.live import LiveLayer
from trainsmith.inspection.watching.moved import Moved
from trainsmith.inspection.watching.waiting import Shelf
from trainsmith.inspection.watching.watch import FindingWarning

from .make_network import draws


def network(act=nn.Tanh):
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(20, 40), nn.ReLU(inplace=True), nn.Linear(40, 30), nn.BatchNorm1d(30), act(), nn.Linear(30, 4)
    )


def train(model, optimizer, steps, watched=None, batch=64, forward=None):
    for step in range(steps):
        x, y = draws(batch, 20, seed=step), torch.arange(batch) % 4
        optimizer.zero_grad()
        cross_entropy((forward or model)(x), y).backward()
        optimizer.step()
        if watched is not None:
            watched(step)


@pytest.fixture
def forked():
    with torch.random.fork_rng(devices=[]):
        yield


def one_step(model, optimizer, **kwargs):
    """One watched step, and everything float64 that it was made of."""
    seen, before = {}, copy.deepcopy(model).double()
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        train(model, optimizer, 1, **kwargs)
    handles = []
    for name, layer in before.named_children():

        def note(m, i, o, name=name):
            seen[name] = (i[0].detach().numpy().copy(), o.detach().numpy().copy())
            o.register_hook(lambda g: seen.update({name + "'": g.numpy().copy()}))

        if isinstance(layer, nn.ReLU):
            layer.inplace = False
        handles.append(layer.register_forward_hook(note))
    cross_entropy(before(draws(64, 20, seed=0).double()), torch.arange(64) % 4).backward()
    return w, seen, before


def test_layers_are_what_float64_says_of_the_same_tensors(forked):
    model = network()
    w, seen, _ = one_step(model, torch.optim.SGD(model.parameters(), 0.1))
    variance_before, variance_input = None, seen["0"][0].var()
    for m in w.layers:
        out, g = seen[m.name][1], seen[m.name + "'"]
        assert m.mean == pytest.approx(out.mean(), abs=1e-6)
        assert m.std == pytest.approx(out.std(), rel=1e-5)
        assert m.second_moment == pytest.approx((out**2).mean(), rel=1e-5)
        assert m.signal == pytest.approx(out.var(0).mean(), rel=1e-5)
        assert m.zeros == pytest.approx((out == 0).mean(), abs=1e-6)
        assert m.gradient == pytest.approx(g.std(), rel=1e-4)
        assert m.gradient_ratio == pytest.approx(g.std() / seen["5'"].std(), rel=1e-4)
        c = np.cov(out, rowvar=False)
        assert m.effective_rank == pytest.approx(np.trace(c) ** 2 / (c**2).sum(), rel=1e-4)
        assert m.input_ratio == pytest.approx(out.var() / variance_input, rel=1e-4)
        if variance_before is not None:
            assert m.variance_ratio == pytest.approx(out.var() / variance_before, rel=1e-4)
        variance_before = out.var()
        used = out[out != 0]
        assert (m.histogram.low, m.histogram.high) == pytest.approx((used.min(), used.max()), abs=1e-6)
        expected = np.histogram(used, 30, (used.min(), used.max()))[0]
        assert sum(m.histogram.counts) == used.size
        assert np.abs(np.array(m.histogram.counts) - expected).max() <= 2  # float32 at a bin's edge
    tanh = w.layers[4]
    slope = 1 - np.tanh(seen["4"][0]) ** 2
    assert tanh.saturated == pytest.approx((slope < 0.05).mean(), abs=0.003)
    assert tanh.saturated > 0.01
    assert [m.saturated for m in w.layers][1] == 0.0
    entered = seen["3"][0]  # running mean 0 and variance 1 before the first step
    assert w.layers[3].running_shift == pytest.approx(np.sqrt((entered.mean(0) ** 2).mean()), rel=1e-4)


def test_parameters_are_what_float64_says_of_the_same_step(forked):
    model = network()
    start = {n: p.detach().double().numpy().copy() for n, p in model.named_parameters()}
    w, _, twin = one_step(model, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9))
    gradients = {n: p.grad.numpy() for n, p in twin.named_parameters()}
    assert [p.name for p in w.parameters] == list(start)
    for p in w.parameters:
        assert p.norm == pytest.approx(np.linalg.norm(start[p.name]), rel=1e-5, abs=1e-9)
        assert p.gradient == pytest.approx(np.linalg.norm(gradients[p.name]), rel=1e-3, abs=1e-7)
        assert p.update == pytest.approx(0.1 * np.linalg.norm(gradients[p.name]), rel=1e-3, abs=1e-6)
        assert p.finite
        assert p.gradient_finite
        assert p.state_finite
        assert not p.stuck


def test_a_signal_that_all_but_vanishes_does_not_stop_the_training(forked):
    deep = [m for _ in range(50) for m in (nn.Linear(20, 20, bias=False), nn.Tanh())]
    for layer in deep[::2]:
        nn.init.normal_(layer.weight, std=0.03)
    model = nn.Sequential(*deep, nn.Linear(20, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        train(model, optimizer, 2)
    tiny = [m for m in w.layers if 0 < m.std < 1e-37]
    assert tiny
    for m in tiny:
        assert sum(m.histogram.counts) == round((1 - m.zeros) * 64 * 20)
        assert m.histogram.low < m.mean < m.histogram.high
    assert "signal vanishes" in {f.short for f in w.findings}


@pytest.mark.parametrize("every", [1, 3])
def test_a_watched_training_is_the_unwatched_one_bit_for_bit(forked, every):
    ends = []
    for watched in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(network(), nn.Dropout(0.5), nn.RReLU())
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        with trainsmith.watch(model, optimizer, every) if watched else contextlib.nullcontext():
            train(model, optimizer, 7)
        ends.append([*model.state_dict().values(), torch.get_rng_state()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_no_hook_hangs_on_the_network_between_measured_steps_and_none_afterwards(forked):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    hooks = []

    def count(step):
        hooks.append(sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()))

    with trainsmith.watch(model, optimizer, every=4) as w:
        train(model, optimizer, 9, watched=count)
    assert [h > 0 for h in hooks] == [False, False, False, True, False, False, False, True, False]
    count(9)
    assert hooks[-1] == 0
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert [m.step for m in w.measurements] == [0, 4, 8]
    assert w.steps == 9


@pytest.mark.parametrize(("every", "close"), [(1, 65), (8, 72)])  # after the close looks at 0 and `every`
def test_layers_that_come_later_are_seen_at_the_next_close_look(forked, every, close):
    model = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)

    def change(step):
        if step == 10:
            model.insert(1, nn.BatchNorm1d(8))

    with trainsmith.watch(model, optimizer, every, warn=False) as w:
        train(model, optimizer, 81, watched=change)
    assert {m.step: len(m.layers) for m in w.measurements} == {s: 3 + (s >= close) for s in range(0, 81, every)}


@pytest.mark.parametrize("how", ["thawed", "added"])
def test_parameters_that_train_later_are_seen_at_the_next_close_look(forked, how):
    model = network()
    model[0].requires_grad_(how == "added")
    optimizer = torch.optim.SGD((model if how == "thawed" else model[2:]).parameters(), 1e-3)

    def change(step):
        if step == 10:
            model[0].requires_grad_(True)
            if how == "added":
                optimizer.add_param_group({"params": model[0].parameters()})

    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        train(model, optimizer, 81, watched=change)
    own = [n for n, _ in model.named_parameters()]
    seen = {m.step: [p.name for p in m.parameters] for m in w.measurements}
    assert seen == {s: own if s >= 65 else own[2:] for s in range(81)}
    first = next(p for p in w.parameters if p.name == "0.weight")
    assert first.gradient == pytest.approx(float(model[0].weight.grad.norm()), rel=1e-5)
    assert first.update == pytest.approx(1e-3 * first.gradient, rel=0.1)


def test_a_table_without_layers_says_why(forked):
    model = network().eval()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        train(model, optimizer, 2)
    assert w.layers == ()
    assert "No layer was seen: the network did not run in training mode" in str(w.table())


def test_copies_and_files_of_a_watched_network_have_no_hook_of_the_watch(forked):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        train(model, optimizer, 2)
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        copies = [copy.deepcopy(model), torch.load(file, weights_only=False)]
        optimizer.zero_grad()
        value = cross_entropy(model(draws(64, 20)), torch.arange(64) % 4)
        for other in copies:
            other(draws(64, 20) * 1e6)
        value.backward()
        optimizer.step()
    assert max(m.std for m in w.layers) < 100
    assert [m.name for m in w.layers] == ["0", "1", "2", "3", "4", "5"]
    assert all(torch.equal(a, b) for a, b in zip(copies[0].state_dict().values(), copies[1].state_dict().values(),
                                                 strict=True))  # fmt: skip


@pytest.mark.parametrize("order", ["before", "between"])
def test_steps_that_a_grad_scaler_leaves_out_are_no_finding(forked, order):
    """It begins with a factor too large, leaves steps out while gradients overflow, and halves it."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 1e-5)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=1000)
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        for step in range(40):
            if order == "before":
                optimizer.zero_grad()
            loss = cross_entropy(model(draws(64, 20, seed=step)), torch.arange(64) % 4) * 1000
            if order == "between":
                optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    left_out = 40 - w.steps
    assert 5 < left_out < 30
    assert w.findings == ()
    first = w.measurements[0]
    if order == "before":  # the pass that the first step used
        assert first.input[0] == pytest.approx(float(draws(64, 20, seed=left_out).mean()), abs=1e-6)
        assert all(m.gradient_finite for m in first.layers)


def test_a_watch_begun_again_has_no_hook_before_its_next_measured_step(forked):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    w = trainsmith.watch(model, optimizer, every=4, warn=False)
    with w:
        train(model, optimizer, 2)
    hooks = []
    with w:
        hooks.append(len(model[0]._forward_hooks))
        train(model, optimizer, 4, watched=lambda _: hooks.append(len(model[0]._forward_hooks)))
    assert hooks == [0, 0, 1, 0, 0]
    assert [m.step for m in w.measurements] == [0, 4]
    assert w.measurements[1].input[0] == pytest.approx(float(draws(64, 20, seed=2).mean()), abs=1e-6)


def test_memory_does_not_grow_and_the_whole_course_stays(forked, monkeypatch):
    monkeypatch.setattr(log, "MOST_KEPT", 6)
    model = nn.Linear(20, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with trainsmith.watch(model, optimizer, every=1) as w:
        train(model, optimizer, 20, batch=8, watched=lambda s: w.measurements[-1].step == s or pytest.fail("last"))
    assert [m.step for m in w.measurements] == [0, 4, 8, 12, 16, 19]


def no_parameters():
    """What follows the parameters of an optimizer, of which there is one, that stays."""
    one = nn.Linear(1, 1, bias=False)
    return Moved(one, torch.optim.SGD(one.parameters()))


def layers_of(called, closely=False, room=None):
    """What is said of these calls."""
    moved, room = no_parameters(), room or Room()
    step = Shelf().step(0, called, None, closely)
    (snapshot,), _ = collect([step], [moved.after(closely)], moved, room)
    return snapshot.measurement(0).layers


def measured(live, x, closely=True):
    """What is said of one call that gave x."""
    live.enter(x, closely)
    live.leave(x, min(1, x.ndim - 1), closely)
    return layers_of([live], closely)[0]


def test_a_unit_is_dead_after_a_thousand_silent_examples_and_alive_again_at_once(forked):
    live = LiveLayer("a", nn.ReLU())
    for step in range(12):
        x = torch.ones(100, 5)
        x[:, 0] = 0
        x[step, 1] = 0  # not always on
        m = measured(live, x, closely=step == 0)
        assert m.dead == pytest.approx(0.2 if step >= 9 else 0)
        assert m.examples == 100 * (step + 1)
        assert m.always_on == pytest.approx(0.6 if step >= 9 else 0)
    x[3, 0] = 1
    assert measured(live, x).dead == 0


def test_one_active_value_outside_the_sample_keeps_a_channel_alive():
    live = LiveLayer("a", nn.ReLU())
    x = torch.zeros(1000, 4, 20, 20)
    x[777, 2, 13, 7] = 1
    m = measured(live, x, closely=False)
    assert m.dead == 0.75
    assert m.mean == 0  # the sample did not see it


def test_one_infinite_value_outside_the_sample_is_seen_with_and_without_weights():
    for layer in (nn.Conv2d(4, 4, 1), nn.Identity()):
        x = torch.zeros(200, 4, 20, 20)
        for value, finite in ((1.0, True), (-np.inf, False), (np.nan, False)):
            x[177, 2, 13, 7] = value
            m = measured(LiveLayer("a", layer), x, closely=False)
            assert m.finite == finite
            assert m.mean == 0  # the sample did not see it
    assert np.isnan(measured(LiveLayer("a", nn.Conv2d(4, 4, 1)), x).dead)


def test_zeros_that_enter_a_leaky_function_are_not_saturated():
    live, x = LiveLayer("a", nn.LeakyReLU(0.01)), draws(100, 20)
    x[:, ::2] = 0
    live.enter(x, False)
    live.leave(live.layer(x), 1, False)
    seen = layers_of([live])[0]
    assert seen.saturated == pytest.approx((x < 0).float().mean().item())


def test_the_effective_rank_of_known_covariances():
    live = LiveLayer("a", nn.Identity())
    for x, rank in ((torch.eye(64)[:32], 31.0), (torch.outer(draws(50), draws(7)), 1.0), (1e-15 * torch.eye(9), 8.0)):
        assert measured(live, x).effective_rank == pytest.approx(rank, rel=1e-4)


def test_one_example_has_no_variance_over_examples_and_infinity_is_seen():
    live = LiveLayer("a", nn.Identity())
    m = measured(live, draws(1, 7))
    assert np.isnan(m.signal)
    assert m.std == pytest.approx(draws(1, 7).std(correction=0).item(), rel=1e-5)
    assert m.finite
    m = measured(live, torch.tensor([[1.0, np.inf], [0.0, 2.0]]))
    assert not m.finite
    assert sum(m.histogram.counts) == 2


@pytest.mark.parametrize("shape", [(256, 500), (64, 32, 16, 16), (16, 64, 128)])
def test_a_sample_says_what_all_values_say_within_its_error(shape):
    """Fixed seeds; the bounds are five standard errors of 4,096 independent values."""
    units = torch.rand(shape[1], generator=torch.Generator().manual_seed(1)).view(1, -1, *[1] * (len(shape) - 2))
    x = nn.functional.relu(draws(*shape, seed=5) + units)
    m = measured(LiveLayer("a", nn.Identity()), x, closely=False)
    error = 5 / 4096**0.5
    assert m.mean == pytest.approx(x.mean().item(), abs=error * x.std().item())
    assert m.std == pytest.approx(x.std().item(), rel=error)
    assert m.zeros == pytest.approx((x == 0).float().mean().item(), abs=error / 2)
    assert m.signal == pytest.approx(x.var(0).mean().item(), rel=2 * error)


@pytest.mark.parametrize(
    "laid", [lambda x: x.contiguous(memory_format=torch.channels_last), lambda x: x.mT, lambda x: x]
)
def test_a_sample_holds_each_value_once_however_they_lie_in_memory(laid):
    x = laid(torch.arange(3 * 4 * 5 * 6.0).view(3, 4, 5, 6))
    assert sorted(sample(x).flatten().tolist()) == sorted(x.flatten().tolist())
    some = sample(laid(torch.arange(200 * 8 * 8 * 8.0).view(200, 8, 8, 8)))
    assert some.shape[0] == 100
    assert 30 < some.shape[1] <= 40
    assert len(some.unique()) == some.numel()


def test_a_sample_leaves_out_no_unit():
    units = torch.arange(128.0).expand(16, 64, 128)  # every 32nd value of an example would be of four units
    assert len(sample(units).unique()) == 128


def test_far_from_a_close_look_samples_of_parameters_are_compared(forked):
    model = nn.Linear(20, 1000)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    start, sizes = [], []
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:

        def note(step):
            start.append(model.weight.detach().clone())

        train(model, optimizer, 4, watched=note)
    for m, before, after in zip(w.measurements[1:], start, start[1:], strict=False):
        p = m.parameters[0]
        exact = m.step < 2
        sizes.append((p.norm, before.norm().item(), p.update, (after - before).norm().item()))
        assert p.norm == pytest.approx(before.norm().item(), rel=1e-5 if exact else 0.05)
        # four rows of a thousand move: the hardest case for a sample
        assert p.update == pytest.approx((after - before).norm().item(), rel=1e-4 if exact else 0.3)
        assert p.update_ratio == pytest.approx(p.update / p.norm, rel=1e-4)
        assert p.gradient > 0
    assert sizes[-1][0] != sizes[-1][1]
    assert [m.closely for x in w.measurements for m in x.layers] == [0, 1, 1, 1]


def test_parameters_that_move_to_other_memory_are_followed(forked):
    model = nn.Linear(20, 1000)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        train(model, optimizer, 4)
        model.weight.data = 100 * model.weight.data  # new memory; the old lives on in the samples
        optimizer.state[model.bias]["momentum_buffer"] = torch.full((1000,), float("nan"))
        optimizer.state[model.weight]["of another rule"] = torch.ones(5000)
        before = model.weight.norm().item()
        train(model, optimizer, 1)
    assert w.parameters[0].norm == pytest.approx(before, rel=0.05)
    assert w.parameters[0].update > 0
    assert [p.state_finite for p in w.parameters] == [True, False]


def test_counts_of_units_outlive_steps_in_which_their_layer_is_not_called(forked):
    live, other, room = LiveLayer("a", nn.ReLU()), LiveLayer("b", nn.ReLU()), Room()
    for step in range(11):
        called = [live] if step % 2 else [other, live]
        for one in called:
            one.enter(torch.zeros(100, 5), False)
            one.leave(torch.zeros(100, 5), 1, False)
        seen = layers_of(called, room=room)
        assert [m.examples for m in seen][-1] == 100 * (step + 1)
        assert [m.dead for m in seen][-1] == (1 if step >= 9 else 0)
    assert seen[0].examples == 600


def test_every_64_steps_a_close_look(forked):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with trainsmith.watch(model, optimizer, every=30) as w:
        train(model, optimizer, 121, batch=8)
    assert [(m.step, m.layers[0].closely) for m in w.measurements] == [(0, 0), (30, 30), (60, 30), (90, 30), (120, 120)]


def test_equal_units_are_seen_and_others_not(forked):
    model = nn.Sequential(nn.Linear(20, 10), nn.Tanh(), nn.Linear(10, 4))
    with torch.no_grad():
        model[0].weight[1] = model[0].weight[4]
        model[0].bias[1] = model[0].bias[4]
        model[2].weight[:, 1] = model[2].weight[:, 4]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        train(model, optimizer, 2)
    assert [m.twins for m in w.layers] == [pytest.approx(0.2), 0, 0]
    assert [(f.short, f.step) for f in w.findings] == [("symmetric units", 0)]


def test_units_that_start_alike_and_learn_different_things_are_not_equal(forked):
    model = nn.Sequential(nn.Linear(20, 10), nn.Tanh(), nn.Linear(10, 4))
    with torch.no_grad():
        model[0].weight[1] = model[0].weight[4]
        model[0].bias[1] = model[0].bias[4]
    optimizer = torch.optim.SGD(model.parameters(), 1e-12)  # so that the weights stay equal for this step
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        train(model, optimizer, 1)
    assert [m.twins for m in w.layers] == [0, 0, 0], "their outgoing weights differ, so their gradients do"


def more_places(words):
    """How many further places a warning names."""
    told = re.search(r"The same in (\d+) more place", words)
    return int(told[1]) if told else 0


def test_findings_are_told_while_it_trains_once(forked):
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    said = []
    with trainsmith.watch(model, optimizer, every=2) as w, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        def spoil(step):
            said.append(len(caught))
            if step == 3:
                optimizer.state[model[2].weight]["exp_avg"][0, 0] = float("nan")

        train(model, optimizer, 9, watched=spoil)
    assert all(c.category is FindingWarning and c.filename == __file__ for c in caught)
    assert said[3] == 0 < said[4]  # step 4 is measured: told there, not at the end
    told = [str(c.message) for c in caught]
    assert sum(1 + more_places(words) for words in told) == len(w.findings)
    assert any(t.startswith("step 4: 2.weight: what the optimizer remembers of it holds NaN") for t in told)
    assert len(set(told)) == len(told)
    assert {f.layer for f in w.findings if f.short == "optimizer's state not finite"} >= {"2.weight"}


def test_too_fast_is_told_the_second_time_and_a_healthy_training_says_nothing(forked):
    for rate, expected in ((1e-3, set()), (0.03, {"learning rate too high"})):
        model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))
        optimizer = torch.optim.Adam(model.parameters(), rate)
        with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
            train(model, optimizer, 1)
            assert not w.findings
            train(model, optimizer, 3)
        assert {f.short for f in w.findings} & {"learning rate too high"} == expected
    assert not w.parameters_frame().query("step == 1").empty


class Odd(nn.Module):
    """Shared and twice-called layers, several inputs by name, tuples, whole numbers, convolutions of sequences."""

    def __init__(self):
        super().__init__()
        self.embed, self.twice = nn.Embedding(11, 16), nn.Linear(16, 16)
        self.again = self.twice
        self.conv, self.act = nn.Conv1d(16, 12, 3, padding=1), nn.ReLU()
        self.rnn, self.head = nn.GRU(12, 16, batch_first=True), nn.Linear(16, 4)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.never = nn.Linear(3, 3)

    def forward(self, tokens, *, scale):
        x = self.again(self.twice(self.embed(tokens))) * scale
        x = self.attention(x, x, x)[0] + x
        x = self.act(self.conv(x.transpose(1, 2))).transpose(1, 2)
        return {"logits": self.head(self.rnn(x)[0].mean(1)), "other": None}


def test_odd_modules(forked):
    torch.manual_seed(0)
    model = Odd()
    with torch.no_grad():
        model.conv.weight[:3], model.conv.bias[:3] = 0, -1  # three of twelve channels are dead
    optimizer = torch.optim.SGD(model.parameters(), 1e-4)
    with trainsmith.watch(model, optimizer, every=2, warn=False) as w:
        for step in range(3):
            for _ in range(2):  # two passes to a step
                tokens = torch.randint(11, (600, 6), generator=torch.Generator().manual_seed(step))
                cross_entropy(model(tokens, scale=1.0)["logits"], torch.arange(600) % 4).backward()
            with torch.no_grad():
                model(tokens, scale=1.0)
            model.eval()(tokens, scale=1.0)
            model.train()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    names = [m.name for m in w.layers]
    assert names[:3] == ["embed", "twice", "twice (2nd call)"]
    assert names[-3:] == ["act", "rnn", "head"]
    assert next(m for m in w.layers if m.name == "act").dead == pytest.approx(0.25)
    stuck = {p.name for p in w.parameters if p.stuck}
    assert {"never.weight", "never.bias"} == stuck
    json.loads(w.json())


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "orthogonal"])
def test_layers_whose_weights_torch_parametrizes(forked, name):
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        wrap = getattr(nn.utils.parametrizations, name)
        models.append(nn.Sequential(wrap(nn.Linear(20, 32)), nn.ReLU(), nn.Linear(32, 4)))
    optimizers = [torch.optim.SGD(m.parameters(), 0.1) for m in models]
    with trainsmith.watch(models[0], optimizers[0], every=1, warn=False) as w:
        train(models[0], optimizers[0], 2)
    train(models[1], optimizers[1], 2)
    assert [m.name for m in w.layers] == ["0", "1", "2"]
    assert all(m.gradient > 0 for m in w.layers)
    assert all(torch.equal(a, b) for a, b in zip(*(m.state_dict().values() for m in models), strict=True))


def test_an_optimizer_with_a_closure_and_a_huggingface_model(forked):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=32, vocab_size=50, n_positions=16)
    model = transformers.GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    tokens = torch.randint(50, (8, 16), generator=torch.Generator().manual_seed(0))

    def closure():
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        return loss

    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        for _ in range(2):
            optimizer.step(closure)
    assert len(w.layers) > 15
    assert all(p.gradient > 0 for p in w.parameters)
    assert all(m.gradient > 0 for m in w.layers)


def test_table_frames_json_and_html(forked):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with trainsmith.watch(model, optimizer, every=1, warn=False) as w:
        assert "Nothing is measured yet" in str(w.table())
        assert "nothing yet" in w._repr_html_()
        train(model, optimizer, 2)
    assert "step 1: layers" in str(w.table())
    assert "2.weight" in str(w.table())
    assert list(w.frame()["step"]) == [0] * 6 + [1] * 6
    assert json.loads(w.json())["measurements"][1]["layers"][0]["variance_ratio"] is None
    assert "<table" in w._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (lambda m: ("mlp", torch.optim.SGD(m.parameters())), "needs a network"),
        (lambda m: (m, 0.1), "needs the training's torch optimizer"),
        (lambda m: (m, torch.optim.SGD(m.parameters()), 0), "every must be"),
        (lambda m: (m, torch.optim.SGD(nn.Linear(2, 2).parameters())), "none of the network's"),
        (lambda m: (nn.Sequential(nn.LazyLinear(2)), torch.optim.SGD(m.parameters())), r"0 \(LazyLinear\) is not made"),
    ],
)
def test_what_cannot_be_watched_is_said(arguments, says):
    with pytest.raises(InvalidInput, match=says):
        trainsmith.watch(*arguments(nn.Linear(2, 2)))


def watched_at(rate, every=4, zeros=False, small=False):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 3))
    if zeros:
        nn.init.zeros_(network[4].weight)
    for layer in network if small else ():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=1e-3)
    x = draws(64, 12)
    optimizer = (torch.optim.Adam if small else torch.optim.SGD)(network.parameters(), rate)
    with trainsmith.watch(network, optimizer, every=every, warn=False) as w:
        for _ in range(16):
            optimizer.zero_grad()
            cross_entropy(network(x), x[:, :3].argmax(1)).backward()
            optimizer.step()
    return w


def test_a_step_that_kills_all_units_is_told_though_no_second_one_follows():
    w = watched_at(200.0)
    first = w.findings[0]
    assert (first.short, first.layer, first.step) == ("learning rate too high", "optimizer", 0)
    assert "half of the 3 weight matrices" in first.words
    ratios = sorted(p.update_ratio for p in w.measurements[0].parameters if len(p.shape) > 1)
    assert first.value == pytest.approx(ratios[1])
    assert all(p.update_ratio == 0 for p in w.measurements[2].parameters if p.name in ("0.weight", "2.weight"))


def test_weights_that_begin_at_zero_may_move_far():
    w = watched_at(0.3, every=1, zeros=True)
    ratios = [p.update_ratio for m in w.measurements for p in m.parameters if p.name == "4.weight"]
    assert np.isnan(ratios[0])
    assert ratios[1] > 0.5
    assert "optimizer" not in {f.layer for f in w.findings}


def test_weights_that_are_far_too_small_are_not_the_rates_fault():
    w = watched_at(1e-3, every=1, small=True)
    ratios = sorted(p.update_ratio for p in w.measurements[0].parameters if len(p.shape) > 1)
    assert ratios[1] > 0.5
    assert {"signal vanishes", "gradient vanishes"} & {f.short for f in w.findings if f.step == 0}
    assert "optimizer" not in {f.layer for f in w.findings}
