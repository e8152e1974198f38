"""A rule's part in a population: weights for evaluation, the schedule, and receipts of rules that see whole tensors."""

import copy

import numpy as np
import pytest
import torch

from each_technique import each, settings
from make_runs import blobs
from trainsmith.catalogue import Recipe, Run, Trial, techniques
from trainsmith.errors import InvalidInput
from trainsmith.luck import batches
from trainsmith.optimizer import AdaptiveClipping, ClipByNorm
from trainsmith.population import Alone, Chunk, Population, Training, make_member, train

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


def test_clipped_members_get_the_losses_of_a_plain_torch_loop_that_clips():
    data, limits = blobs(), (0.05, 0.3, 100.0)
    recipe = Recipe(optimizer="momentum", clipping="clip-by-norm")
    trials = [Trial(recipe, {"clip-by-norm.max_norm": limit, "momentum.lr": 0.1}) for limit in limits]
    members = [make_member(Run(trial, 7), "mlp", data) for trial in trials]
    together = train(Chunk(members, data.x, data.y), data.x, data.y, TRAINING)
    assert len({r.first_losses[-1] for r in together}) == 3
    for limit, result in zip(limits, together, strict=True):
        member = make_member(Run(trials[0], 7), "mlp", data)
        optimizer = torch.optim.SGD(member.objective.parameters(), lr=0.1, momentum=0.9)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: TRAINING.rate(i + 1))
        losses = []
        for chosen in batches(7, member.train, TRAINING.batch_size, 10):
            optimizer.zero_grad()
            loss = member.objective(data.x[chosen], data.y[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(member.objective.parameters(), limit)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        np.testing.assert_allclose(result.first_losses, losses, rtol=1e-4)


class Early(torch.nn.Module):
    """Its last layer is held first, and another stands behind it in the order of modules."""

    def __init__(self, outputs):
        super().__init__()
        self.head, self.body = torch.nn.Linear(8, outputs), torch.nn.Linear(12, 8)

    def forward(self, x):
        return self.head(self.body(x).relu())


def test_adaptive_clipping_leaves_the_layer_that_is_called_last_as_it_is():
    """Together and alone: steps of gradient descent are the gradients, clipped but for the last layer's."""
    data, ratio, rate = blobs(), 1e-3, 0.5
    recipe = Recipe(optimizer="sgd", clipping="adaptive-clipping")
    run = Run(Trial(recipe, {"adaptive-clipping.ratio": ratio, "sgd.lr": rate}), 1)

    def member():
        return make_member(run, lambda shape, outputs: Early(outputs), data)

    x, y = data.x[:16], data.y[:16]
    for trainer in (Chunk([member(), member()], data.x, data.y), Alone(member())):
        reference = member().objective
        parameters = dict(reference.named_parameters())
        reference(x, y).backward()
        count = len(trainer.members)
        trainer.step(1, 1.0, x.expand(count, -1, -1), y.expand(count, -1))
        state = trainer.state(0)
        for name, p in parameters.items():
            clipped = p.grad.clone()
            if ".head." not in name:
                q = torch.nn.Parameter(p.detach().clone())
                q.grad = clipped
                AdaptiveClipping(ratio)([q])
                assert not torch.equal(q.grad, p.grad)
            torch.testing.assert_close(state[name.removeprefix("network.")], p.detach() - rate * clipped)


class WithPositions(torch.nn.Module):
    """Its root holds positions' weights, which begins before and ends after every layer."""

    def __init__(self, outputs, embedded=False):
        super().__init__()
        self.positions = torch.nn.Parameter(torch.randn(1, 8) / 8)
        self.head, self.body = torch.nn.Linear(8, outputs), torch.nn.Linear(8, 8)
        self.first = torch.nn.Embedding(5, 8) if embedded else torch.nn.Linear(12, 8)

    def forward(self, x):
        if isinstance(self.first, torch.nn.Embedding):
            x = x.abs().long().clamp(max=4)
            return self.head(self.body((self.first(x).mean(1) + self.positions).relu()).relu())
        return self.head(self.body((self.first(x) + self.positions).relu()).relu())


def test_the_last_layer_of_a_network_with_weights_of_its_own_is_spared():
    run = Run(Trial(Recipe(clipping="adaptive-clipping")), 1)
    member = make_member(run, lambda shape, outputs: WithPositions(outputs), blobs())
    assert member.spared == {"network.0.head.weight", "network.0.head.bias"}


@pytest.mark.parametrize("embedded", [False, True])
def test_muon_moves_hidden_layers_and_leaves_the_first_and_the_last_to_adamw(embedded):
    """Together, alone and beside torch's own Muon and AdamW, as its authors use them."""
    data = blobs()
    rates = {"muon.lr": 0.05, "muon.rest": 0.1, "muon.weight_decay": 0.1}
    run = Run(Trial(Recipe(optimizer="muon", regularization=()), rates), 1)

    def network(shape, outputs):
        return WithPositions(outputs, embedded)

    def member():
        return make_member(run, network, data)

    outer = {f"network.0.{n}" for n in ("first.weight", "first.bias", "head.weight", "head.bias")}
    assert member().outside == (outer - {"network.0.first.bias"} if embedded else outer)
    assert member().unchanged == make_member(Run(Trial(Recipe()), 1), network, data).unchanged
    x, y = data.x[:16], data.y[:16]
    for trainer in (Chunk([member(), member()], data.x, data.y), Alone(member())):
        count = len(trainer.members)
        for step in (1, 2, 3):
            trainer.step(step, 1.0, x.expand(count, -1, -1), y.expand(count, -1))
        reference = member().objective
        named = {n.removeprefix("network.0."): p for n, p in reference.named_parameters()}
        hidden = {n: p for n, p in named.items() if n in ("body.weight", "positions")}
        adamw = torch.optim.AdamW(
            [p for n, p in named.items() if n not in hidden], lr=0.005, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.1
        )
        muon = torch.optim.Muon(hidden.values(), lr=0.05, momentum=0.95, weight_decay=0.1)
        for _ in range(3):
            reference.zero_grad()
            reference(x, y).backward()
            adamw.step()
            muon.step()
        for name, p in named.items():
            near = 3 * 0.05 * 0.05 if name in hidden else 1e-3  # torch's iteration is in bfloat16
            torch.testing.assert_close(trainer.state(0)[f"0.{name}"], p.detach(), rtol=0, atol=near)
            assert not torch.equal(p, dict(member().objective.named_parameters())[f"network.0.{name}"])


def test_muon_says_where_a_network_has_no_hidden_layer():
    run, data = Run(Trial(Recipe(optimizer="muon")), 1), blobs()
    said = "no hidden layer that Muon would move otherwise than its input and output layers"
    assert said in make_member(run, lambda shape, outputs: Early(outputs), data).unchanged
    assert said not in make_member(run, "mlp", data).unchanged
    assert said not in make_member(Run(Trial(Recipe()), 1), lambda shape, outputs: Early(outputs), data).unchanged


def test_muon_leaves_the_head_of_a_second_task_to_adamw():
    recipe = Recipe(optimizer="muon", regularization=("auxiliary-reconstruction",))
    member = make_member(Run(Trial(recipe), 1), "mlp", blobs())
    heads = {n for n, _ in member.objective.named_parameters() if n.startswith("passes.")}
    assert heads
    assert heads < member.outside


def test_a_population_leaves_the_outer_layers_to_muons_adamw():
    data = blobs()

    def network():
        layers = [
            torch.nn.Linear(12, 8),
            torch.nn.Tanh(),
            torch.nn.Linear(8, 8),
            torch.nn.Tanh(),
            torch.nn.Linear(8, 3),
        ]
        return torch.nn.Sequential(*layers)

    population = Population(network, optimizer="muon", lr=[0.02, 0.05], seeds=[4, 4])
    before = [p.detach().clone() for p in population.member(1).parameters()]
    population.step(data.x[:16], data.y[:16])
    moved = [(p.detach() - b).abs() for p, b in zip(population.member(1).parameters(), before, strict=True)]
    for i, change in enumerate(moved):
        if i != 2:  # the first step of AdamW is its rate in every coordinate with a gradient, but for the decay
            assert change.max().item() == pytest.approx(0.05 * 0.015, rel=0.02)
    assert moved[2].max() > 0.05 * 0.1
    fit = Population(network, optimizer="muon", lr=[0.02, 0.05]).fit(data.x[:60], data.y[:60], steps=12, batch_size=8)
    assert fit.deviation <= fit.tolerance


@pytest.mark.parametrize("name", ["deep-ensemble", "snapshot-ensemble", "monte-carlo-dropout", "weight-ema"])
def test_the_last_layer_of_each_network_of_an_ensemble_is_spared(name):
    recipe = Recipe(clipping="adaptive-clipping", regularization=(name,))
    member = make_member(Run(Trial(recipe), 1), "mlp", blobs())
    network = member.objective.network
    heads = [n for n, p in network.named_parameters() if p.requires_grad and p.shape in ((3, 100), (3,))]
    assert len(heads) == (8 if name == "deep-ensemble" else 2)
    assert member.spared == {f"network.{n}" for n in heads}
    assert make_member(Run(Trial(Recipe(clipping="clip-by-norm")), 1), "mlp", blobs()).spared == frozenset()


@each("clipping")
def test_a_population_clips_each_members_gradients_by_its_own_numbers(technique):
    data, each_member = blobs(), settings(technique)
    x, y = data.x[:16], data.y[:16]

    def network():
        return torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))

    clips = [technique.make(**numbers) for numbers in each_member]
    population = Population(network, optimizer="sgd", lr=0.5, clipping=clips, seeds=[4] * len(clips))
    before = [copy.deepcopy(population.member(k)) for k in range(len(clips))]
    population.step(x, y)
    moves = []
    for k, clip in enumerate(clips):
        torch.nn.functional.cross_entropy(before[k](x), y).backward()
        layers = before[k][:2] if technique.make.spares_last_layer else before[k]
        clip(layers.parameters())
        for p, q in zip(before[k].parameters(), population.member(k).parameters(), strict=True):
            torch.testing.assert_close(q.detach(), p.detach() - 0.5 * p.grad, rtol=1e-5, atol=1e-7)
        moves.append(sum(p.grad.square().sum().item() for p in before[k].parameters()))
    assert len(set(moves)) > 1
    named = Population(network, 2, clipping=technique.name)
    fit = named.fit(x, y, steps=12, batch_size=8)
    assert fit.deviation <= fit.tolerance


@pytest.mark.parametrize("wrong", ["adam", 1.0, torch.nn.utils.clip_grad_norm_])
def test_what_clips_no_gradients_is_refused(wrong):
    with pytest.raises(InvalidInput, match=r"clipping must be one of trainsmith\.optimizer's, such as ClipByNorm"):
        Population(lambda: torch.nn.Linear(12, 3), 2, clipping=wrong)
    with pytest.raises(InvalidInput, match="clipping= 2"):
        Population(lambda: torch.nn.Linear(12, 3), 3, clipping=[ClipByNorm(1.0)] * 2)


def test_clipping_goes_on_with_the_limits_of_the_members_that_stay():
    data = blobs()
    recipe = Recipe(optimizer="sgd", clipping="clip-by-norm")
    trials = [Trial(recipe, {"clip-by-norm.max_norm": m, "sgd.lr": 0.5}) for m in (1e-3, 1e-1, 1e-2, 1.0)]
    chunk = Chunk([make_member(Run(t, 1), "mlp", data) for t in trials], data.x, data.y)
    chunk.keep([2, 1])
    before = [p.clone() for p in chunk.parameters]
    chunk.step(1, 1.0, data.x[:16].expand(2, -1, -1), data.y[:16].expand(2, -1))
    for k, limit in enumerate((1e-2, 1e-1)):
        moved = sum((p[k] - b[k]).double().square().sum() for p, b in zip(chunk.parameters, before, strict=True)) ** 0.5
        assert moved.item() == pytest.approx(0.5 * limit, rel=1e-3)


class Late(torch.nn.Module):
    """An embedding that a pass calls neither first nor last."""

    def __init__(self, outputs):
        super().__init__()
        self.first, self.places, self.head = (
            torch.nn.Linear(12, 8),
            torch.nn.Embedding(3, 8),
            torch.nn.Linear(8, outputs),
        )

    def forward(self, x):
        return self.head((self.first(x) + self.places(torch.zeros(len(x), dtype=torch.long))).relu())


def test_an_embedding_is_outside_wherever_a_pass_calls_it():
    member = make_member(Run(Trial(Recipe(optimizer="muon")), 1), lambda shape, outputs: Late(outputs), blobs())
    assert "network.0.places.weight" in member.outside
