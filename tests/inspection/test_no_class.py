"""Examples without a class, labelled -100 as cross-entropy's ignore_index is: none of them counts as class 0."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from inspection.make_network import draws
from trainsmith.inspection import inspect
from trainsmith.inspection.faults.one_batch import of_one_batch
from trainsmith.inspection.faults.start import of_constant, of_first_loss
from trainsmith.inspection.passes.record import record, untouched
from trainsmith.inspection.remedies import try_remedies

CLASSES, N = 4, 120


def network(*end):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, CLASSES), *end)


def examples(unlabelled=slice(None, None, 2)):
    """Half of them without a class, the others of class 1, 2 or 3."""
    x = draws(N, 20)
    y = 1 + x[:, : CLASSES - 1].argmax(1)
    y[unlabelled] = -100
    return x, y


def first_losses(bias, y):
    module = network()
    with torch.no_grad():
        module[-1].bias.copy_(torch.tensor(bias))
    with untouched(module):
        seen = record(module, examples()[0], y, None)
    return list(of_first_loss(seen, y, None))


def test_the_first_loss_is_that_of_the_examples_with_a_class():
    y = examples()[1]
    (found,) = first_losses([6.0, 0.0, 0.0, 0.0], y)
    assert found.value > 5, "as class 0 the others would bring it below what is allowed, 3.4"
    assert found.threshold == pytest.approx(math.log(CLASSES) + 2)
    assert first_losses([0.0, 12.0, 0.0, 0.0], torch.where(y < 0, y, 1)) == [], (
        "as class 0 they would have a loss of 12"
    )


def test_the_best_constant_answer_is_that_for_the_examples_with_a_class():
    x, y = examples()
    summed = of_constant(network()(x), y, nn.CrossEntropyLoss(reduction="sum"))
    assert summed == pytest.approx(int((y >= 0).sum()) * math.log(CLASSES), rel=1e-5)


def test_only_examples_with_a_class_are_learned_by_heart():
    seen = []

    def loss(outputs, targets):
        seen.append(targets)
        return functional.cross_entropy(outputs, targets)

    x, y = examples(slice(60))
    assert list(of_one_batch(network(), x, y, loss)) == []
    assert len(list(of_one_batch(network(nn.Softmax(-1)), x, y, loss))) == 1
    assert {int(v) for t in seen for v in t} == {1, 2, 3}
    assert list(of_one_batch(network(nn.Softmax(-1)), x[:75], y[:75], loss)) == [], "fewer than 20 have a class"


def test_no_step_of_an_inspection_and_its_remedies_sees_them_as_class_0(monkeypatch):
    seen, own = [], functional.cross_entropy

    def watched(outputs, targets, *more, **named):
        if not torch._C._functorch.is_functorch_wrapped_tensor(targets):
            seen.extend(targets.flatten().tolist())
        return own(outputs, targets, *more, **named)

    monkeypatch.setattr(functional, "cross_entropy", watched)
    module, (x, y), held = network(), examples(), examples(slice(1, None, 2))
    x, held = 10 * x, (10 * held[0] + 0.5, held[1])
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    found = inspect(module, (x, y), optimizer=optimizer, validation=held, batch_size=30, steps=4)
    assert "unscaled inputs" in {f.short for f in found.findings}
    treatment = try_remedies(module, (x, y), found, optimizer=optimizer, seeds=2, steps=4, batch_size=30)
    assert treatment.remedies
    assert set(seen) == {-100, 1, 2, 3}
