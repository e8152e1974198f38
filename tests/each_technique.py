"""Every technique of the catalogue as the laws need it: by role, with examples to act on and numbers to vary."""

import inspect

import pytest
import torch
from torch import nn

from trainsmith.catalogue import techniques

LAYER_ROLES = ("input", "layer", "parametrization", "activation")
MODULE_ROLES = (*LAYER_ROLES, "penalty", "loss")
BARE = ("average", "branch", "clipping", "constraint", "network", "schedule", "stopping", "pass")
"""Roles whose techniques need nothing but their numbers to be made."""
FEATURES = 4
WEIGHT_LAYERS = {
    2: lambda: nn.Linear(FEATURES, FEATURES),
    3: lambda: nn.Conv1d(FEATURES, FEATURES, 3, padding=1),
    4: lambda: nn.Conv2d(FEATURES, FEATURES, 3, padding=1),
}
"""What a parametrization is put around, by the axes of the inputs."""


def name_of(technique):
    return f"{technique.family}/{technique.name}"


def each(*roles):
    """Parametrize a test over the techniques that have one of these roles (all, if none is given)."""
    found = [t for t in techniques() if not roles or t.role in roles]
    return pytest.mark.parametrize("technique", found, ids=name_of)


def each_number():
    """Parametrize a test over every hyper-parameter of every technique."""
    found = [(t, h) for t in techniques() for h in t.hyperparameters]
    ids = [f"{name_of(t)}.{h.name}" for t, h in found]
    return pytest.mark.parametrize(("technique", "number"), found, ids=ids)


def settings(technique, count=3):
    """`count` settings of a technique: every hyper-parameter at places of its search range that differ."""
    quantiles = [(k + 0.5) / count for k in range(count)]
    return [{h.name: h.at(q) for h in technique.hyperparameters} for q in quantiles]


def made(technique, dtype=torch.float32, seed=17, axes=None, **numbers):
    """A module of the technique for inputs with FEATURES features, its weights and statistics drawn from the seed.

    axes: of the inputs; what `arguments` has, if not given.
    """
    first = (FEATURES,) if "num_features" in inspect.signature(technique.make).parameters else ()
    if technique.role == "parametrization":
        first = (WEIGHT_LAYERS[axes or 2](),)
    module = technique.make(*first, **numbers).to(dtype)
    draws = torch.Generator().manual_seed(seed)
    if technique.role == "input":
        return module.fit(torch.randn(20, FEATURES, generator=draws).to(dtype))
    with torch.no_grad():
        for tensor in [*module.parameters(), *(b for b in module.buffers() if b.ndim)]:
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=draws))
    return module


def arguments(technique, dtype=torch.float32, seed=0, size=6):
    """What a module of the technique is called with."""
    draws = torch.Generator().manual_seed(seed)
    positions = (3, 3)[: max(0, getattr(technique.make, "least_axes", 2) - 2)]
    x = torch.randn(size, FEATURES, *positions, generator=draws).to(dtype)
    if technique.role == "penalty":
        return ([x, x[:2].clone(), 0.5 * x.flip(0)],)
    if technique.role == "loss":
        return x, torch.randint(0, FEATURES, (size,), generator=draws)
    return (x,)


def weight_of(shape=(6, FEATURES), dtype=torch.float32):
    """A weight that is not yet initialized: nan, so that what is left untouched is seen."""
    return torch.full(shape, torch.nan, dtype=dtype)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def widening(module):
    """How many features go into an activation function for each that comes out."""
    return getattr(module, "widening", 1)
