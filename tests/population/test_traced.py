"""The straight line is what torch's make_fx writes down, and other tensors go through it as through the function."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from make_runs import blobs, runs_of
from trainsmith.catalogue import Recipe
from trainsmith.population import Chunk, make_member
from trainsmith.population.program.straighten import straighten
from trainsmith.population.program.traced import trace

DRAW = torch.Generator().manual_seed(0)


def draw(*shape):
    return torch.randn(*shape, generator=DRAW)


def called(line):
    return [str(node.target) for node in line.graph.nodes if node.op == "call_function"]


def run(line, tensors):
    """What a line gives, and what it leaves in the tensors."""
    with torch.no_grad():
        return [*line(*tensors), *tensors]


def copies(tensors):
    return [t.clone(memory_format=torch.preserve_format) for t in tensors]


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(normalization="batch", regularization=("dropout",)),
        Recipe(activation="prelu", regularization=("vat",)),
        Recipe(regularization=("deep-ensemble", "gradient-noise")),
        Recipe("delta-orthogonal", "weight-norm", regularization=("sam",)),
    ],
    ids=str,
)
def test_the_steps_of_a_recipe_are_those_that_make_fx_writes_down(recipe, monkeypatch):
    seen = []

    def kept(step, tensors):
        seen.append((step, copies(tensors)))
        return trace(step, tensors)

    monkeypatch.setattr("trainsmith.population.program.program.trace", kept)
    data = blobs()
    members = [make_member(run, "mlp", data) for run in runs_of(recipe, 2)]
    chosen = torch.from_numpy(np.stack([m.order(16, 1)[0] for m in members]))
    labelled = chosen[:, : members[0].targeted(16)]
    chunk = Chunk(members, data.x, data.y)
    chunk.prepare(data.x[chosen], data.y[labelled])
    ((step, tensors),) = seen
    ours, theirs = straighten(trace(step, copies(tensors))), straighten(make_fx(step)(*copies(tensors)))
    assert called(ours) == called(theirs)
    for a, b in zip(run(ours, copies(tensors)), run(theirs, copies(tensors)), strict=True):
        assert torch.equal(a, b)


def several(x):
    values, places = x.sort(1)
    first, *_, last = values.split(2, 1)
    return [first * last.sum(), places]


def written_over(x):
    count = torch.tensor(1.0)
    count.add_(x.sum())
    return [count * 1]


def brought(x, table=draw(4, 4)):  # noqa: B008
    return [x @ table]


def by_a_constant(x):
    return [x * torch.tensor(3.0).exp().item()]


@pytest.mark.parametrize("function", [several, written_over, brought, by_a_constant])
def test_other_tensors_go_through_the_line_as_through_the_function(function):
    line = straighten(trace(function, [draw(4, 4)]))
    for _ in range(2):  # a call leaves nothing behind for the next
        x = draw(4, 4)
        for a, b in zip(run(line, [x]), [*function(x), x], strict=True):
            assert torch.equal(a, b)


def by_a_number(x):
    return [x * x.sum().item()]


def by_what_became_of_a_constant(x):
    count = torch.tensor(1.0)
    count.add_(x.sum())
    return [x * count.item()]


def by_a_view_of_what_was_written_over(x):
    count = torch.tensor([1.0, 1.0])
    first = count[0]
    count.copy_(x[:2])
    return [x * first.item()]


def by_a_comparison(x):
    return [x if torch.equal(x, x * 2) else -x]


@pytest.mark.parametrize(
    "function",
    [by_a_number, by_what_became_of_a_constant, by_a_view_of_what_was_written_over, by_a_comparison],
)
def test_what_hangs_on_a_number_in_a_tensor_is_not_written_down(function):
    with pytest.raises(RuntimeError, match="asks for a number in a tensor, and what follows may hang on it"):
        trace(function, [draw(4)])


def test_weights_that_autocast_converted_before_are_converted_anew():
    layer, x = nn.Linear(4, 4), draw(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)  # which keeps the converted weight
        line = straighten(trace(lambda weight, x: [nn.functional.linear(x, weight)], [layer.weight, x]))
    other = copy.deepcopy(layer).weight.detach() * 2
    with torch.autocast("cpu", torch.bfloat16):
        expected = nn.functional.linear(x, other)
    assert torch.equal(run(line, [other, x])[0], expected)


def test_a_line_knows_the_device_its_tensors_are_on():
    line = trace(lambda x: [torch.zeros_like(x) + x], [draw(3)])
    assert {node.meta["device"].type for node in line.graph.nodes if node.op != "output"} == {"cpu"}
    assert straighten(line)(torch.ones(3))[0].tolist() == [1, 1, 1]


SLOW_TO_IMPORT = ["torch._dynamo", "sympy", "sklearn", "pandas", "scipy.stats", "matplotlib"]


def test_a_worker_that_trains_and_replays_imports_nothing_slow_besides_torch():
    tests = str(Path(__file__).parents[1])
    program = (
        f"import sys; sys.path.insert(0, {tests!r})\n"
        "from make_runs import blobs, runs_of\n"
        "from trainsmith.catalogue import Recipe\n"
        "from trainsmith.population import Job, Training, work\n"
        "runs = tuple(runs_of(Recipe(normalization='batch', regularization=('dropout',)), 2))\n"
        "record = work(Job('mlp', Training(steps=6, batch_size=16, checks=2), runs, replay=(0, 1)), blobs())\n"
        f"print(max(record.deviations) < 1e-4, [name for name in {SLOW_TO_IMPORT} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "True []\n", done.stderr
