"""The batched program: traced, straightened and single-pass twins of slow, obvious code."""

import pytest
import torch

from make_runs import RECIPES, blobs, runs_of
from trainsmith.optimizer import Adam
from trainsmith.population import Population, make_member
from trainsmith.population.luck import batches
from trainsmith.population.packing import FEWEST, MOST, members_at_once, pack
from trainsmith.population.update import KERNELS, Update


def population_of(recipe, count=3):
    data = blobs()
    return Population([make_member(run, "mlp", data) for run in runs_of(recipe, count)], data.x, data.y)


def chosen(population, step=0):
    import numpy as np

    return np.stack([batches(m.seed, m.train, 16, 5)[step] for m in population.members])


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_every_recipe_is_traced_and_the_straight_line_gives_what_vmap_gives(recipe):
    from trainsmith.population.luck import noise_keys

    population = population_of(recipe)
    population.step(1, 1.0, chosen(population))
    program = population.program
    assert program._traced is not None
    keys = noise_keys([m.seed for m in population.members], 2, population.places)
    inputs = (keys, *population._batch(chosen(population, 1)))
    before = [b.clone() for b in population.buffers]
    losses, gradients = program.losses_and_gradients(population.parameters, before, *inputs)
    with torch.no_grad():
        after = [b.clone() for b in population.buffers]
        straight_losses, straight_gradients = program.run(population.parameters, after, *inputs)
    torch.testing.assert_close(straight_losses, losses)
    torch.testing.assert_close(straight_gradients, gradients)
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("rule", KERNELS, ids=lambda r: r.__name__)
def test_a_single_pass_kernel_gives_what_the_rules_formula_gives(rule):
    generator = torch.Generator().manual_seed(0)
    numbers = {
        "lr": [1e-3, 0.3, 50.0],
        "beta1": [0.9, 0.0, 0.5],
        "beta2": [0.999, 0.9, 0.0],
        "eps": [1e-8, 1.0, 1e-3],
    }
    fast, slow = ([torch.zeros(3, 40) for _ in range(1 + len(rule.moments))] for _ in range(2))
    update = Update(rule, numbers)
    for t in range(1, 12):
        g = torch.randn(3, 40, generator=generator) * 10.0 ** torch.randint(-6, 3, (3, 1), generator=generator)
        update(t, 0.7, fast[0], g, fast[1:])
        for k in range(3):
            own = {n: v[k] for n, v in numbers.items()}
            coefficients = rule.coefficients(t, **{**own, "lr": own["lr"] * 0.7})
            rule.update(slow[0][k], g[k], *(m[k] for m in slow[1:]), **coefficients)
    torch.testing.assert_close(fast, slow, rtol=2e-5, atol=1e-7)


def test_adam_has_a_kernel_here():
    assert Adam in KERNELS


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
