"""Gradient clipping: against the papers, against torch, alone and for members that must not touch each other."""

import numpy as np
import pytest
import torch
from torch import nn

from reference import clipping as paper
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import clip_adaptively, clip_by_norm, clip_by_value
from trainsmith.optimizer.clipping import AdaptiveClipping, ClipByNorm, ClipByValue, global_norm

SHAPES = [(4, 3), (3,), (), (2, 3, 2, 2), (1, 5)]
RULES = [
    (ClipByValue, {"threshold": [0.5, 0.01, 3.0, 1.0]}),
    (ClipByNorm, {"max_norm": [0.5, 100.0, 1e-3, 2.0]}),
    (AdaptiveClipping, {"ratio": [0.01, 0.5, 5.0, 0.1], "eps": [1e-3, 1e-2, 1.0, 0.1]}),
]
each_rule = pytest.mark.parametrize(("rule", "numbers"), RULES)


def network(seed=0, scale=1.0, dtype=torch.float64):
    draws = torch.Generator().manual_seed(seed)
    parameters = [nn.Parameter(torch.randn(s, generator=draws, dtype=dtype)) for s in SHAPES]
    for p in parameters:
        p.grad = scale * torch.randn(p.shape, generator=draws, dtype=dtype)
    return parameters


def arrays(tensors):
    return [t.detach().numpy().copy() for t in tensors]


def grads(parameters):
    return [p.grad for p in parameters]


@pytest.mark.parametrize("scale", [1e-6, 0.3, 40.0])
def test_each_is_its_papers(scale):
    cases = [
        (lambda p: clip_by_value(p, 0.4), lambda g, w: paper.by_value(g, 0.4)),
        (lambda p: clip_by_norm(p, 2.5), lambda g, w: paper.by_norm(g, 2.5)),
        (lambda p: clip_adaptively(p, 0.2, 0.05), lambda g, w: paper.adaptive(g, w, 0.2, 0.05)),
        (clip_adaptively, lambda g, w: paper.adaptive(g, w, 0.01, 1e-3)),
    ]
    for clip, reference in cases:
        parameters = network(scale=scale)
        with torch.no_grad():
            parameters[0][1] = 0  # a unit without weights counts with eps
        before = arrays(parameters)
        expected = reference(arrays(grads(parameters)), before)
        clip(parameters)
        for g, e in zip(grads(parameters), expected, strict=True):
            np.testing.assert_allclose(g.numpy(), e, rtol=1e-12)
        for p, w in zip(parameters, before, strict=True):
            assert np.array_equal(p.detach().numpy(), w), "weights must stay"


@pytest.mark.parametrize("scale", [1e-3, 0.3, 40.0])
def test_value_and_norm_are_torchs(scale):
    ours, torchs = network(scale=scale), network(scale=scale)
    clip_by_value(ours, 0.4)
    nn.utils.clip_grad_value_(torchs, 0.4)
    assert all(torch.equal(a, b) for a, b in zip(grads(ours), grads(torchs), strict=True))
    ours, torchs = network(scale=scale), network(scale=scale)
    size = clip_by_norm(ours, 2.0)
    torch.testing.assert_close(size, nn.utils.clip_grad_norm_(torchs, 2.0))
    for a, b in zip(grads(ours), grads(torchs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=0)


def test_a_clipped_gradient_has_the_norm_exactly_and_a_short_one_is_left_bit_for_bit():
    parameters = network(scale=100.0)
    clip_by_norm(parameters, 3.0)
    assert global_norm(grads(parameters), [p.ndim for p in parameters]).item() == pytest.approx(3.0, rel=1e-14)
    short = [g.clone() for g in grads(parameters)]
    clip_by_norm(parameters, 3.1)
    assert all(torch.equal(a, b) for a, b in zip(grads(parameters), short, strict=True))


def test_parameters_without_a_gradient_are_left_out():
    parameters = [*network(), nn.Parameter(torch.ones(3))]
    for clip in (lambda p: clip_by_value(p, 0.1), lambda p: clip_by_norm(p, 0.1), clip_adaptively):
        clip(parameters)
        assert parameters[-1].grad is None
        clip(parameters[-1:])
    assert clip_by_norm(parameters[-1:], 1.0).item() == 0


def test_gradients_of_several_types_have_one_norm():
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, dtype=torch.float64))]
    parameters[0].grad, parameters[1].grad = torch.tensor([2.0, 1.0]), torch.tensor([2.0], dtype=torch.float64)
    assert clip_by_norm(parameters, 1.5).item() == 3
    torch.testing.assert_close(parameters[0].grad, torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(parameters[1].grad, torch.tensor([1.0], dtype=torch.float64))


def members(count=4):
    """Lists of stacked gradients and weights, and the same member by member."""
    alone = [network(seed=k, scale=10.0**k / 30, dtype=torch.float32) for k in range(count)]
    stacked = [torch.stack([one[i].detach() for one in alone]) for i in range(len(SHAPES))]
    gradients = [torch.stack([one[i].grad for one in alone]) for i in range(len(SHAPES))]
    return gradients, stacked, alone, [len(s) for s in SHAPES]


@each_rule
def test_members_are_clipped_as_each_alone_by_its_own_numbers(rule, numbers):
    gradients, stacked, alone, axes = members()
    columns = {n: torch.tensor(v, dtype=torch.float64) for n, v in numbers.items()}
    rule.clip(gradients, stacked, axes, **columns)
    for k, one in enumerate(alone):
        own = {n: v[k] for n, v in numbers.items()}
        rule.clip(grads(one), [p.detach() for p in one], axes, **own)
        for together, p in zip(gradients, one, strict=True):
            torch.testing.assert_close(together[k], p.grad, rtol=1e-6, atol=0)


@each_rule
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_one_members_bad_gradient_leaves_the_others_bit_identical(rule, numbers, bad):
    columns = {n: torch.tensor(v, dtype=torch.float64) for n, v in numbers.items()}
    healthy, stacked, _, axes = members()
    rule.clip(healthy, stacked, axes, **columns)
    broken, stacked, _, _ = members()
    broken[0][2] = bad
    rule.clip(broken, stacked, axes, **columns)
    for g, h in zip(broken, healthy, strict=True):
        assert torch.equal(g[[0, 1, 3]], h[[0, 1, 3]])
    if bad != bad or rule is not ClipByValue:
        assert broken[0][2].isnan().all(), "what is broken must stay visible"


@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_a_limit_without_meaning_is_refused(value):
    for clip, name in ((clip_by_value, "threshold"), (clip_by_norm, "max_norm"), (clip_adaptively, "ratio")):
        with pytest.raises(InvalidInput, match=rf"{clip.__name__}: {name} must be a number in \(0, inf\); got"):
            clip(network(), value)
