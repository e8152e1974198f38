"""What holds for everything that clips gradients: alone, and for members that must not touch each other."""

import pytest
import torch
from torch import nn

from each_technique import each, settings

SHAPES = [(4, 3), (3,), (), (2, 3, 2, 2), (1, 5)]
AXES = [len(shape) for shape in SHAPES]
MEMBERS = 4


def stacked(seed=0):
    """Gradients and weights (MEMBERS, *shape) whose sizes differ by powers of ten between members."""
    draws = torch.Generator().manual_seed(seed)
    sizes = 10.0 ** torch.arange(MEMBERS) / 30
    gradients = [torch.randn(MEMBERS, *s, generator=draws) * sizes.view(-1, *(1,) * len(s)) for s in SHAPES]
    return gradients, [torch.randn(MEMBERS, *s, generator=draws) for s in SHAPES]


def columns(technique):
    each_member = settings(technique, MEMBERS)
    return each_member, {
        h.name: torch.tensor([n[h.name] for n in each_member], dtype=torch.float64) for h in technique.hyperparameters
    }


def clipped(technique, gradients, weights, numbers):
    technique.make.clip(gradients, weights, AXES, **numbers)
    return gradients


@each("clipping")
def test_members_are_clipped_as_each_alone_by_its_own_numbers(technique):
    each_member, numbers = columns(technique)
    together = clipped(technique, *stacked(), numbers)
    changed = 0
    for k, own in enumerate(each_member):
        gradients, weights = stacked()
        parameters = [nn.Parameter(w[k]) for w in weights]
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g[k].clone()
        technique.make(**own)(parameters)
        for p, t, g in zip(parameters, together, gradients, strict=True):
            torch.testing.assert_close(t[k], p.grad, rtol=1e-6, atol=0)
            changed += not torch.equal(p.grad, g[k])
    assert changed > 3


@each("clipping")
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_one_members_bad_gradient_leaves_the_others_bit_identical(technique, bad):
    _, numbers = columns(technique)
    healthy = clipped(technique, *stacked(), numbers)
    gradients, weights = stacked()
    gradients[0][2] = bad
    broken = clipped(technique, gradients, weights, numbers)
    for g, h in zip(broken, healthy, strict=True):
        assert torch.equal(g[[0, 1, 3]], h[[0, 1, 3]])
    if bad != bad:
        assert broken[0][2].isnan().all(), "a nan must stay visible"


@each("clipping")
def test_a_gradient_of_0_stays_0(technique):
    gradients, weights = stacked()
    gradients = [torch.zeros_like(g) for g in gradients]
    for g in clipped(technique, gradients, weights, settings(technique)[1]):
        assert torch.equal(g, torch.zeros_like(g))
