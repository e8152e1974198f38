"""A training under inspection: a copy is trained as a plain loop trains it, and what appears has its step."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

import trainsmith
from inspection.make_network import batch, draws, stack
from trainsmith.errors import InvalidInput
from trainsmith.inspection import inspect
from trainsmith.inspection.course import LOOKED_AT, follow
from trainsmith.report.course_table import course_table
from trainsmith.report.inspection_page import page
from trainsmith.report.inspection_table import layer_table
from trainsmith.report.terminal import Printable
from trainsmith.rows import Rows


def task(n=200):
    x = draws(n, 20)
    return x, x[:, :4].argmax(1)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 4))


def by_hand(module, optimizer, data, steps, size):
    """Batches of permutations drawn from seed 0, without what is left over at the end of one."""
    generator, (x, y) = torch.Generator().manual_seed(0), data
    order, losses = torch.randperm(len(x), generator=generator), []
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(len(x), generator=generator)
        rows, order = order[:size], order[size:]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_losses_and_layers_are_those_of_a_plain_loop_and_the_network_stays():
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), 0.3)
    before = [p.detach().clone() for p in module.parameters()]
    found = inspect(module, task(), optimizer=optimizer, batch_size=50, steps=21, every=7)
    assert all(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    assert not any(m._forward_hooks for m in module.modules())
    trained = network()
    losses = by_hand(trained, torch.optim.SGD(trained.parameters(), 0.3), task(), 21, 50)
    course = found.course
    assert course.losses == pytest.approx(losses, rel=1e-5)
    assert [m.step for m in course.measurements] == [0, 7, 14]
    after = inspect(trained, task())
    for a, b in zip(course.after, after.layers, strict=True):
        assert (a.std, a.gradient, a.dead) == pytest.approx((b.std, b.gradient, b.dead), rel=1e-4)
    weight = course.measurements[0].parameters[0]
    first = network()
    by_hand(first, torch.optim.SGD(first.parameters(), 0.3), task(), 1, 50)
    assert weight.update_ratio == pytest.approx(
        float(((first[0].weight - module[0].weight).norm() / module[0].weight.norm()).detach()), rel=1e-4
    )


def test_batches_are_read_by_index_and_the_rest_is_not(monkeypatch):
    x, y = task(1500)
    chosen, most = np.random.default_rng(0).permutation(1500)[:1400], []
    read = Rows.__getitem__
    monkeypatch.setattr(Rows, "__getitem__", lambda self, which: most.append(len(t := read(self, which))) or t)
    course = follow(network(), (Rows(x, chosen), y[chosen]), steps=30)
    assert max(most) == LOOKED_AT
    assert most[:-1] == [2, *[64] * 30]  # two are enough to count what a step takes
    assert repr(course) == repr(follow(network(), (x[chosen], y[chosen]), steps=30))


def test_a_healthy_training_gets_no_finding():
    module = network()
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    assert inspect(module, task(), optimizer=optimizer, batch_size=32, steps=60).findings == ()


def test_a_rate_that_kills_units_is_told_with_its_step():
    x, y = task()
    module = network()
    rule = torch.optim.Adam(module.parameters(), 3.0)
    course = follow(module, (x.abs(), y), optimizer=rule, steps=40, every=4)
    steps = {f.short: f.step for f in course.findings}
    told = dataclasses.replace(inspect(module, (x.abs(), y)), findings=course.findings)
    assert "at step 0: " in str(Printable(layer_table(told)))
    assert "at step 0: " in page(told, None, "network")
    assert steps["dead units"] == 40  # of all examples, in the end
    assert steps["learning rate too high"] == 0
    often = follow(module, (x.abs(), y), optimizer=rule, steps=16, every=1, batch_size=200)
    assert next(f.step for f in often.findings if f.short == "dead units") < 16  # of 1,000 examples, on the way
    assert follow(module, (x.abs(), y), steps=40, every=4).findings == ()


def test_a_training_that_breaks_says_at_which_step():
    module = network()
    course = follow(module, task(), optimizer=torch.optim.SGD(module.parameters(), 1e30), steps=30, every=1)
    assert len(course.losses) < 30
    assert not math.isfinite(course.losses[-1])
    stop = next(f for f in course.findings if f.layer == "loss")
    assert (stop.short, stop.step) == ("not finite", len(course.losses) - 1)
    assert f"at step {stop.step}" in stop.words


def test_what_is_there_from_the_start_is_not_told_again():
    x, y = batch()
    module = stack(0.02**0.5, nn.Tanh, depth=2)
    module[0].weight.data *= 7
    found = inspect(module, (x, y), steps=4, every=1)
    assert [f.short for f in found.findings] == ["saturated"]
    assert found.findings[0].step is None
    assert found.course.gone == ()


def blocked():
    """A network with dead units, which the optimizer given with it brings to life."""
    mended = stack(0.02**0.5, nn.ReLU, depth=1)
    mended[0] = nn.Linear(100, 100)
    nn.init.normal_(mended[0].weight, std=0.02**0.5)
    mended[0].bias.data[:] = 0
    mended[0].bias.data[:30] = -1000
    return mended, torch.optim.SGD([mended[0].bias], 0.5, weight_decay=1.99)  # halves the biases at each step and more


def test_what_training_mends_is_said():
    mended, steps = blocked()
    found = inspect(mended, batch(), optimizer=steps, steps=3, every=1)
    assert ("dead units", "1") in found.course.gone
    assert "No longer there in the end: dead units at 1" in str(Printable(course_table(found.course, found.layers)))


def test_a_training_that_breaks_has_mended_nothing():
    module, rule = blocked()
    rule.add_param_group({"params": [module[2].weight], "lr": 1e30, "weight_decay": 0.0})
    found = inspect(module, batch(), optimizer=rule, steps=20, every=1)
    assert not math.isfinite(found.course.losses[-1])
    assert "dead units" in {f.short for f in found.findings if f.step is None}
    assert found.course.gone == ()


def test_a_first_loss_that_is_not_finite_is_told_and_no_crash():
    module = network()
    module[0].weight.data[0, 0] = torch.nan
    found = trainsmith.inspect(module, task(), steps=5)
    stop = next(f for f in found.findings if f.layer == "loss")
    assert (stop.short, stop.step) == ("not finite", 0)
    assert "loss is nan at step 0" in stop.words
    assert "5 steps" not in str(found.table())
    assert found.html()
    assert found.findings_frame().step.isna().tolist() == [f.step is None for f in found.findings]


def test_what_is_seen_between_the_steps_that_are_kept_is_told():
    """Of more than 128 measured steps every second is kept, so that two in a row are rare among them."""
    module, (x, y), calls = network(), task(), itertools.count()
    rule = torch.optim.SGD(module.parameters(), 1e-3)

    def loss(outputs, targets):
        return nn.functional.cross_entropy(outputs, targets) * (1e4 if next(calls) in (101, 102) else 1)

    found = {
        (f.short, f.layer): f.step for f in follow(module, (x, y), loss, optimizer=rule, steps=130, every=1).findings
    }
    assert found["learning rate too high", "2.weight"] == 101


@pytest.mark.parametrize(
    ("steps", "every"),
    [(0, None), (5, 0), (2.5, None), (True, None), (torch.tensor([5]), None), (5, torch.tensor(True))],
)
def test_steps_must_be_whole_and_at_least_one(steps, every):
    for ask in (follow, trainsmith.inspect):
        with pytest.raises(InvalidInput, match="must be a whole number of at least 1"):
            ask(network(), task(), steps=steps, every=every)


def test_steps_of_any_kind_of_whole_number_are_noted_as_pythons():
    """As a study's are."""
    for kind in (np.int64, torch.tensor, lambda n: np.array(n, np.uint8)):
        course = follow(network(), task(), steps=kind(5), every=kind(2), batch_size=kind(8))
        assert [type(n) for n in (course.steps, course.every, course.batch_size)] == [int, int, int]
    fraction = torch.tensor(2.5)
    for ask in ("seeds", "steps", "batch_size"):
        with pytest.raises(InvalidInput, match=f"{ask} must be a whole number of at least 1; got tensor"):
            trainsmith.inspect(network(), task()).remedies(**{ask: fraction})


def test_what_has_no_parameter_to_train_is_refused():
    with pytest.raises(InvalidInput, match="no parameter to train"):
        follow(network().requires_grad_(False), task(), steps=2)


def test_table_page_and_frame_show_the_course():
    found = trainsmith.inspect(network(), task(), steps=12, every=3)
    text = str(found.table())
    assert "Trained: 12 steps of Adam, learning rate 0.001" in text
    assert "update / weight" in text
    html = found.html()
    assert "the training" in html.lower()
    assert "update / weight, a step" in html
    frame = found.course_frame()
    assert sorted(set(frame.step)) == [0, 3, 6, 9]
    assert {"std", "gradient_ratio", "dead"} <= set(frame.columns)
    assert list(frame.dead.isna()) == list(frame.parameters > 0)  # nothing switches the units of these off
    unmeasured = ["dead", "always_on", "saturated", "variance_ratio", "running_shift"]
    numbers = frame.drop(columns=["name", "kind", "shape", *unmeasured])
    assert numbers.map(lambda v: isinstance(v, (int, float)) and not math.isnan(v)).all(axis=None)
    assert not {"histogram", "gradient_histogram"} & set(found.frame())
    assert found.to_dict()["course"]["losses"] == list(found.measured.course.losses)
    assert trainsmith.inspect(network(), task()).course_frame().empty
