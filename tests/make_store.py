"""A tiny study for the store's tests: one technique on a table of sixty examples, over in seconds."""

import numpy as np
from torch import nn

from trainsmith.data import from_arrays

NETWORK = "make_store:network"
ASKED = {"techniques": ["sgd"], "trials": 2, "seeds": 2, "steps": 20, "processes": 1}
RUNS = 2 * (2 + 2 * 2 + 2)
"""One technique and the baseline; two trials, both tried again with two seeds, two fresh seeds."""


def network(shape, outputs):
    return nn.Sequential(nn.Linear(shape[0], 5), nn.ReLU(), nn.Linear(5, outputs))


def table(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    return from_arrays(x, (x[:, 0] > x[:, 1]).astype(np.int64), "tiny")


def numbers(comparison):
    """Everything the study says that must not depend on when, where and in how many goes it was trained."""
    said = comparison.to_dict()
    plan = {k: v for k, v in said.pop("plan").items() if k not in ("seconds", "goes", "words", "expected", "memory")}
    return {**{k: v for k, v in said.items() if k not in ("environment", "costs")}, "plan": plan}
