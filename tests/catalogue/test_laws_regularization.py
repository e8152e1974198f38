"""What holds for every regularizer in a training, and for every constraint on weights."""

import numpy as np
import pytest
import torch

from each_technique import each, name_of, settings
from make_runs import blobs, runs_of
from trainsmith.catalogue import Recipe, Run, Trial, techniques
from trainsmith.data import from_arrays
from trainsmith.population import Alone, Chunk, Training, make_member, train

ELSEWHERE = ("ensemble", "pooling", "branch", "pair")
"""Roles with files of their own, where members are trained together and alone too."""
HERE = [t for t in techniques("regularization") if t.role not in ELSEWHERE]
REGULARIZERS = pytest.mark.parametrize("technique", HERE, ids=name_of)
TRAINING = Training(steps=6, batch_size=16, checks=2)


def pictures(examples=120, classes=3):
    """Noisy images (n, 2, 6, 5) of a pattern for each class, as a Dataset."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, examples)
    patterns = rng.uniform(size=(classes, 2, 6, 5))
    return from_arrays((patterns[y] + 0.3 * rng.normal(size=(examples, 2, 6, 5))).astype(np.float32), y, "pictures")


DATA = {"table": blobs(120), "image": pictures()}


def exact_member(run, data):
    """A member in double precision, in which rounding explains next to nothing."""
    member = make_member(run, "mlp", data)
    member.objective.double()
    return member


@REGULARIZERS
@pytest.mark.parametrize("kind", DATA)
def test_members_train_together_as_alone_in_double_precision(technique, kind):
    data = DATA[kind]
    x, runs = data.x.double(), runs_of(Recipe(regularization=(technique.name,)), 3)
    members = [exact_member(run, data) for run in runs]
    if technique.name in members[0].skipped:
        return  # then there is nothing of it in the training
    together = train(Chunk(members, x, data.y), x, data.y, TRAINING)
    for run, there in zip(runs, together, strict=True):
        (here,) = train(Alone(exact_member(run, data)), x, data.y, TRAINING)
        np.testing.assert_allclose(there.first_losses, here.first_losses, rtol=1e-9)


@REGULARIZERS
@pytest.mark.parametrize("kind", DATA)
def test_without_strength_a_training_is_the_plain_one(technique, kind):
    data, tuned = DATA[kind], [h for h in technique.hyperparameters if h.tuned]
    if not tuned or tuned[0].domain.low_open:
        return  # its strength has no end at which it does nothing
    number = next((h for h in technique.hyperparameters if h.name == "weight"), tuned[0])
    losses = []
    for recipe, numbers in (
        (Recipe(), {}),
        (Recipe(regularization=(technique.name,)), {f"{technique.name}.{number.name}": number.domain.low}),
    ):
        member = exact_member(Run(Trial(recipe, numbers), 4), data)
        (result,) = train(Alone(member), data.x.double(), data.y, TRAINING)
        losses.append(result.first_losses)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-13)


@each("constraint")
@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 2, 2)], ids=str)
def test_members_are_constrained_together_as_alone(technique, shape):
    members = settings(technique, 3)
    weights = [torch.randn(shape, generator=torch.Generator().manual_seed(k)) * 3 for k in range(3)]
    rates = [0.1, 0.5, 1.0]

    def column(values):
        return torch.tensor(values).view(3, *(1,) * len(shape))

    stacked = torch.stack(weights)
    numbers = {h.name: column([m[h.name] for m in members]) for h in technique.hyperparameters}
    for part in (technique.make.before_step, technique.make.after_step):
        part(stacked, axes=len(shape), lr=column(rates), **numbers)
    for k, (numbers, w) in enumerate(zip(members, weights, strict=True)):
        before = w.clone()
        technique.make(**numbers)([w], lr=rates[k])
        torch.testing.assert_close(stacked[k], w)
        assert not torch.equal(before, w)


@each("constraint")
def test_a_constraint_is_used_by_the_rule_around_its_own_step_at_the_rate_of_the_step(technique):
    w = torch.nn.Parameter(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)) * 3)
    expected = w.detach().clone()
    numbers = settings(technique, 1)[0]
    optimizer = torch.optim.SGD([w], lr=0.25)
    technique.make(**numbers).attach(optimizer)
    w.grad = torch.zeros_like(w)
    optimizer.step()
    technique.make(**numbers)([expected], lr=0.25)
    assert torch.equal(w.detach(), expected)
