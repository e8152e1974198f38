"""Changes against faults of a network's set-up, tried on copies beside the network as it would train."""

import copy
import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from inspection.make_network import draws
from trainsmith.errors import InvalidInput
from trainsmith.inspection import inspect
from trainsmith.inspection.course import follow
from trainsmith.inspection.faults.fault import finding
from trainsmith.inspection.remedies import try_remedies
from trainsmith.inspection.tried.arms import Patient, arms, own_arm
from trainsmith.inspection.tried.changes import CHANGES

CLASSES = 4
NOT_HELD = finding("not in the optimizer", "4", "", 0.1, 0.0, "")


def network(*end):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, CLASSES), *end)


def examples(n=120):
    x = draws(n, 20)
    return x, x[:, :CLASSES].argmax(1)


def treated(module, optimizer=None, data=None, loss=None, **more):
    data = examples() if data is None else data
    measured = inspect(module, data, loss, optimizer=optimizer)
    return measured, try_remedies(
        module, data, measured, loss, optimizer=optimizer, **{"seeds": 3, "steps": 60, "batch_size": 40, **more}
    )


def tried(treatment, name):
    return next(r for r in treatment.remedies if r.name == name)


def test_frozen_layers_behind_trained_ones_are_trained_and_a_frozen_beginning_stays():
    module = network()
    for p in (*module[0].parameters(), *module[4].parameters()):
        p.requires_grad_(False)
    measured, done = treated(module)
    assert [f.short for f in measured.findings] == ["frozen"]
    thawed, _ = CHANGES["thaw"](copy.deepcopy(module), module, *examples(), None)
    still = [n for n, p in thawed.named_parameters() if not p.requires_grad]
    assert still == ["0.weight", "0.bias"]
    assert tried(done, "all layers trained").verdict == "better"
    assert not module[4].weight.requires_grad


def test_what_the_optimizer_does_not_hold_stays_in_the_network_as_it_is_alone():
    module = network()
    optimizer = torch.optim.Adam([*module[0].parameters(), *module[2].parameters()], 3e-3)
    measured, done = treated(module, optimizer)
    assert [f.short for f in measured.findings] == ["not in the optimizer"]
    whole = tried(done, "all in the optimizer")
    assert whole.verdict == "better"
    held, _ = treated(module, torch.optim.Adam(module.parameters(), 3e-3))
    assert held.findings == ()
    patient = Patient(module, *examples(), None, 2, "adam", {"lr": 3e-3}, optimizer, (NOT_HELD,))
    own = own_arm(patient).networks[0]
    assert [n for n, p in own.named_parameters() if not p.requires_grad] == ["4.weight", "4.bias"]
    assert all(p.requires_grad for p in module.parameters())


def test_remedies_of_other_findings_leave_still_what_the_optimizer_does_not_hold():
    module = network()
    optimizer = torch.optim.Adam([*module[0].parameters(), *module[2].parameters()], 3e-3)
    patient = Patient(module, *examples(), None, 2, "adam", {"lr": 3e-3}, optimizer, (NOT_HELD,))
    nn.init.zeros_(module[4].weight)
    (he,) = arms("initialization=he", finding("symmetric units", "4", "", 1.0, 0.05, ""), patient)
    assert [n for n, p in he.networks[0].named_parameters() if not p.requires_grad] == ["4.weight", "4.bias"]
    assert float(he.networks[0][4].weight.std()) == pytest.approx((2 / 32) ** 0.5, rel=0.3), "drawn all the same"


def test_an_optimizer_whose_state_is_not_finite_goes_on_as_it_is_and_a_new_one_does_not():
    module = network()
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    module(examples()[0]).square().sum().backward()
    optimizer.step()
    module.zero_grad()
    optimizer.state[module[0].weight]["exp_avg"][0, 0] = math.nan
    before = {n: p.detach().clone() for n, p in module.named_parameters()}
    measured, done = treated(module, optimizer, seeds=6, steps=30)
    assert [f.short for f in measured.findings] == ["optimizer's state not finite"]
    assert done.as_it_is.verdict == "diverges with 6 seeds"
    assert tried(done, "a new optimizer").verdict == "better"
    assert math.isnan(optimizer.state[module[0].weight]["exp_avg"][0, 0])
    assert all(torch.equal(p, before[n]) for n, p in module.named_parameters())


def test_batch_norms_in_evaluation_mode_stay_in_it_but_for_the_remedy():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, CLASSES)).eval()
    x, y = examples()
    measured, done = treated(module, data=(10 * x + 3, y), steps=20)
    assert "batch norm's statistics" in {f.short for f in measured.findings}
    patient = Patient(
        module, x, y, None, 2, "adam", {}, None, (finding("batch norm's statistics", "1", "", 1.0, 0.5, ""),)
    )
    own = own_arm(patient).networks[0]
    assert (own.training, own[1].training) == (True, False)
    assert not module.training
    assert tried(done, "in training mode").loss != done.as_it_is.loss


@pytest.mark.parametrize("end", [nn.Softmax(-1), nn.Sigmoid()], ids=str)
def test_what_bounds_the_outputs_is_taken_away(end):
    module = network(end)
    measured, done = treated(module, torch.optim.Adam(module.parameters(), 3e-3), seeds=3)
    assert [f.short for f in measured.findings] == ["cannot learn one batch"]
    without = tried(done, f"without {type(end).__name__} at the end")
    assert without.verdict == "better"
    assert without.loss < 0.5 * done.as_it_is.loss
    assert type(module[-1]) is type(end)


class Called(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.body, self.function = network(), function

    def forward(self, x):
        return self.function(self.body(x))


def changed(module, x=None, y=None):
    data = examples() if x is None else (x, y)
    return CHANGES["no-end"](copy.deepcopy(module), module, *data, None)


def test_probabilities_that_no_layer_makes_have_their_logarithm_taken():
    module, (x, y) = Called(lambda logits: functional.softmax(logits, -1)), examples()
    without, told = changed(module)
    assert told == "without softmax at the end"
    torch.testing.assert_close(functional.cross_entropy(without(x), y), functional.cross_entropy(module.body(x), y))


class Tanh(Called):
    def forward(self, x):
        return torch.tanh(self.body(x))


def test_functions_called_in_forward_are_taken_away_too():
    module, (x, _) = Tanh(None), examples()
    without, told = changed(module)
    assert told == "without Tanh at the end"
    torch.testing.assert_close(without(x), module.body(x))


def test_a_function_that_hidden_layers_use_too_stays():
    act = nn.Sigmoid()
    torch.manual_seed(0)
    with pytest.raises(InvalidInput, match="nothing bounds the network's outputs that could be taken away"):
        changed(nn.Sequential(nn.Linear(20, 8), act, nn.Linear(8, CLASSES), act))
    with pytest.raises(InvalidInput, match="nothing bounds"):
        changed(network())


def test_a_loss_that_wants_probabilities_keeps_them():
    module, (x, _) = network(nn.Sigmoid()), examples()
    y = (x[:, :CLASSES] > 0).float()
    found = inspect(module, (x, y), functional.binary_cross_entropy)
    fault = finding("cannot learn one batch", "network", "share of the loss left", 0.5, 0.3, "")
    done = try_remedies(
        module, (x, y), dataclasses.replace(found, findings=(fault,)),
        functional.binary_cross_entropy, seeds=2, steps=5, batch_size=40,
    )  # fmt: skip
    assert "between 0 and 1" in done.skipped["change=no-end"]
    assert done.remedies == ()


def test_a_training_that_does_not_stay_finite_has_its_remedies():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1))
    x = draws(120, 20)
    optimizer = torch.optim.SGD(module.parameters(), 1.0)
    data = (10 * x[:, :1] + x, 30 * x[:, :1])
    measured, course = inspect(module, data), follow(module, data, steps=60, optimizer=optimizer)
    (stopped,) = [f for f in course.findings if f.short == "not finite" and f.layer == "loss"]
    whole = dataclasses.replace(measured, findings=(stopped,))
    done = try_remedies(module, data, whole, optimizer=optimizer, seeds=6, steps=60, batch_size=40)
    assert done.as_it_is.diverged == 6
    assert {r.name for r in done.remedies} == {"learning rate 0.1", "learning rate 0.01", "optimizer=clip-by-norm"}
    assert done.remedies[0].verdict == "better"


def test_outputs_that_overflow_have_remedies_and_what_is_broken_before_says_why_not():
    torch.manual_seed(0)
    module = nn.Sequential(*[m for _ in range(5) for m in (nn.Linear(20, 20), nn.ReLU())], nn.Linear(20, CLASSES))
    for layer in module:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=1e9)
    measured = inspect(module, examples())
    (overflow,) = [f for f in measured.findings if f.short == "not finite"]
    assert overflow.quantity == "finite outputs"
    done = try_remedies(
        module, examples(), dataclasses.replace(measured, findings=(overflow,)), seeds=6, steps=30, batch_size=40
    )
    assert done.as_it_is.verdict == "diverges with 6 seeds"
    assert tried(done, "initialization=he").verdict == "better"
    x, y = examples()
    x[3, 2] = math.nan
    (broken,) = inspect(network(), (x, y)).findings
    assert broken.remedies == ()
    assert "No technique is tried: none makes a number of what is none" in broken.advice
