"""The batched program: traced, straightened and single-pass twins of slow, obvious code."""

import copy
import inspect
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from make_runs import RECIPES, blobs, runs_of
from trainsmith.catalogue import Recipe, Run, Trial, techniques
from trainsmith.luck import batches
from trainsmith.optimizer import AdaGrad, Adam, recompute_statistics, with_statistics
from trainsmith.population import Chunk, make_member
from trainsmith.population.packing import FEWEST, MOST, members_at_once, pack
from trainsmith.population.program.kernels import CALLS
from trainsmith.population.program.straighten import straighten
from trainsmith.population.program.traced import trace
from trainsmith.population.program.update import Update


def chunk_of(recipe, count=3, network="mlp", data=None):
    data = data or blobs()
    members = [make_member(run, network, data) for run in runs_of(recipe, count)]
    for member in members:
        member.length = 5  # some averages begin at a share of the training
    return Chunk(members, data.x, data.y), data


def batch(chunk, data, step=0):
    chosen = torch.from_numpy(np.stack([batches(m.seed, m.train, 16, 5)[step] for m in chunk.members]))
    return data.x[chosen], data.y[chosen]


def test_gradients_of_weights_are_written_where_the_optimizer_reads_them():
    chunk, data = chunk_of(Recipe())
    chunk.step(1, 1.0, *batch(chunk, data))
    (line,) = chunk.program._lines.values()
    targets = [node.target for node in line.graph.nodes]
    weights = sum(p.ndim == 3 for p in chunk.parameters)
    assert targets.count(torch.ops.aten.bmm.out) == weights
    assert targets.count(torch.ops.aten.sum.IntList_out) == sum(p.ndim == 2 for p in chunk.parameters)
    assert torch.ops.aten.copy_.default not in targets
    assert torch.ops.aten.relu_.default in targets
    assert torch.ops.aten.relu.default not in targets


@pytest.mark.parametrize("classes", [2, 10, 63, 64, 100])
@pytest.mark.parametrize("examples", [3, 80])
def test_turning_a_softmax_of_few_classes_changes_no_number(classes, examples):
    def both(z, g):
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            p = torch.log_softmax(z, -1)
            return p.detach(), torch.autograd.grad(p, z, g)[0]

    z, g = torch.randn(4, examples, classes) * 30, torch.randn(4, examples, classes)
    line = straighten(make_fx(both)(z, g))
    turned = any(node.args[1] == 1 for node in line.graph.nodes if node.target is torch.ops.aten._log_softmax.default)
    assert turned == (classes < min(64, examples))
    torch.testing.assert_close(tuple(line(z, g)), both(z, g), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(64, 10), (64, 15), (64, 16), (8, 10), (20, 1)])
def test_turning_a_product_with_few_columns_changes_no_number(rows, columns):
    def product(bias, a, b):
        return bias + torch.bmm(a, b), torch.bmm(a, b * 2)

    tensors = torch.randn(3, 1, columns), torch.randn(3, rows, 7), torch.randn(3, 7, columns)
    line = straighten(make_fx(product)(*tensors))
    products = [n for n in line.graph.nodes if n.target in (torch.ops.aten.bmm.default, torch.ops.aten.baddbmm.default)]
    assert len(products) == 2
    turned = columns < min(16, rows)
    assert all(tuple(n.meta["val"].shape[1:]) == ((columns, rows) if turned else (rows, columns)) for n in products)
    torch.testing.assert_close(tuple(line(*tensors)), product(*tensors), rtol=1e-5, atol=1e-5)


def test_what_hangs_on_no_input_is_computed_once():
    def gradient(x):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad((3 * x.mean(1)).sum(), x)[0] * x.detach()

    x = torch.randn(4, 5)
    line = straighten(make_fx(gradient)(x))
    assert [n.target for n in line.graph.nodes if n.op == "call_function"] == [torch.ops.aten.mul.Tensor]
    torch.testing.assert_close(line(x), 3 / 5 * x)


def test_what_hangs_on_no_input_but_a_number_is_computed_once():
    def scaled(x):
        return x * torch.ones_like(x).mul(torch.tensor(3, dtype=torch.float32)).neg().div(7)

    x = torch.randn(4, 5)
    line = straighten(trace(scaled, [x]))
    assert [n.target for n in line.graph.nodes if n.op == "call_function"] == [torch.ops.aten.mul.Tensor]
    assert torch.equal(line(x)[0], scaled(x))


def test_no_number_is_turned_into_a_tensor_at_every_step():
    chunk, data = chunk_of(Recipe(regularization=("l2",)))
    chunk.prepare(data.x[:16].expand(3, 16, *data.x.shape[1:]), data.y[:16].expand(3, 16))
    (line,) = chunk.program.lines.values()
    made = [n for n in line.graph.nodes if n.target is torch.ops.aten._to_copy.default]
    assert [n.args for n in made if not n.all_input_nodes] == []


@pytest.mark.parametrize(
    ("axes", "keep", "shape", "kind"),
    [
        ([1], True, (4, 3), None),
        ([-2], True, (4, 3), None),
        ([1], False, (4, 3), None),
        ([0], True, (5, 3), None),
        ([1], True, (3, 4), None),
        ([1], True, (2, 6), None),
        ([1], True, (4, 3), torch.float64),
    ],
)
def test_a_sum_is_written_where_it_is_wanted(axes, keep, shape, kind):
    """Those whose result is laid out anew, or of another type, are copied."""

    def total(x, wanted):
        found = torch.ops.aten.sum.dim_IntList(x, axes, keep, **({"dtype": kind} if kind else {}))
        wanted.copy_(torch.ops.aten.view(found, list(shape)))
        return (x + 0,)

    x, there, expected = torch.randn(4, 5, 3), torch.zeros(shape), torch.zeros(shape)
    line = straighten(make_fx(total)(x, torch.zeros(shape)))
    line(x, there)
    total(x, expected)
    assert torch.equal(there, expected)
    copied = torch.ops.aten.copy_.default in [n.target for n in line.graph.nodes]
    assert copied == (shape in ((3, 4), (2, 6)) or kind is not None)


@pytest.mark.parametrize("rule", CALLS, ids=lambda r: r.__name__)
def test_a_single_pass_kernel_gives_what_the_rules_formula_gives(rule):
    generator = torch.Generator().manual_seed(0)
    every = {
        "lr": [1e-3, 0.3, 50.0],
        "momentum": [0.9, 0.0, 0.5],
        "alpha": [0.99, 0.9, 0.0],
        "beta1": [0.9, 0.0, 0.5],
        "beta2": [0.999, 0.9, 0.0],
        "eps": [1e-8, 1.0, 1e-3],
        "weight_decay": [0.1, 0.0, 1e-3],
    }
    numbers = {name: every[name] for name in list(inspect.signature(rule.coefficients).parameters)[1:]}
    parameters, gradients = ([torch.zeros(3, 5, 8).mT, torch.zeros(3, 6)] for _ in range(2))
    slow = [[torch.zeros_like(p) for _ in range(1 + len(rule.moments))] for p in parameters]
    update = Update(rule, numbers, parameters, gradients)
    for t in range(1, 12):
        for g in gradients:
            scale = 10.0 ** torch.randint(-6, 3, (3, *(1,) * (g.ndim - 1)), generator=generator)
            g.copy_(torch.randn(g.shape, generator=generator) * scale)
        update(t, 0.7)
        for k in range(3):
            own = {n: v[k] for n, v in numbers.items()}
            coefficients = rule.coefficients(t, **{**own, "lr": own["lr"] * 0.7})
            for g, (theta, *moments) in zip(gradients, slow, strict=True):
                rule.update(theta[k], g[k], *(m[k] for m in moments), **coefficients)
    for theta, kept, expected in zip(parameters, update.kept, slow, strict=True):
        torch.testing.assert_close([theta, *kept], expected, rtol=2e-5, atol=1e-7)


def test_a_rule_with_a_kernel_alone_has_one_in_a_population():
    alone = {t.make for t in techniques("optimizer") if getattr(t.make, "fused", None) is not None}
    assert set(CALLS) == alone


def test_a_kernel_is_not_asked_to_divide_by_nothing():
    parameters, gradients = [torch.ones(2, 3)], [torch.zeros(2, 3)]
    Update(AdaGrad, {"lr": [0.1, 0.1], "eps": [1e-8, 0.0]}, parameters, gradients)(1, 1.0)
    assert torch.equal(parameters[0], torch.ones(2, 3))


def test_members_whose_numbers_lie_with_gaps_are_moved_and_the_gaps_left_alone():
    """As a view into a larger tensor that a network keeps for its weight."""
    whole, gradient = torch.zeros(2, 3, 8), torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    dense, numbers = (
        torch.zeros(2, 3, 4),
        {"lr": [0.1, 0.3], "beta1": [0.9, 0.5], "beta2": [0.99, 0.9], "eps": [1e-8] * 2},
    )
    for theta in (whole[..., ::2], dense):
        update = Update(Adam, numbers, [theta], [gradient])
        for t in (1, 2):
            update(t, 1.0)
    torch.testing.assert_close(whole[..., ::2], dense)
    assert not whole[..., 1::2].any()


def test_packing_places_every_run_once_and_respects_the_limit():
    runs = [run for recipe in RECIPES[:6] for run in runs_of(recipe, 9)]
    parts = pack(runs, largest=4, processes=2)
    assert sorted(i for part in parts for i in part) == list(range(len(runs)))
    assert max(map(len, parts)) <= 4
    structures = [{(runs[i].trial.recipe.activation, runs[i].trial.recipe.normalization) for i in p} for p in parts]
    assert all(len(s) == 1 for s in structures)


def test_a_single_group_is_spread_over_all_processes():
    assert [len(p) for p in pack(runs_of(RECIPES[0], 6), largest=64, processes=2)] == [3, 3]


def test_population_size_shrinks_with_the_network_within_bounds():
    assert members_at_once(10) == MOST
    assert members_at_once(10**9) == FEWEST
    assert MOST > members_at_once(48_000) > FEWEST


def test_what_is_scored_is_made_once_between_two_steps():
    """A state for each of K members of the averages of all of them would be K times the work."""
    members = [make_member(Run(Trial(Recipe(optimizer="schedule-free-sgd")), s), "mlp", blobs()) for s in range(3)]
    chunk = Chunk(members, blobs().x, blobs().y)
    x, y = blobs().x[:8].expand(3, 8, -1), blobs().y[:8].expand(3, 8)
    chunk.step(1, 1.0, x, y)
    with mock.patch.object(chunk._update, "evaluated", wraps=chunk._update.evaluated) as evaluated:
        before = [chunk.state(k) for k in range(3)]
        assert evaluated.call_count == 1
        chunk.step(2, 1.0, x, y)
        assert all(not torch.equal(chunk.state(k)["1.weight"], before[k]["1.weight"]) for k in range(3))
        assert evaluated.call_count == 2
        chunk.keep([2])
        assert evaluated.call_count == 2


def test_an_instance_normalization_without_running_statistics_has_none_to_take_anew():
    assert with_statistics(nn.Sequential(nn.InstanceNorm2d(2), nn.BatchNorm2d(2, track_running_stats=False))) == []
    assert len(with_statistics(nn.Sequential(nn.InstanceNorm2d(2, track_running_stats=True), nn.BatchNorm2d(2)))) == 2


@pytest.mark.parametrize("normalization", ["batch", "ghost-batch"])
def test_statistics_taken_anew_are_those_that_each_member_takes_alone(normalization):
    chunk, data = chunk_of(Recipe(normalization=normalization, regularization=("weight-ema",)))
    x = data.x[:128].reshape(1, 2, 64, -1).repeat(len(chunk.members), 1, 1, 1)
    x[:, 0, 32:] += 5  # a part that is unlike the others
    chunk.refresh(x)
    for k, member in enumerate(chunk.members):
        network = copy.deepcopy(member.objective.network)
        recompute_statistics(network, x[k])
        taken, alone = chunk.state(k), network.state_dict()
        names = [name for name in taken if "running_" in name]
        assert names
        for name in names:
            torch.testing.assert_close(taken[name], alone[name])
