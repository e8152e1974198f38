"""Promise 1 on networks nobody here wrote: each member gets what it would get alone, dropout on, unchanged by hand."""

import pytest
import torch

from networks_of_others import NETWORKS, build, examples, library
from trainsmith.optimizer import Momentum
from trainsmith.population import Alone, Chunk, Unbatchable
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.objective import CrossEntropy, Objective

STEPS, BATCH, MEMBERS = 4, 6, 3
LOOPS = {"gpt2"}
"""Networks that ask a tensor for a number: gpt2 looks whether there is a padding token."""
RATES = (0.1, 0.03, 0.2)


def learners(name):
    pytest.importorskip(library(name), reason=f"{library(name)} is in the test extra")
    return [learner(name, k, k, {"lr": RATES[k], "momentum": 0.9}) for k in range(MEMBERS)]


def learner(name, weights, seed, numbers):
    return Learner(seed, Objective(build(name, weights), CrossEntropy()), Momentum, numbers)


def trained(trainers, x, y):
    """The losses of every step (steps, members); the first trainer may be all members at once."""
    losses = []
    for step in range(1, STEPS + 1):
        rows = torch.arange(BATCH * step, BATCH * step + BATCH * MEMBERS).remainder(len(x)).view(MEMBERS, BATCH)
        parts = torch.arange(MEMBERS).split(MEMBERS // len(trainers))
        steps = [t.step(step, 1.0, x[rows[p]], y[rows[p]]) for t, p in zip(trainers, parts, strict=True)]
        losses.append(torch.cat(steps))
    return torch.stack(losses)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of operations that vmap runs member by member
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - LOOPS))
def test_each_member_gets_what_it_gets_alone(name):
    x, y = examples(name, 48)
    chunk = Chunk(learners(name), x, y)
    loops = [Alone(learner) for learner in learners(name)]
    together, alone = trained([chunk], x, y), trained(loops, x, y)
    torch.testing.assert_close(together, alone, rtol=1e-8, atol=1e-8)
    assert float((together[0] - together[0].mean()).abs().max()) > 1e-6, "members differ"
    for k, loop in enumerate(loops):
        own = loop.outputs(x[None, :8])[0]
        torch.testing.assert_close(chunk.outputs(x[:8].expand(MEMBERS, 8, *x.shape[1:]))[k], own, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", LOOPS)
def test_what_asks_for_numbers_is_found_out(name):
    with pytest.raises(Unbatchable, match="item"):
        Chunk(learners(name), *examples(name, 8))


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"resnet", "resnet10"}))
def test_dropout_is_on_and_of_the_members_seed(name):
    pytest.importorskip(library(name), reason=f"{library(name)} is in the test extra")
    x, y = examples(name, 6)

    def loss(seed):
        return float(Alone(learner(name, 0, seed, {"lr": 0.1, "momentum": 0.9})).step(1, 1.0, x[None], y[None]))

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)
