"""What holds for every ensemble: members that train as they would alone, and predictions averaged."""

import numpy as np
import pytest
import torch
from torch import nn

from each_technique import each
from make_runs import blobs
from trainsmith import luck
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.population import Alone, Chunk, Training, make_member, train
from trainsmith.regularization import Ensemble, SnapshotEnsemble, averaged
from trainsmith.regularization.ensemble import COUNT

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
DATA = {"classification": from_arrays(X, Y, "t"), "regression": from_arrays(X, X[:, 0] * 2 + 1, "t", "regression")}
TRAINING = Training(steps=8, batch_size=8, checks=2)
each_ensemble = each("ensemble")


def network(shape, outputs):
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, outputs))


def member(name, task="classification", seed=3, **choices):
    recipe = Recipe("xavier", "none", "tanh", "sgd", (name, *choices.get("beside", ())))
    made = make_member(Run(Trial(recipe, {"sgd.lr": 0.5}), seed), network, DATA[task])
    made.objective.double()
    return made


@each_ensemble
@pytest.mark.parametrize("task", DATA)
def test_ensembles_get_together_what_they_get_alone(technique, task):
    data, name = DATA[task], technique.name
    x, y = data.x.double(), data.y.double() if task == "regression" else data.y
    together = train(Chunk([member(name, task, s) for s in (3, 4)], x, y), x, y, TRAINING, keep_states=True)
    for seed, there in zip((3, 4), together, strict=True):
        (here,) = train(Alone(member(name, task, seed)), x, y, TRAINING, keep_states=True)
        np.testing.assert_allclose(np.array(there.curve), np.array(here.curve), rtol=1e-9)
        assert there.state.keys() == here.state.keys()
        for n, tensor in there.state.items():
            np.testing.assert_allclose(tensor, here.state[n], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["deep-ensemble", "bagging"])
def test_each_network_trains_as_by_itself_on_its_own_sample_with_the_penalty_of_its_own(name):
    """By hand: plain gradient descent on the network's own examples, its loss and its penalty."""
    data = DATA["classification"]
    whole = member(name, beside=("l2",))
    start = [{n: p.detach().clone() for n, p in m.named_parameters()} for m in whole.objective.network.members]
    assert not torch.equal(start[0]["0.weight"], start[1]["0.weight"])
    (result,) = train(Alone(member(name, beside=("l2",))), data.x.double(), data.y, TRAINING, keep_states=True)
    assert len({tuple(sample) for _, sample in whole.samples}) == (COUNT if name == "bagging" else 1)
    strength = float(whole.objective.penalties[0].strength)
    for m in range(COUNT):
        alone = network((4,), 3).double()
        alone.load_state_dict(start[m])
        words, sample = whole.samples[m]
        assert set(sample) <= set(whole.train)
        assert (len(set(sample)) < len(sample)) == (name == "bagging")
        for chosen in luck.batches(3, sample, 8, TRAINING.steps, words=words):
            out = alone(data.x[chosen].double())
            loss = nn.functional.cross_entropy(out, data.y[chosen])
            loss = loss + strength / 2 * sum(p.square().sum() for p in alone.parameters() if p.ndim > 1)
            for p, g in zip(alone.parameters(), torch.autograd.grad(loss, list(alone.parameters())), strict=True):
                p.data -= 0.5 * TRAINING.rate(1 + _step(whole, m, chosen)) * g
        for n, p in alone.named_parameters():
            np.testing.assert_allclose(result.state[f"members.{m}.{n}"], p.detach(), rtol=1e-8, atol=1e-12)


def _step(whole, m, chosen):
    """The step, from 0, at which network m sees these examples."""
    own = whole.order(8, TRAINING.steps)[:, 8 * m : 8 * m + 8]
    return int((own == chosen).all(1).nonzero()[0][0])


def test_snapshots_are_the_weights_at_the_ends_of_cycles_of_the_rate():
    data = DATA["classification"]
    own = member("snapshot-ensemble")
    (result,) = train(Alone(own), data.x.double(), data.y, TRAINING, keep_states=True)
    twin, kept = network((4,), 3).double(), []
    twin.load_state_dict(member("snapshot-ensemble").objective.network.live.state_dict())
    for step, chosen in enumerate(luck.batches(3, own.train, 8, 8), 1):
        loss = nn.functional.cross_entropy(twin(data.x[chosen].double()), data.y[chosen])
        rate = 0.5 * (np.cos(np.pi * ((step - 1) % 2) / 2) + 1) / 2  # 8 steps in 4 cycles of 2
        for p, g in zip(twin.parameters(), torch.autograd.grad(loss, list(twin.parameters())), strict=True):
            p.data -= rate * g
        if step % 2 == 0:
            kept.append({n: p.detach().clone() for n, p in twin.named_parameters()})
    for i, weights in enumerate(kept[:-1]):
        for n, p in weights.items():
            np.testing.assert_allclose(result.state[f"taken.{i}.{n}"], p, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.state["live.0.weight"], kept[-1]["0.weight"], rtol=1e-9)
    probabilities = 0.0
    for weights in kept:
        twin.load_state_dict(weights)
        probabilities = probabilities + twin(data.x.double()).softmax(-1) / 4
    ensemble = own.objective.network.eval()
    ensemble.load_state_dict({n: torch.from_numpy(t) for n, t in result.state.items()})
    torch.testing.assert_close(ensemble(data.x.double()).exp(), probabilities)


@pytest.mark.parametrize(("kind", "to"), [("classes", lambda o: o.softmax(-1)), ("labels", torch.sigmoid),
                                          ("numbers", lambda o: o)])  # fmt: skip
def test_predictions_are_averaged_and_not_outputs(kind, to):
    outputs = 5 * torch.randn(3, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(to(averaged(outputs, kind)), to(outputs).mean(0))
    weights = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    torch.testing.assert_close(to(averaged(outputs, kind, weights)), to(outputs[:2]).mean(0))
    assert averaged(torch.full((2, 1, 2), 1e4), kind).isfinite().all()


@each_ensemble
def test_without_networks_or_beside_another_it_is_refused(technique):
    with pytest.raises(InvalidInput, match="an ensemble needs at least one network"):
        technique.make([])
    with pytest.raises(InvalidInput, match="cannot act together: a recipe has at most one ensemble"):
        member("bagging" if technique.name != "bagging" else "deep-ensemble", beside=(technique.name,))


def test_a_pass_of_several_networks_and_an_average_of_snapshots_are_refused():
    with pytest.raises(InvalidInput, match="it would take several networks for one; choose one"):
        member("bagging", beside=("sam",))
    with pytest.raises(InvalidInput, match="snapshots and an average of the weights cannot act together: each would"):
        member("snapshot-ensemble", beside=("weight-ema",))
    with pytest.raises(InvalidInput, match="snapshots and an optimizer that averages the weights cannot act together"):
        make_member(
            Run(Trial(Recipe(optimizer="schedule-free-sgd", regularization=("snapshot-ensemble",))), 0), "mlp", blobs()
        )


def test_a_snapshot_is_taken_at_the_end_of_each_cycle_but_the_last():
    assert [SnapshotEnsemble.due(t, 8) for t in range(1, 9)] == [None, 0, None, 1, None, 2, None, None]
    assert Ensemble([nn.Identity()]).kind == "classes"
