"""A rule's part in a population: weights for evaluation, the schedule, and receipts of rules that see whole tensors."""

import numpy as np
import pytest
import torch

from each_technique import each, settings
from make_runs import blobs
from trainsmith.catalogue import Recipe, Run, Trial, techniques
from trainsmith.population import Alone, Chunk, Training, make_member, train

TRAINING = Training(steps=25, batch_size=16, checks=2)


def runs_of(name, count=3):
    """Runs of one optimizer that differ in every hyper-parameter and in seed; rates from the lower half."""
    (technique,) = [t for t in techniques("optimizer") if t.name == name]
    values = settings(technique, 2 * count)[:count]
    trials = [Trial(Recipe(optimizer=name), {f"{name}.{n}": v for n, v in one.items()}) for one in values]
    return [Run(trial, 20 + i) for i, trial in enumerate(trials)]


def chunk_of(runs, data):
    members = [make_member(run, "mlp", data) for run in runs]
    return Chunk(members, data.x, data.y)


@each("optimizer")
def test_a_member_ends_where_it_ends_alone(technique):
    data, runs = blobs(), runs_of(technique.name)
    results = train(chunk_of(runs, data), data.x, data.y, TRAINING, keep_states=True)
    for run, together in zip(runs, results, strict=True):
        (alone,) = train(Alone(make_member(run, "mlp", data)), data.x, data.y, TRAINING, keep_states=True)
        np.testing.assert_allclose(together.first_losses, alone.first_losses, rtol=1e-4)
        assert together.loss == pytest.approx(alone.loss, rel=2e-3, abs=1e-5)


def test_schedule_free_members_are_evaluated_at_their_average_and_know_no_schedule():
    data, runs = (
        blobs(),
        [
            Run(
                Trial(
                    Recipe(optimizer="schedule-free-sgd"),
                    {"schedule-free-sgd.momentum": 0.0, "schedule-free-sgd.lr": lr},
                ),
                3,
            )
            for lr in (0.02, 0.1)
        ],
    )
    chunk = chunk_of(runs, data)
    seen = []
    for step in range(1, 4):
        x, y = data.x[:16].expand(2, -1, -1), data.y[:16].expand(2, -1)
        chunk.step(step, 0.1 * step, x, y)
        seen.append([p.clone() for p in chunk.parameters])
    names = [n for n, _ in make_member(runs[0], "mlp", data).objective.network.named_parameters()]
    for k, lr in enumerate((0.02, 0.1)):
        state = chunk.state(k)
        for i, name in enumerate(names):
            torch.testing.assert_close(state[name], torch.stack([s[i][k] for s in seen]).mean(0), rtol=1e-5, atol=1e-6)
        member = make_member(runs[k], "mlp", data)
        plain = torch.optim.SGD(member.objective.parameters(), lr=lr)
        for _ in range(3):
            plain.zero_grad()
            member.objective(data.x[:16], data.y[:16]).backward()
            plain.step()
        for p, name in zip(seen[-1], names, strict=True):
            torch.testing.assert_close(
                p[k], dict(member.objective.network.named_parameters())[name], rtol=1e-4, atol=1e-6
            )


def test_schedule_free_outputs_are_those_of_the_exported_weights_also_when_members_have_left():
    data, runs = blobs(), runs_of("schedule-free-adamw", 4)
    chunk = chunk_of(runs, data)
    for step in range(1, 6):
        chunk.step(step, 1.0, data.x[:16].expand(4, -1, -1), data.y[:16].expand(4, -1))
    chunk.keep([3, 1])
    outputs = chunk.outputs(data.x[:20].expand(2, -1, -1))
    for k, run in enumerate((runs[3], runs[1])):
        network = make_member(run, "mlp", data).objective.network
        network.load_state_dict(chunk.state(k))
        torch.testing.assert_close(outputs[k], network.eval()(data.x[:20]), rtol=1e-4, atol=1e-5)
        trained = dict(zip(dict(network.named_parameters()), chunk.parameters, strict=True))
        assert any(not torch.equal(t[k], chunk.state(k)[n]) for n, t in trained.items())
