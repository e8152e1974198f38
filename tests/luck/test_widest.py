"""How many examples are evaluated at once hangs on the largest tensor, not on the inputs alone."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from make_runs import blobs
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.luck.widest import widest
from trainsmith.population import Alone, Chunk, make_member
from trainsmith.population.members.attacked import attack
from trainsmith.population.members.objective import outputs_by_pieces
from trainsmith.population.program.program import Program
from trainsmith.population.training import course


class Attention(nn.Module):
    def forward(self, x):
        return functional.scaled_dot_product_attention(x, x, x)


class Grown(nn.Module):
    """Widens inside a function, where no module shows it, and writes to its input."""

    def forward(self, x):
        x += 1
        return (x[..., None] * x[..., None, :]).sum((-1, -2))


@pytest.mark.parametrize(
    ("network", "shape", "numbers"),
    [
        (nn.Sequential(nn.Linear(4, 70), nn.ReLU(), nn.Linear(70, 3)), (4,), 70),
        (nn.Linear(100, 90), (100,), 100),
        (nn.Conv2d(3, 16, 3, padding=1), (3, 8, 8), 16 * 8 * 8),
        (Attention(), (50, 2), 50 * 50),
        (Grown(), (9,), 81),
        (nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 8)), (5,), 8),
    ],
    ids=["hidden units", "inputs, not weights", "channels", "attention's scores", "inside a function", "batch norm"],
)
def test_the_largest_tensor_of_a_pass_is_found(network, shape, numbers):
    x = torch.randn(5, *shape)
    before, state = x.clone(), {name: t.clone() for name, t in network.state_dict().items()}
    network.train()
    assert widest(network, x) == numbers
    assert network.training
    assert torch.equal(x, before)
    assert all(torch.equal(t, state[name]) for name, t in network.state_dict().items())


def wide(shape, outputs):
    return nn.Sequential(nn.Linear(shape[0], 64), nn.ReLU(), nn.Linear(64, outputs))


@pytest.mark.parametrize(("way", "each"), [("together", 3), ("in turn", 10), (None, 10)])
def test_no_more_examples_pass_at_once_than_their_largest_tensor_allows(monkeypatch, way, each):
    data, seen = blobs(), []
    members = [make_member(Run(Trial(Recipe()), seed), wide, data) for seed in range(3 if way else 1)]
    trainer = Chunk(members, data.x, data.y, Program(members[0].objective, way)) if way else Alone(members[0])
    chosen = np.stack([m.validation for m in members])
    whole, _ = course._outputs(trainer, data.x, data.y, chosen)
    evaluate = trainer.outputs
    monkeypatch.setattr(trainer, "outputs", lambda x: seen.append(x.shape[1]) or evaluate(x))
    monkeypatch.setattr(course, "EVALUATED_AT_ONCE", 640)
    outputs, _ = course._outputs(trainer, data.x, data.y, chosen)
    assert max(seen) == each
    assert sum(seen) == chosen.shape[1]
    torch.testing.assert_close(outputs, whole)


def test_an_attack_and_the_test_pass_no_more_examples_at_once_either(monkeypatch):
    data, seen = blobs(), []
    network = wide(data.input_shape, data.outputs)
    whole, outputs = attack(network, data.x, data.y, data.x, seed=3), outputs_by_pieces(network, data.x)
    network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    monkeypatch.setattr("trainsmith.luck.widest.EVALUATED_AT_ONCE", 640)
    assert vars(attack(network, data.x, data.y, data.x, seed=3)) == pytest.approx(vars(whole))
    assert max(seen) == 10
    assert sum(n for n in seen if n > 3) >= 20 * len(data.x)
    seen.clear()
    torch.testing.assert_close(outputs_by_pieces(network, data.x), outputs)
    assert max(seen) == 10
    assert 0 < whole.accuracy < whole.clean
