"""A few examples learned by heart: sound networks can, what stands between them and the loss cannot be learned away."""

import pytest
import torch
from torch import nn

from inspection.make_network import draws
from trainsmith.inspection import inspect
from trainsmith.inspection.faults.one_batch import FEW, of_one_batch


def network(outputs=4, *more):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, outputs), *more)


def classes(n=60):
    return draws(n, 20), torch.randint(0, 4, (n,), generator=torch.Generator().manual_seed(1))


def found(module, x, y, loss=None):
    return list(of_one_batch(module, x, y, loss))


def test_labels_without_signal_are_learned_by_heart_dropout_or_not():
    module = network()
    module[2].p = 0.9
    before = module.state_dict()["0.weight"].clone()
    assert found(module, *classes()) == []
    assert torch.equal(module[0].weight, before)
    assert module[2].training


@pytest.mark.parametrize("end", [nn.Softmax(-1), nn.Sigmoid()], ids=str)
def test_what_bounds_the_outputs_bounds_the_loss(end):
    (finding,) = found(network(4, end), *classes())
    assert finding.value > finding.threshold == 0.3
    assert finding.short == "cannot learn one batch"


def test_numbers_an_activation_cannot_reach_and_shapes_that_broadcast():
    x, y = draws(60, 20), draws(60, 1, seed=3)
    assert found(network(1), x, y) == []
    assert len(found(network(1, nn.Sigmoid()), x, y)) == 1
    assert len(found(network(1), x, y, lambda o, t: (o - t.T).square().mean())) == 1


def test_examples_told_apart_by_their_targets_alone_are_left_out():
    x, y = classes(40)
    doubled, targets = torch.cat([x[:20], x[:20], x[20:]]), torch.cat([y[:20], (y[:20] + 1) % 4, y[20:]])
    assert found(network(), doubled, targets) == []
    assert found(network(), x[:1].expand(40, 20), y) == []  # fewer than twenty different ones


def test_where_it_says_nothing():
    x, y = classes()
    assert found(network(4, nn.Softmax(-1)), x[: FEW - 1], y[: FEW - 1]) == []
    assert found(network(4, nn.Softmax(-1)).requires_grad_(False), x, y) == []
    assert found(network(), x, None) == []
    assert found(nn.Sequential(network(), nn.Unflatten(1, (4, 1))), x, y[:, None].expand(60, 2)) == []


def test_an_inspection_says_so_where_nothing_else_explains_it():
    def shorts(times):
        module, (x, y) = network(4, nn.Softmax(-1)), classes()
        optimizer = torch.optim.Adam(module.parameters(), 3e-3)
        return {f.short for f in inspect(module, (times * x, y), optimizer=optimizer, batch_size=20).findings}

    assert "cannot learn one batch" in shorts(1)
    assert "cannot learn one batch" not in shorts(10), "the inputs' scale is there before it"
    assert "unscaled inputs" in shorts(10)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_sound_network_in_half_precision_learns_by_heart(kind):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 3)).to(kind)
    x, y = torch.randn(64, 20).to(kind), torch.randint(3, (64,))
    assert not list(of_one_batch(module, x, y, None))
    assert {p.dtype for p in module.parameters()} == {kind}
