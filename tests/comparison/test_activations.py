"""Histograms of layers before and after training, held against the network run by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.comparison.activations import MOST_LAYERS, activations
from trainsmith.data import as_dataset, from_arrays
from trainsmith.population import Result, make_member

LUCK = np.random.default_rng(0)
DATASET = from_arrays(LUCK.normal(size=(100, 3)).astype(np.float32), np.arange(100) % 2, name="mine")


def small(input_shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(3, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, outputs))


def deep(input_shape, outputs):
    return nn.Sequential(*(nn.Linear(3, 3) for _ in range(40)), nn.Linear(3, outputs))


def trained(run, network):
    """The run's network with its first weights, and what a training might have made of them."""
    module = make_member(run, network, DATASET).objective.network
    return module, {name: (2 * t + 0.1).numpy() for name, t in module.state_dict().items()}


def test_both_histograms_count_what_the_layers_give():
    run = Run(Trial(Recipe()), 7)
    module, state = trained(run, small)
    found = activations("winner", run, Result(state=state), small, DATASET, 16)
    assert [layer.kind for layer in found] == ["Linear", "ReLU", "Dropout", "Linear"], "flattening is no layer"
    assert {layer.role for layer in found} == {"winner"}
    assert {layer.layers for layer in found} == {4}
    x = DATASET.x[make_member(run, small, DATASET).order(16, 1)[0]]
    for which in ("start", "end"):
        if which == "end":
            module.load_state_dict({name: torch.from_numpy(t) for name, t in state.items()})
        with torch.no_grad():
            hidden = module[1](x)
        histogram = getattr(found[0], which)
        counts, _ = np.histogram(hidden.double().numpy(), bins=30, range=(histogram.low, histogram.high))
        assert histogram.counts == tuple(counts)
        assert sum(histogram.counts) == 16 * 5
        assert getattr(found[0], f"{which}_spread") == pytest.approx(hidden.double().numpy().std())
    assert (found[0].start.low, found[0].start.high) == (found[0].end.low, found[0].end.high)


def test_each_network_of_an_ensemble_sees_its_own_part_and_the_unlabelled_examples_are_left_out():
    luck = np.random.default_rng(1)
    x, spare = luck.normal(size=(100, 3)).astype(np.float32), luck.normal(size=(30, 3)).astype(np.float32)
    data = as_dataset({"train": (x, np.arange(100) % 2), "unlabelled": spare})
    for names, seen in ((("deep-ensemble",), 6), (("fixmatch",), 6)):
        run = Run(Trial(Recipe(regularization=names)), 7)
        member = make_member(run, small, data)
        state = {name: t.numpy() for name, t in member.objective.network.state_dict().items()}
        found = activations("winner", run, Result(state=state), small, data, 6)
        layer = next(f for f in found if f.kind == "Linear")
        assert sum(layer.start.counts) == sum(layer.end.counts) == seen * 5
        first = next(m for m in member.objective.network.modules() if isinstance(m, nn.Linear))
        with torch.no_grad():
            hidden = first(data.inputs[member.order(6, 1)[0][:6]])
        assert layer.start_spread == pytest.approx(float(hidden.double().std(correction=0)))


class Doubling(nn.Module):
    """Twice what it gets in training, else what it gets."""

    def forward(self, x):
        return 2 * x if self.training else x + 0


def test_layers_that_their_owner_froze_stay_frozen():
    def frozen(input_shape, outputs):
        network = nn.Sequential(nn.Linear(3, 4), Doubling(), nn.Linear(4, outputs)).train()
        network[1].eval()
        return network

    run = Run(Trial(Recipe()), 7)
    module, state = trained(run, frozen)
    found = activations("winner", run, Result(state=state), frozen, DATASET, 16)
    x = DATASET.x[make_member(run, frozen, DATASET).order(16, 1)[0]]
    with torch.no_grad():
        expected = module[0](x).double().std(correction=0)
    assert found[1].kind == "Doubling"
    assert found[1].start_spread == pytest.approx(float(expected))


def test_noise_comes_from_a_seed_of_its_own_and_leaves_nobody_elses_changed():
    run = Run(Trial(Recipe()), 7)
    _, state = trained(run, small)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = activations("winner", run, Result(state=state), small, DATASET, 16)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    assert activations("winner", run, Result(state=state), small, DATASET, 16) == first
    dropped = first[2]
    assert max(dropped.start.counts) >= 16 * 5 * 0.3, "dropout drops"


def test_of_a_deep_network_some_layers_are_kept_the_first_and_last_among_them():
    run = Run(Trial(Recipe()), 7)
    _, state = trained(run, deep)
    found = activations("baseline", run, Result(state=state), deep, DATASET, 16)
    assert len(found) == MOST_LAYERS
    assert (found[0].name, found[-1].name) == ("0", "40")
    assert {layer.layers for layer in found} == {41}


def test_a_run_that_diverged_has_none():
    assert activations("baseline", Run(Trial(Recipe()), 7), Result(status="diverged"), small, DATASET, 16) == ()
