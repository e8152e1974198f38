"""Promise 3: every draw comes from (seed, step, place)."""

import hashlib
import random

import numpy as np
import pytest
import torch
from torch.func import vmap

from trainsmith.luck import Luck, batches, counting, drawn, key, noise_keys
from trainsmith.luck.noise import uniform
from trainsmith.network.host import host_states

GOLDEN_KEY = 13298615866889911632
GOLDEN_NOISE = "d1595a2616b5af53e4c31537671906737d6d2dfafd0efdf45bd260ca8b56a66a"
"""What this seed gives on every machine; a change here changes everybody's results."""


def test_noise_is_a_fixed_function_of_seed_step_and_place():
    keys = noise_keys([0, 7], step=3, places=2)
    noise = torch.stack([uniform(torch.Size((1000,)), keys[k, p]) for k in range(2) for p in range(2)])
    digest = hashlib.sha256(noise.numpy().tobytes()).hexdigest()
    assert digest == GOLDEN_NOISE
    assert key(3, "weights", 1) == GOLDEN_KEY


@pytest.mark.parametrize("there", [False, True])
def test_what_is_drawn_before_training_is_what_torch_draws_of_that_seed(monkeypatch, there):
    """On every device that there is; for those that are not, torch would note who asked, which takes long."""
    own, asked = key(3, "construction"), []
    expected = torch.rand(4, generator=torch.Generator().manual_seed(own))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", asked.append)
    before = torch.random.get_rng_state()
    with drawn(3, "construction"):
        assert torch.equal(torch.rand(4), expected)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert asked == [own] * there


def test_noise_differs_between_seeds_steps_and_places():
    shape = torch.Size((256,))
    draws = [
        uniform(shape, noise_keys([seed], step, 3)[0, place])
        for seed in (0, 1, 2**31)
        for step in (1, 2)
        for place in range(3)
    ]
    correlations = torch.corrcoef(torch.stack(draws)) - torch.eye(len(draws))
    assert correlations.abs().max() < 5 / 256**0.5


def test_noise_is_uniform_and_its_elements_are_uncorrelated():
    u = uniform(torch.Size((1000, 1000)), noise_keys([1], 1, 1)[0, 0]).double()
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(float(u.mean()) - 0.5) < 5 / (12e6) ** 0.5
    counts = torch.histc(u.flatten(), 256, 0, 1)
    chi2 = float(((counts - 1e6 / 256) ** 2 / (1e6 / 256)).sum())
    assert abs(chi2 - 255) < 5 * (2 * 255) ** 0.5
    for lag in (1, 2, 1000, 1001):
        flat = u.flatten() - 0.5
        assert abs(float((flat[lag:] * flat[:-lag]).mean() * 12)) < 5e-3


def test_a_members_noise_is_the_same_alone_and_under_vmap():
    keys = noise_keys([4, 5, 6], 9, 2)
    x = torch.zeros(3, 4, 8)

    def draws(x, keys):
        with Luck(keys):
            return torch.rand_like(x), torch.nn.functional.dropout(x + 1, 0.3)

    together = vmap(draws, randomness="error")(x, keys)
    for k in range(3):
        alone = draws(x[k], keys[k])
        assert torch.equal(together[0][k], alone[0])
        assert torch.equal(together[1][k], alone[1])


def test_dropout_keeps_the_mean_and_the_share():
    with Luck(noise_keys([0], 1, 3)[0]):
        y = torch.nn.functional.dropout(torch.ones(400, 400), 0.3)
        assert torch.nn.functional.dropout(torch.ones(5), 0.3, training=False).equal(torch.ones(5))
        assert torch.nn.functional.dropout(torch.ones(5), 1.0).equal(torch.zeros(5))
    assert float((y == 0).double().mean()) == pytest.approx(0.3, abs=0.006)
    assert float(y.mean()) == pytest.approx(1, abs=0.01)


def test_counting_counts_the_places():
    with counting() as luck:
        torch.rand_like(torch.ones(3))
        torch.nn.functional.dropout(torch.ones(3))
    assert luck.calls == 2


def test_batches_are_shuffled_passes_over_the_examples():
    examples = np.arange(100, 137)
    order = batches(seed=2, examples=examples, batch_size=5, steps=20)
    assert order.shape == (20, 5)
    flat = order.ravel()
    assert sorted(flat[:37]) == sorted(flat[37:74]) == list(examples)
    assert list(flat[:37]) != list(flat[37:74])
    assert not np.array_equal(order, batches(3, examples, 5, 20))
    np.testing.assert_array_equal(order[:7], batches(2, examples, 5, 7))


def test_python_and_numpy_noise_is_seeded_from_the_key_and_put_back():
    def draw():
        return random.random(), float(np.random.rand())

    with counting() as luck:
        torch.rand(3)
        before = host_states()
        draw()
    assert host_states() == before, "a trial pass changes nothing"
    assert (luck.host, luck.calls) == (True, 2)
    keys = noise_keys([1, 2], 1, 2)

    def seeded(key):
        with Luck(key, host=True):
            return draw()

    values = [seeded(key) for key in (keys[0], keys[0], keys[1])]
    assert host_states() == before
    assert values[0] == values[1]
    assert values[0][0] != values[2][0]
    assert values[0][1] != values[2][1]


@pytest.mark.parametrize("start", [0, 1, 6, 7, 13, 40])
def test_batches_from_a_step_on_are_the_rest_of_those_from_the_beginning(start):
    whole = batches(3, np.arange(20), 6, 50)
    np.testing.assert_array_equal(batches(3, np.arange(20), 6, 9, start), whole[start : start + 9])


@pytest.mark.parametrize("first", [1, 2, 3, 7])
def test_more_draws_than_at_first_go_on_with_the_next_places(first):
    def keys(places):
        return noise_keys([3], 5, places)[0]

    def drawn(luck):
        with luck:
            return torch.stack([torch.rand(4) for _ in range(7)])

    assert torch.equal(drawn(Luck(keys(first), more=keys)), drawn(Luck(keys(7))))
    host, others = keys(8)[first], torch.cat([keys(8)[:first], keys(8)[first + 1 :]])
    assert torch.equal(drawn(Luck(torch.cat([keys(first), host[None]]), host=True, more=keys)), drawn(Luck(others)))
