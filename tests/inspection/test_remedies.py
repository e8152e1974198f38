"""Remedies: what is put where, what it is trained with, and what their effect is said to be."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from inspection.make_network import draws, stack
from trainsmith.catalogue import find
from trainsmith.errors import InvalidInput
from trainsmith.inspection import FAULTS, inspect
from trainsmith.inspection.faults.fault import finding
from trainsmith.inspection.remedies import _rule, try_remedies
from trainsmith.inspection.tried.changes import CHANGES
from trainsmith.inspection.tried.cures import cured
from trainsmith.inspection.tried.treatment import AS_IT_IS, Remedy, compared, interval

CLASSES = 3


def examples(n=120, width=12):
    x = draws(n, width)
    return x, x[:, :CLASSES].argmax(1)


def small(std=0.01, activation=nn.Tanh, depth=5):
    """A narrow stack whose weights are far too small."""
    network = stack(std, activation, depth=depth, width=12)
    network[-1] = nn.Linear(12, CLASSES)
    nn.init.normal_(network[-1].weight, std=0.3, generator=torch.Generator().manual_seed(0))
    nn.init.zeros_(network[-1].bias)
    return network


def treated(network, data=None, **more):
    data = examples() if data is None else data
    return try_remedies(network, data, inspect(network, data), **{"seeds": 3, "steps": 60, "batch_size": 30, **more})


@pytest.fixture(scope="module")
def treatment():
    return treated(small())


def test_better_initializations_are_found_and_ranked(treatment):
    names = [r.name for r in treatment.remedies]
    assert {"initialization=he", "initialization=xavier", "initialization=lsuv"} <= set(names)
    assert [r.loss for r in treatment.remedies] == sorted(r.loss for r in treatment.remedies)
    best = treatment.remedies[0]
    assert best.verdict == "better"
    assert {r.verdict for r in treatment.remedies if r.name.startswith("initialization")} >= {"better"}
    assert best.loss < 0.7 * treatment.as_it_is.loss
    assert "signal vanishes" in best.cures
    assert best.difference == pytest.approx(best.loss - treatment.as_it_is.loss)


def test_the_spread_before_and_after_is_that_at_the_findings_last_layer(treatment):
    he = next(r for r in treatment.remedies if r.name == "initialization=he")
    network = small()
    before = {m.name: m.std for m in inspect(network, examples()).layers}
    assert he.spread_before == pytest.approx(before[he.layer])
    assert he.spread > 100 * he.spread_before


@pytest.mark.parametrize("remedy", ["layer", "standardization", "leaky-relu", "he"])
def test_the_spread_with_a_remedy_is_that_of_the_same_layer_wherever_it_stands(remedy):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, CLASSES))
    x, y = examples()
    family = {"he": "initialization", "leaky-relu": "activation"}.get(remedy, "normalization")
    against = finding("dead units", "1", "dead units", 0.5, 0.2, "")
    more = dataclasses.replace(against, layer="3", remedies=(f"{family}={remedy}",))
    measured = dataclasses.replace(inspect(network, (x, y)), findings=(more,))
    (row,) = try_remedies(network, (x, y), measured, seeds=2, steps=2, batch_size=30).remedies
    (mended, _), seen = cured(network, find(remedy, family), x, y, 0, more), []
    last = [m for m in mended.modules() if type(m).__name__ in ("ReLU", "LeakyReLU")][-1]
    last.register_forward_hook(lambda m, args, output: seen.append(output))
    mended(x)
    assert row.spread == pytest.approx(float(seen[0].detach().std(correction=0)), rel=1e-4)


def test_the_same_call_gives_the_same_numbers_and_leaves_the_network(treatment):
    network = small()
    before = [p.detach().clone() for p in network.parameters()]
    assert treated(network).to_dict() == treatment.to_dict()
    assert all(torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True))
    json.dumps(treatment.to_dict(), allow_nan=False)


def test_nothing_is_tried_where_nothing_is_found():
    healthy = small(std=12**-0.5)
    assert inspect(healthy, examples()).findings == ()
    assert treated(healthy) is None


def test_intervals_are_students():
    values = np.array([0.3, 0.5, 0.1, 0.9])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert interval(values) == pytest.approx((values.mean(), low, high))
    assert interval(np.array([0.3, math.inf]))[1:] == (-math.inf, math.inf)
    assert interval(np.array([0.3])) == (0.3, -math.inf, math.inf)


def row(losses, own, name="learning rate 0.01", worth=0.0):
    loss, difference, diverged, saved = compared(np.array(losses), np.array(own))
    return Remedy(name, "", *loss, *difference, diverged, "", math.nan, math.nan, (), saved, worth)


def test_a_sure_difference_that_is_worth_nothing_is_none():
    own = [1.0, 1.1, 1.2, 1.3]
    little = [v - 0.005 - 0.0001 * i for i, v in enumerate(own)]
    assert row(little, own).verdict == "better"
    assert row(little, own, worth=0.01).verdict == "no difference worth having"
    assert row(own, little, worth=0.01).verdict == "no difference worth having"
    assert row([v - 0.02 for v in little], own, worth=0.01).verdict == "better"
    assert row([1.0, 1.12, 1.18, 1.3], own, worth=0.01).verdict == "cannot tell"
    assert row([0.1] * 8, [math.inf] * 8, worth=0.01).verdict == "better"


def test_what_is_worth_having_is_a_hundredth_of_the_first_loss(treatment):
    assert {r.worth for r in treatment.remedies} == {0.01 * treatment.first_loss}


def test_what_stays_finite_where_the_network_as_it_is_does_not_is_better():
    lost = [math.inf] * 8
    assert row([0.1] * 8, lost).verdict == "better"
    assert row([0.1] * 8, lost).saved == 8
    assert row([0.1] * 5, lost[:5]).verdict == "cannot tell", "five seeds come so by chance once in sixteen"
    assert row([0.1] * 6, lost[:6]).verdict == "better"
    assert row(lost, lost).verdict == "diverges with 8 seeds"
    assert row(lost, lost, AS_IT_IS).verdict == "diverges with 8 seeds"
    assert row([0.1] * 8, [0.1] * 8, AS_IT_IS).verdict == ""
    assert row([0.1], [0.2]).verdict == "cannot tell", "one seed has no interval"


def test_seeds_in_which_both_stay_finite_are_compared_beside_those_that_are_saved():
    some = row([0.1, 0.2, 0.3, 0.4], [math.inf, 0.7, 0.81, 0.9])
    assert (some.saved, some.diverged) == (1, 0)
    assert some.difference == pytest.approx(-1.51 / 3)
    assert some.verdict == "better"
    assert row([0.1, 0.7, 0.81, 0.9], [math.inf, 0.2, 0.3, 0.4]).verdict == "cannot tell"
    assert row([0.7, 0.7, 0.81, 0.9], [0.1, 0.2, 0.3, 0.4]).verdict == "worse"
    assert row([0.1, math.inf, 0.3], [math.inf, 0.7, 0.8]).verdict == "diverges with 1 seed"


def test_a_rate_that_explodes_is_mended_by_a_smaller_one():
    network = small(std=12**-0.5, depth=2)
    x, y = draws(120, 12), draws(120, CLASSES, seed=2)
    optimizer = torch.optim.SGD(network.parameters(), 300.0)
    measured = inspect(network, (x, y), optimizer=optimizer)
    assert [f.short for f in measured.findings] == ["learning rate too high"]
    done = try_remedies(network, (x, y), measured, optimizer=optimizer, seeds=6, steps=20, batch_size=30)
    assert done.as_it_is.diverged == 6
    assert done.remedies[0].verdict == "better"


def test_learning_rates_are_remedies_of_learning_rates():
    network = small(std=12**-0.5, depth=2)
    optimizer = torch.optim.SGD(network.parameters(), 1e-5)
    measured = inspect(network, examples(), optimizer=optimizer)
    assert [f.short for f in measured.findings] == ["learning rate too low"]
    done = try_remedies(network, examples(), measured, optimizer=optimizer, seeds=3, steps=60, batch_size=30)
    assert done.optimizer == "sgd, learning rate 1e-05"
    names = {r.name for r in done.remedies}
    assert "optimizer=adam" in names
    sweep = [n for n in names if n.startswith("learning rate")]
    assert len(sweep) == 3, "those that do best in the finding's own sweep"
    assert {f"optimizer=lr {n.split()[-1]}" for n in sweep} < set(measured.findings[0].remedies)
    assert all(float(n.split()[-1]) > 1e-3 for n in sweep)
    assert done.remedies[0].loss < 0.9 * done.as_it_is.loss
    assert done.remedies[0].verdict == "better"
    assert all(r.cures == () for r in done.remedies), "the rate was not looked at again"


@pytest.mark.parametrize(
    ("make", "name", "numbers"),
    [(lambda p: torch.optim.SGD(p, 0.3), "sgd", {"lr": 0.3}),
     (lambda p: torch.optim.SGD(p, 0.3, momentum=0.7), "momentum", {"lr": 0.3, "momentum": 0.7}),
     (lambda p: torch.optim.Adam(p, 0.2, betas=(0.8, 0.95)), "adam", {"lr": 0.2, "beta1": 0.8, "beta2": 0.95}),
     (lambda p: torch.optim.Rprop(p, 0.2), "adam", {"lr": 0.001}), (lambda p: None, "adam", {"lr": 0.001})],
)  # fmt: skip
def test_the_users_optimizer_is_looked_up_in_the_catalogue(make, name, numbers):
    found, values = _rule(make(nn.Linear(2, 2).parameters()))
    assert found == name
    assert {k: values[k] for k in numbers} == pytest.approx(numbers)


def cure(network, name, short="signal vanishes", layer="0", x=None):
    family, _, technique = name.partition("=")
    x = examples()[0] if x is None else x
    against = finding(short, layer, "", 0.0, 0.0, "")
    return cured(network, find(technique, family), x, examples()[1], 0, against)[0]


def test_what_says_nothing_of_weights_leaves_them():
    network = small()
    prior = cure(network, "initialization=class-prior")
    changed = [n for (n, a), b in zip(network.named_parameters(), prior.parameters(), strict=True) if not a.equal(b)]
    assert changed == [f"{len(network) - 1}.bias"]
    frequencies = torch.bincount(examples()[1], minlength=CLASSES) + 1.0
    torch.testing.assert_close(prior[-1].bias.detach().softmax(0), frequencies / frequencies.sum())


def test_each_kind_of_remedy_goes_to_its_place():
    network = small()
    he = cure(network, "initialization=he")
    assert float(he[0].weight.detach().std()) == pytest.approx((2 / 12) ** 0.5, rel=0.2)
    assert float(network[0].weight.detach().std()) < 0.02
    kinds = [type(m).__name__ for m in cure(network, "activation=leaky-relu").modules()]
    assert "LeakyReLU" in kinds
    assert "Tanh" not in kinds
    kinds = [type(m).__name__ for m in cure(network, "normalization=layer").modules()]
    assert kinds.count("LayerNorm") + kinds.count("LayerNormalization") == 5
    x = examples()[0] * 1000 + 5
    into = []
    scaled = cure(network, "normalization=standardization", x=x)
    hook = [m for m in scaled.modules() if isinstance(m, nn.Linear)][0].register_forward_pre_hook(  # noqa: RUF015
        lambda m, a: into.append(a[0])
    )
    scaled(x)
    hook.remove()
    assert float(into[0].std()) == pytest.approx(1, rel=0.01)


def test_an_activation_goes_between_the_layers_that_lack_one():
    network = nn.Sequential(nn.Linear(12, 12), nn.Linear(12, CLASSES))
    mended = cure(network, "activation=relu", "missing non-linearity", "1")
    x = examples()[0]
    assert torch.allclose(mended(x), network[1](torch.relu(network[0](x))))


def test_batch_norms_are_replaced_where_they_are_the_trouble():
    network = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES))
    mended = cure(network, "normalization=layer", "batch norm's batches", "1")
    assert not any(isinstance(m, nn.BatchNorm1d) for m in mended.modules())
    assert mended(examples()[0]).shape == (120, CLASSES)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, CLASSES)
        nn.init.constant_(self.fc.weight, 0.1)
        self.first = nn.Linear(12, 12)
        nn.init.constant_(self.first.weight, 0.1)
        nn.init.zeros_(self.first.bias)

    def forward(self, x):
        return self.fc(torch.relu(self.first(x)) * 1e-9)


def test_what_cannot_be_put_in_is_said_with_its_reason():
    network = Functional()
    data = examples()
    measured = inspect(network, data)
    against = finding("saturated", "first", "saturated", 0.5, 0.3, "")
    done = try_remedies(
        network, data, dataclasses.replace(measured, findings=(against,)), seeds=2, steps=5, batch_size=30
    )
    assert "no weight layer is followed at once by an activation" in done.skipped["normalization=layer"]
    assert [r.name for r in done.remedies] == ["initialization=xavier"]
    assert done.as_it_is.name == AS_IT_IS


def test_a_network_without_targets_is_refused_in_a_sentence():
    network, (x, _) = small(), examples()
    with pytest.raises(InvalidInput, match="networks with targets: give"):
        try_remedies(network, x, inspect(network, x))


def test_every_fault_has_something_to_try_or_says_why_not():
    for fault in FAULTS.values():
        assert bool(fault.remedies) != fault.untried.startswith("No technique is tried: "), fault.short
        assert len(fault.remedies) >= 2 or fault.advice
        for name in fault.remedies:
            family, _, what = name.partition("=")
            assert name in ("optimizer=lr", "change=optimizer") or (
                CHANGES[what] if family == "change" else find(what, family)
            )
        told = finding(fault.short, "", "", 0.0, 0.0, "")
        assert told.advice.endswith(fault.untried)
