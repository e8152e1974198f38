"""Learning rates, labels and splits: found by training copies, and only where the fault is."""

import math

import pytest
import torch
from torch import nn

from inspection.make_network import draws
from trainsmith.errors import InvalidInput
from trainsmith.inspection import inspect
from trainsmith.inspection.faults.held_back import _agreement, rows_of, trees
from trainsmith.inspection.faults.trials import train

CLASSES = 4


def examples(n=300, seed=1):
    x = draws(n, 20, seed=seed)
    return x, x[:, :CLASSES].argmax(1)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, CLASSES))


def found(module, data, loss=None, **more):
    return {f.short: f for f in inspect(module, data, loss, **more).findings}


@pytest.mark.parametrize(
    ("rule", "rate", "short"),
    [(torch.optim.Adam, 1e-2, None), (torch.optim.Adam, 2.0, "learning rate too high"),
     (torch.optim.Adam, 1e-6, "learning rate too low"), (torch.optim.SGD, 0.1, None),
     (torch.optim.SGD, 100.0, "learning rate too high"), (torch.optim.SGD, 1e-5, "learning rate too low")],
)  # fmt: skip
def test_learning_rates_are_judged_by_trying_others(rule, rate, short):
    module = network()
    optimizer = rule(module.parameters(), rate)
    before = [p.detach().clone() for p in module.parameters()]
    shorts = {s for s in found(module, examples(), optimizer=optimizer, batch_size=32) if s.startswith("learning")}
    assert shorts == ({short} if short else set())
    assert all(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    assert optimizer.param_groups[0]["lr"] == rate
    assert not optimizer.state
    assert optimizer.param_groups[0]["params"][0] is module[0].weight


def test_a_rate_that_diverges_where_none_learns_is_too_high():
    x, y = draws(64, 20) * 1e4, draws(64, 1, seed=3)  # what is to be predicted has nothing to do with what it is from
    module = nn.Linear(20, 1)
    with torch.no_grad():
        module.weight.zero_()
    given = {"optimizer": torch.optim.SGD(module.parameters(), 1e-3), "batch_size": 64}
    told = found(module, (x, y - y.mean()), nn.functional.mse_loss, **given)["learning rate too high"]
    alone, losses = nn.Linear(20, 1), [0.0]
    alone.load_state_dict(module.state_dict())
    rule = torch.optim.SGD(alone.parameters(), 1e-3)
    while math.isfinite(losses[-1]):
        rule.zero_grad()
        loss = nn.functional.mse_loss(alone(x), y - y.mean())
        losses.append(float(loss.detach()))
        loss.backward()
        rule.step()
    assert told.words == (
        f"the learning rate 0.001 is far too high: from {losses[1]:.3g} the loss is no longer finite after "
        f"{len(losses) - 2} steps, and none from 1e-08 to 0.1 takes 5% off it in 50."
    )
    assert told.remedies == ("optimizer=clip-by-norm",)


def test_a_sweep_is_the_same_every_time_and_leaves_the_random_state():
    state = torch.get_rng_state()
    runs = [found(m := network(), examples(), optimizer=torch.optim.SGD(m.parameters(), 1e-5)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0]["learning rate too low"].value < 3e-4
    m = network()
    state = torch.get_rng_state()
    found(m, examples(), optimizer=torch.optim.SGD(m.parameters(), 1e-5))
    assert torch.equal(torch.get_rng_state(), state)


def test_shuffled_labels_are_learned_but_do_not_hold():
    (x, y), held = examples(), examples(200, seed=2)
    assert found(network(), (x, y), validation=held) == {}
    shuffled = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    finding = found(network(), (x, shuffled), validation=held)["labels carry no signal"]
    assert finding.value < finding.threshold == 3


def test_shuffled_numbers_too():
    x, held = draws(300, 20), draws(200, 20, seed=2)
    y, truth = x[:, :1] + x[:, 1:2], held[:, :1] + held[:, 1:2]
    module = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1))
    assert found(module, (x, y), validation=(held, truth)) == {}
    assert set(found(module, (x, y.roll(3, 0)), validation=(held, truth))) == {"labels carry no signal"}


class Memory(nn.Module):
    """A network that can learn any examples by heart and nothing that holds for others: waves far shorter than they lie
    apart."""

    def __init__(self, outputs):
        super().__init__()
        self.register_buffer("waves", 300 * draws(20, 256, seed=5))
        self.last = nn.Linear(256, outputs)

    def forward(self, x):
        return self.last(torch.sin(x @ self.waves))


@pytest.mark.parametrize("outputs", [CLASSES, 1])
def test_a_network_that_only_remembers_is_no_proof_against_the_labels(outputs):
    (x, y), (held, truth) = examples(), examples(200, seed=2)
    if outputs == 1:
        y, truth = (t[:, :1] + t[:, 1:2] for t in (x, held))
    assert "labels carry no signal" not in found(Memory(outputs), (x, y), validation=(held, truth))
    finding = found(Memory(outputs), (x, y.roll(3, 0)), validation=(held, truth))["labels carry no signal"]
    assert "Trees grown on the same examples agree by" in str(finding)


def test_several_numbers_an_example_carry_a_signal_or_none():
    (x, _), (held, _) = examples(), examples(200, seed=2)
    y, truth = (torch.stack([t[:, 0] + t[:, 1], t[:, 2] - t[:, 3]], 1) for t in (x, held))
    module = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))
    assert "labels carry no signal" not in found(module, (x, y), validation=(held, truth))
    assert "labels carry no signal" in found(module, (x, y.roll(3, 0)), validation=(held, truth))


def test_what_trees_say_is_said_of_the_classes_as_they_are_numbered():
    x = draws(120, 3)
    y = torch.where(x[:, 0] > 0, 3, 1)  # nothing of classes 0 and 2
    said = trees({"a": x[:, :1], "b": x[:, 1:]}, y, {"a": x[:, :1], "b": x[:, 1:]})
    assert said.shape == (120, 4)
    assert torch.equal(said.argmax(1), y)
    numbers = x[:, :2] * 3
    assert trees(x, numbers, x).shape == (120, 2)
    assert torch.allclose(trees(x, numbers[:, :1], x).float(), numbers[:, :1], atol=1e-5)


def test_agreement_is_in_standard_errors_of_random_pairing():
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 3, (400,), generator=generator)
    outputs = torch.randn(400, 3, generator=generator) + 2 * nn.functional.one_hot(torch.zeros(400).long(), 3)
    scores = torch.tensor([_agreement(outputs, y[torch.randperm(400, generator=generator)]) for _ in range(600)])
    assert abs(float(scores.mean())) < 0.15
    assert float(scores.std()) == pytest.approx(1.0, abs=0.15)
    numbers = torch.randn(400, 1, generator=generator)
    scores = torch.tensor([_agreement(numbers, numbers[torch.randperm(400, generator=generator)]) for _ in range(600)])
    assert float(scores.std()) == pytest.approx(1.0, abs=0.15)
    assert _agreement(numbers, 2 * numbers) == pytest.approx(20.0)


@pytest.mark.parametrize(("repeated", "leaks"), [(0, False), (2, False), (3, True), (150, True)])
def test_held_back_examples_that_are_also_trained_on(repeated, leaks):
    (x, y), (held, truth) = examples(), examples(200, seed=2)
    held[:repeated], truth[:repeated] = x[:repeated], y[:repeated]
    assert ("leak between the splits" in found(network(), (x, y), validation=(held, truth))) == leaks


def test_data_that_repeat_themselves_anyway_are_no_leak():
    x = torch.randint(0, 2, (300, 6), generator=torch.Generator().manual_seed(0)).float()
    y = (x.sum(1) > 3).long()
    module = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    assert "leak between the splits" not in found(module, (x[:200], y[:200]), validation=(x[200:], y[200:]))


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(InvalidInput, match="batch_size must be a whole number of at least 1; got 0"):
        inspect(network(), examples(), batch_size=0)


@pytest.mark.parametrize(
    ("first", "until", "steps"), [(-5.0, None, 20), (-5.0, 0.5, 20), (5.0, None, 20), (5.0, 0.9, 2)]
)
def test_a_training_ends_early_only_where_a_first_loss_above_0_has_fallen(first, until, steps):
    """Losses such as a Gaussian's negative log-likelihood go below 0, where a share of the first one says nothing."""
    weight = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(weight.weight)
    one = torch.ones(8, 1)
    rule = torch.optim.SGD(weight.parameters(), 1.0)
    done = train(weight, rule, one, one, lambda out, _: out.mean() + first, 8, 20, until)
    assert done.losses == pytest.approx([first - step for step in range(steps)])


def test_rows_are_told_apart_in_every_type_of_number():
    x = torch.tensor([[1.0, 2.0], [1.0, 3.0], [1.0, 2.0]])
    for kind in (torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool):
        first, second, third = rows_of(x.to(kind) if kind is not torch.bool else x > 2)
        assert first == third
        assert first != second
    assert len(set(rows_of(torch.tensor([1, 2, 1])))) == 2


class Once(torch.optim.SGD):
    """It makes every weight three times as large in its first step, and moves nothing any more."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.mul_(3.0 if "done" not in group else 1.0)
            group["done"] = True


def test_a_rate_that_kills_the_network_in_one_step_has_moved_it():
    module = network()
    short = train(module, Once(module.parameters(), 0.1), *examples(), None, 32, 50)
    assert short.update == pytest.approx(2 / 10), "the mean over the first ten steps, of which nine did nothing"


def test_weights_too_large_to_square_have_moved_too():
    module = network()
    short = train(module, torch.optim.SGD(module.parameters(), 1e30), *examples(), None, 32, 2)
    assert short.update > 1e20


@pytest.mark.parametrize(
    ("held", "said"),
    [((draws(60, 20), torch.rand(60)), "held-back targets must be like the batch's"),
     ((draws(60, 20), torch.zeros(60, 2).long()), "held-back targets must be like the batch's"),
     ((draws(60, 19), torch.arange(60) % CLASSES), "the network cannot take the held-back inputs")],
)  # fmt: skip
def test_held_back_data_of_another_form_are_said(held, said):
    module = network()
    with pytest.raises(InvalidInput, match=said):
        inspect(module, examples(), optimizer=torch.optim.Adam(module.parameters()), validation=held)


def test_examples_that_have_no_class_are_left_out():
    (x, y), (held, truth) = examples(), examples(200, seed=2)
    y[::5], truth[::7] = -100, -100
    module = network()
    assert found(module, (x, y), validation=(held, truth)) == {}
    shuffled = y[torch.randperm(300, generator=torch.Generator().manual_seed(0))]
    assert "labels carry no signal" in found(module, (x, shuffled), validation=(held, truth))


def binary(outputs, y):
    return nn.functional.binary_cross_entropy_with_logits(outputs.reshape(-1), y.float())


@pytest.mark.parametrize("last", [nn.Identity, lambda: nn.Flatten(0)])
@pytest.mark.parametrize("kind", [torch.int64, torch.bool])
def test_a_single_logit_tells_two_classes_apart(last, kind):
    (x, y), (held, truth) = examples(), examples(200, seed=2)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1), last())
    y, truth = (y < 2).to(kind), (truth < 2).to(kind)
    assert found(module, (x, y), binary, validation=(held, truth)) == {}
    shuffled = torch.rand(300, generator=torch.Generator().manual_seed(0)) < 0.5
    other = torch.rand(200, generator=torch.Generator().manual_seed(1)) < 0.5
    told = found(module, (x, shuffled.to(kind)), binary, validation=(held, other.to(kind)))
    assert "labels carry no signal" in told


def test_outputs_that_say_more_than_the_targets_are_not_compared_with_them():
    """Mean and log variance of each number to predict."""
    x = draws(100, 20)

    def likelihood(outputs, y):
        return (outputs[:, 1] + (y - outputs[:, 0]) ** 2 * (-outputs[:, 1]).exp()).mean() / 2

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 2))
    told = found(module, (x, x[:, 0]), likelihood, validation=(draws(60, 20, seed=3), draws(60, seed=4)))
    assert "labels carry no signal" not in told


class Scaled(nn.Module):
    """An input for every example, one for all, and a number for each."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.last = nn.Linear(20, 16), nn.Linear(16, CLASSES)

    def forward(self, x, scale, lengths):
        return self.last(torch.relu(self.inner(x * scale[0] * lengths[:, None])))


def test_what_has_no_row_for_each_example_is_given_as_it_is():
    (x, y), (held, truth) = examples(), examples(200, seed=2)
    one = torch.ones(7, 20)
    inputs, others = (x, one, torch.ones(300)), (held, one, torch.ones(200))
    module = Scaled()
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    more = {"optimizer": optimizer, "batch_size": 32, "steps": 5}
    several = inspect(module, (inputs, y), validation=(others, truth), **more)

    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.all = module

        def forward(self, x):
            return self.all(x, one, torch.ones(len(x)))

    single = inspect(Alone(), (x, y), validation=(held, truth), **more)
    assert several.findings == single.findings == ()
    assert several.course.losses == single.course.losses
    assert several.noise == single.noise


@pytest.mark.parametrize("rate", [None, "absent"])
def test_an_optimizer_without_a_learning_rate_is_not_judged_by_one(rate):
    class Halves(torch.optim.Optimizer):
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.data -= 0.01 * p.grad

    module = network()
    optimizer = Halves(module.parameters(), {} if rate else {"lr": None})
    whole = inspect(module, examples(), optimizer=optimizer, steps=5)
    assert whole.findings == ()
    assert whole.course.optimizer == "Halves"


class Keeps(nn.Module):
    """Its last outputs, in an attribute and in a list."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.last = nn.Linear(20, 16), nn.Linear(16, CLASSES)

    def forward(self, x):
        self.hidden = torch.relu(self.inner(x))
        self.all = {"hidden": [self.hidden]}
        return self.last(self.hidden)


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize(
    "make",
    [Keeps, lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(20, 16)), nn.utils.weight_norm(nn.Linear(16, 4)))],
)
def test_networks_that_keep_what_a_graph_computed_are_tried_too(make):
    module, (x, y) = make(), examples()
    module(x)
    kept = [t for m in module.modules() for t in vars(m).values() if isinstance(t, torch.Tensor)]
    optimizer = torch.optim.Adam(module.parameters(), 10.0)
    told = found(module, (x, y), optimizer=optimizer, validation=examples(200, seed=2), batch_size=32)
    assert "learning rate too high" in told
    assert [t for m in module.modules() for t in vars(m).values() if isinstance(t, torch.Tensor)] == kept != []
    assert all(t.grad_fn is not None for t in kept)


def test_trials_seed_no_generator_but_those_they_put_back(monkeypatch):
    """torch.manual_seed would seed those of all devices, of which only the network's own are put back."""
    module = network()
    monkeypatch.setattr(torch, "manual_seed", None)
    found(module, examples(), optimizer=torch.optim.Adam(module.parameters()), validation=examples(60, seed=2), steps=2)
