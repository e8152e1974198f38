"""Gradient clipping: against the papers, against torch, alone and for members that must not touch each other."""

import numpy as np
import pytest
import torch
from torch import nn

from reference import clipping as paper
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import (
    AdaptiveClipping,
    ClipByNorm,
    ClipByValue,
    clip_adaptively,
    clip_by_norm,
    clip_by_value,
)
from trainsmith.optimizer.clipping import global_norm

SHAPES = [(4, 3), (3,), (), (2, 3, 2, 2), (1, 5)]


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
        (lambda p: clip_adaptively(p, ratio=0.2, eps=0.05), lambda g, w: paper.adaptive(g, w, 0.2, 0.05)),
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


@pytest.mark.parametrize("clip", [lambda p: clip_by_value(p, 0.5), lambda p: clip_by_norm(p, 0.5), ClipByNorm(0.5)])
def test_a_single_tensor_is_one_parameter_as_for_torchs_functions(clip):
    """And not the sequence of its rows, which have no gradient."""
    one, listed = (nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    for p in (one, listed):
        p.grad = torch.linspace(-2, 2, 6).view(3, 2)
    clip(one)
    clip([listed])
    assert not torch.equal(one.grad, torch.linspace(-2, 2, 6).view(3, 2))
    assert torch.equal(one.grad, listed.grad)


def test_gradients_of_several_types_have_one_norm():
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, dtype=torch.float64))]
    parameters[0].grad, parameters[1].grad = torch.tensor([2.0, 1.0]), torch.tensor([2.0], dtype=torch.float64)
    assert clip_by_norm(parameters, 1.5).item() == 3
    torch.testing.assert_close(parameters[0].grad, torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(parameters[1].grad, torch.tensor([1.0], dtype=torch.float64))


@pytest.mark.parametrize("bad", [torch.inf, 3e38])
def test_a_norm_that_overflows_makes_the_gradient_nan_and_does_not_freeze_it(bad):
    for clip in (lambda p: clip_by_norm(p, 1.0), clip_adaptively):
        parameters = network(dtype=torch.float32)
        parameters[0].grad[2] = bad
        clip(parameters)
        assert parameters[0].grad[2].isnan().all()


@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_a_limit_without_meaning_is_refused(value):
    cases = [("clip-by-value", "threshold"), ("clip-by-norm", "max_norm"), ("adaptive-clipping", "ratio")]
    for (title, name), clip in zip(cases, (clip_by_value, clip_by_norm, clip_adaptively), strict=True):
        with pytest.raises(InvalidInput, match=rf"{title}: {name} must be a number in \(0, inf\); got"):
            clip(network(), **{name: value})


def test_the_defaults():
    assert ClipByValue().numbers == {"threshold": 1.0}
    assert ClipByNorm().numbers == {"max_norm": 1.0}
    assert AdaptiveClipping().numbers == {"ratio": 0.01, "eps": 1e-3}


@pytest.mark.parametrize("size", [3.0, 300.0, 1e-3])
def test_a_gradient_in_half_precision_is_measured_in_single(size):
    theta = nn.Parameter(torch.ones(300, 300, dtype=torch.float16))
    theta.grad = torch.full_like(theta, size)
    before = clip_by_norm([theta], 0.125)
    assert before.item() == pytest.approx(300 * size, rel=1e-3)
    assert theta.grad.dtype == torch.float16
    assert theta.grad.float().norm().item() == pytest.approx(0.125, rel=0.02)
    theta.grad = torch.full_like(theta, size)
    clip_adaptively([theta], ratio=1e-4)
    assert theta.grad.float().norm(dim=1) == pytest.approx(torch.full((300,), 1e-4 * 300**0.5), rel=0.05)


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value, lambda p, number: clip_adaptively(p, ratio=number)])
def test_a_sparse_gradient_is_refused(clip):
    table = nn.Embedding(5, 3, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(InvalidInput, match=r"gradients must be dense; got a sparse one: build the layer with sparse="):
        clip(table.parameters(), 0.5)
