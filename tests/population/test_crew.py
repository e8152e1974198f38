"""Threads at work: where one is broken off, so are the others, and that is known afterwards."""

import pytest
import torch
from torch import nn

import trainsmith
from trainsmith.errors import InvalidInput

X = torch.randn(60, 6, generator=torch.Generator().manual_seed(1))
Y = (X.sum(1) > 0).long()


@pytest.mark.parametrize("reason", [KeyboardInterrupt, RuntimeError])
def test_where_one_thread_is_broken_off_all_end_and_nothing_trains_on_unequal_steps(reason):
    population = trainsmith.Population(lambda: nn.Linear(6, 2), 4, threads=2)
    done = []

    def advance(member_steps):
        done.append(member_steps)
        if len(done) == 3:
            raise reason

    with pytest.raises(reason):
        population.fit(X, Y, steps=20_000, batch_size=16, advance=advance)
    assert len(done) < 40, "25 steps of two members each, of 800 such looks a thread"
    assert population.outputs(X).shape == (4, 60, 2)
    assert population.member(3).weight.shape == (2, 6)
    for train in (lambda: population.fit(X, Y, steps=1, batch_size=16), lambda: population.step(X, Y)):
        with pytest.raises(InvalidInput, match="a step was broken off"):
            train()
