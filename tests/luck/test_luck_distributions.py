"""Keyed noise has the distribution that torch documents, its bits are those of plain integer arithmetic."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.luck import Luck, noise_keys
from trainsmith.luck.noise import chance, integers, quantile, uniform, words

MANY = 200_000
SURPRISE = 1e-5
"""Smallest p-value that luck explains: some thirty tests with fixed seeds."""


def drawn(call, seed=7):
    with Luck(noise_keys([seed], 1, 2)[0]):
        return call()


def empty():
    return torch.empty(MANY)


CONTINUOUS = {
    "rand": (lambda: torch.rand(MANY), stats.uniform()),
    "double": (lambda: torch.rand(MANY, dtype=torch.float64), stats.uniform()),
    "rand_like": (lambda: torch.rand_like(empty()), stats.uniform()),
    "uniform_": (lambda: empty().uniform_(-3, 5), stats.uniform(-3, 8)),
    "uniform_ by name": (lambda: empty().uniform_(to=5), stats.uniform(0, 5)),
    "randn": (lambda: torch.randn((MANY,)), stats.norm()),
    "randn_like": (lambda: torch.randn_like(empty()), stats.norm()),
    "normal": (lambda: torch.normal(3.0, torch.full((MANY,), 2.0)), stats.norm(3, 2)),
    "normal of a size": (lambda: torch.normal(3.0, 2.0, (MANY,)), stats.norm(3, 2)),
    "normal_": (lambda: empty().normal_(3, 2), stats.norm(3, 2)),
    "log_normal_": (lambda: empty().log_normal_(1, 0.5), stats.lognorm(0.5, scale=np.e)),
    "exponential_": (lambda: empty().exponential_(2), stats.expon(scale=0.5)),
    "cauchy_": (lambda: empty().cauchy_(1, 2), stats.cauchy(1, 2)),
    "rrelu": (lambda: -functional.rrelu(-torch.ones(MANY), 0.2, 0.6, training=True), stats.uniform(0.2, 0.4)),
    "a distribution": (lambda: torch.distributions.Laplace(0.0, 1.0).rsample((MANY,)), stats.laplace()),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_noise_has_its_distribution(name):
    call, expected = CONTINUOUS[name]
    x = drawn(call).double().numpy()
    assert stats.kstest(x, expected.cdf).pvalue > SURPRISE
    low, high = expected.support()
    assert x.min() >= low
    assert x.max() <= high
    if np.isfinite(expected.std()):
        assert abs(x.mean() - expected.mean()) < 5 * expected.std() / MANY**0.5
        kurtosis = float(expected.stats("k")) + 3
        assert abs(x.var() / expected.var() - 1) < 5 * ((kurtosis - 1) / MANY) ** 0.5


DISCRETE = {
    "bernoulli": (lambda: torch.bernoulli(torch.full((MANY,), 0.3)), [0.7, 0.3]),
    "bernoulli of p": (lambda: torch.bernoulli(empty(), 0.3), [0.7, 0.3]),
    "bernoulli_": (lambda: empty().bernoulli_(0.3), [0.7, 0.3]),
    "bernoulli_ of a tensor": (lambda: empty().bernoulli_(torch.tensor(0.3)), [0.7, 0.3]),
    "randint": (lambda: torch.randint(7, (MANY,)), [1 / 7] * 7),
    "randint_like": (lambda: torch.randint_like(empty(), low=1, high=4), [0, *[1 / 3] * 3]),
    "random_": (lambda: torch.empty(MANY, dtype=torch.int64).random_(2, 7), [0, 0, *[0.2] * 5]),
    "random_ of its type": (lambda: torch.empty(MANY, dtype=torch.int8).random_(), [1 / 128] * 128),
    "geometric_": (lambda: empty().geometric_(0.4).clamp(max=8) - 1, [*(0.4 * 0.6**k for k in range(7)), 0.6**7]),
    "multinomial": (
        lambda: torch.multinomial(torch.tensor([1.0, 0, 3, 4]), MANY, replacement=True),
        [1 / 8, 0, 3 / 8, 4 / 8],
    ),
    "first without replacement": (
        lambda: torch.multinomial(torch.tensor([1.0, 3, 4]).expand(MANY, 3), 2)[:, 0],
        [1 / 8, 3 / 8, 4 / 8],
    ),
    "last without replacement": (
        lambda: torch.multinomial(torch.tensor([1.0, 1, 2]).expand(MANY, 3), 3)[:, 2],
        [5 / 12, 5 / 12, 2 / 12],  # the light ones: after the other light one first, 1/4 * 2/3, or second, 1/2 * 1/2
    ),
    "dropout": (lambda: functional.dropout(torch.ones(MANY), 0.3) * 0.7, [0.3, 0.7]),
    "gumbel softmax": (
        lambda: functional.gumbel_softmax(torch.tensor([0.1, 0.9]).log().expand(MANY, 2), hard=True)[:, 1],
        [0.1, 0.9],
    ),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_noise_has_its_distribution(name):
    call, expected = DISCRETE[name]
    counts = np.bincount(drawn(call).round().long().numpy(), minlength=len(expected))
    possible = np.asarray(expected) > 0
    assert counts[~possible].sum() == 0
    assert stats.chisquare(counts[possible], np.asarray(expected)[possible] * MANY).pvalue > SURPRISE


def test_permutations_are_each_as_likely():
    with Luck(noise_keys([0], 1, 6000)[0]):
        orders = [tuple(torch.randperm(4).tolist()) for _ in range(6000)]
    counts = [orders.count(o) for o in set(orders)]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > SURPRISE
    assert sorted(drawn(lambda: torch.randperm(1000)).tolist()) == list(range(1000))


def test_normal_tails_reach_as_far_as_they_should():
    x = quantile("normal", torch.Size((4_000_000,)), noise_keys([1], 1, 1)[0, 0]).double()
    for far in (3.0, 4.0, 4.5):
        expected = 4_000_000 * 2 * stats.norm.sf(far)
        assert abs(int((x.abs() > far).sum()) - expected) < 5 * expected**0.5


@pytest.mark.parametrize("layer", [nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout])
def test_feature_dropout_drops_whole_channels(layer):
    axes = {nn.Dropout1d: 1, nn.Dropout2d: 2, nn.Dropout3d: 3, nn.FeatureAlphaDropout: 2}[layer]
    x = torch.randn(50, 40, *[3] * axes)
    y = drawn(lambda: layer(0.3)(x)).flatten(2)
    scale, shift = (y[..., 1] - y[..., 0]) / (x.flatten(2)[..., 1] - x.flatten(2)[..., 0]), y.var(-1)
    dropped = shift < 1e-9
    assert abs(float(dropped.double().mean()) - 0.3) < 5 * (0.21 / 2000) ** 0.5
    assert float(scale[~dropped].std()) < 1e-2 * float(scale[~dropped].mean()), "kept channels are scaled alike"


@pytest.mark.parametrize("call", [torch.alpha_dropout, functional.alpha_dropout])
def test_alpha_dropout_keeps_mean_and_variance_and_puts_dropped_units_where_torch_does(call):
    x = torch.randn(MANY, generator=torch.Generator().manual_seed(0))
    y = drawn(lambda: call(x, 0.2, True))
    assert abs(float(y.mean())) < 5 / MANY**0.5
    assert float(y.var()) == pytest.approx(1, abs=0.02)
    torchs = torch.alpha_dropout(x, 0.2, True)
    values = [t[(t[:, None] == t.mode().values).any(-1)][0] for t in (y, torchs)]
    assert float(values[0]) == pytest.approx(float(values[1]), rel=1e-5)


def test_attention_drops_weights_and_is_torchs_own_where_nothing_is_dropped():
    q, k, v = (torch.randn(2, 4, 5, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
    torchs = functional.scaled_dot_product_attention
    bias, mask = torch.randn(5, 5), torch.rand(5, 5) > 0.3
    mask.fill_diagonal_(True)
    for options in ({}, {"is_causal": True}, {"attn_mask": bias}, {"attn_mask": mask}, {"scale": 0.2}):
        expected = torchs(q, k, v, **options)
        torch.testing.assert_close(drawn(lambda o=options: torchs(q, k, v, dropout_p=1e-12, **o)), expected)
        mean = torch.stack([drawn(lambda o=options: torchs(q, k, v, dropout_p=0.3, **o), s) for s in range(400)])
        assert float((mean.mean(0) - expected).abs().max()) < 6 * float(mean.std(0).max()) / 400**0.5
    grouped = torchs(q, k[:, :2], v[:, :2], enable_gqa=True)
    torch.testing.assert_close(drawn(lambda: torchs(q, k[:, :2], v[:, :2], dropout_p=1e-12, enable_gqa=True)), grouped)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: functional.dropout(x, 0.5, inplace=True),
        lambda x: nn.Dropout2d(0.5, inplace=True)(x),
        lambda x: functional.alpha_dropout(x, 0.5, True, inplace=True),
        lambda x: functional.rrelu(x, training=True, inplace=True),
    ],
)
def test_in_place_noise_works_in_place_and_is_that_out_of_place(call):
    x = -torch.ones(2, 6, 2, 2)
    y = drawn(lambda: call(x))
    assert y is x
    assert not torch.equal(x, -torch.ones(2, 6, 2, 2))


def test_dropout_of_everything_nothing_and_an_impossible_share():
    ones = torch.ones(100)
    for layer in (functional.dropout, nn.functional.alpha_dropout):
        assert drawn(lambda f=layer: f(ones, 0.0, True)).equal(ones)
        assert drawn(lambda f=layer: f(ones, 1.0, True)).equal(torch.zeros(100))
        with pytest.raises(ValueError, match="between 0 and 1"):
            drawn(lambda f=layer: f(ones, 1.5, True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_noise_of_other_precisions_stays_below_one(dtype):
    u = uniform(torch.Size((MANY,)), noise_keys([0], 1, 1)[0, 0], dtype)
    assert u.dtype == dtype
    assert float(u.min()) >= 0
    assert float(u.max()) < 1
    assert float(u.double().mean()) == pytest.approx(0.5, abs=0.005)


def hash_in_python(i: int, first: int, second: int) -> int:
    """The formula once more, in Python's unbounded integers: nothing of torch or NumPy, of no device."""

    def shifted(x, by):  # an arithmetic shift, of 32 bits
        return (x >> by) | (((1 << by) - 1) << (32 - by) if x >> 31 else 0)

    all_bits = 2**32 - 1
    x = i * 0x9E3779B1 & all_bits
    x = (x ^ (x >> 15)) * 0x85EBCA77 & all_bits
    x ^= first & all_bits
    x = ((x ^ shifted(x, 16)) * 0x7FEB352D + second) & all_bits
    return (x ^ shifted(x, 15)) * 0x846CA68B & all_bits


def test_the_bits_are_those_of_integer_arithmetic():
    key = noise_keys([12], 34, 1)[0, 0]
    here = words(torch.Size((3, 70)), key)
    there = [hash_in_python(i, *key.tolist()) for i in range(210)]
    assert [w & (2**32 - 1) for w in here.flatten().tolist()] == there
    signed = [w - 2**32 if w >> 31 else w for w in there]
    assert uniform(here.shape, key).flatten().tolist() == [(s >> 8) / 2**24 + 0.5 for s in signed]
    assert chance(here.shape, key, 0.25).flatten().tolist() == [s < -(2**30) for s in signed]
    assert integers(here.shape, key, 10).flatten().tolist() == [(s + 2**31) * 10 // 2**32 for s in signed]


def test_the_bits_do_not_depend_on_where_an_element_lies_in_memory():
    key = noise_keys([5], 6, 1)[0, 0]
    for name in ("normal", "exponential", "cauchy"):
        long = quantile(name, torch.Size((1037,)), key)
        assert torch.equal(long[:13], quantile(name, torch.Size((13,)), key))
        assert torch.equal(long.view(17, 61), quantile(name, torch.Size((17, 61)), key))


def test_elements_that_lie_near_each_other_stay_uncorrelated_over_many_steps():
    steps = 20_000
    draws = torch.stack([chance(torch.Size((128,)), key[0], 0.5) for key in noise_keys(range(steps), 5, 1)]).double()
    correlations = torch.corrcoef(draws.T) - torch.eye(128)
    assert float(correlations.abs().max()) < 5.5 / steps**0.5
    assert float((draws.mean(0) - 0.5).abs().max()) < 5 * 0.5 / steps**0.5
    follow = ((draws[1:] - 0.5) * (draws[:-1] - 0.5)).mean(0) * 4
    assert float(follow.abs().max()) < 5 / steps**0.5


def test_a_changed_bit_of_the_key_changes_half_of_the_high_bits():
    key, shape = noise_keys([3], 1, 1)[0, 0], torch.Size((4096,))
    for bit in range(32):
        other = key.clone()
        other[0] ^= (1 << bit) - (1 << 32 if bit == 31 else 0)
        changed = words(shape, key) ^ words(shape, other)
        for b in range(24, 32):
            assert float(((changed >> b) & 1).double().mean()) == pytest.approx(0.5, abs=5 * 0.5 / 4096**0.5)


def test_tensors_of_odd_layout_are_filled_like_any_other():
    x = torch.zeros(6, 4).T
    assert torch.equal(drawn(lambda: x.normal_()), drawn(lambda: torch.randn(4, 6)))
    assert isinstance(x, Tensor)
