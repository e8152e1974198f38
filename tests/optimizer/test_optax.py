"""Optimizers and clipping against optax, in the conventions that both know: see reference/optax_paths.py."""

import json

import pytest
import torch

from reference import optax_paths as optax
from trainsmith.catalogue import find, techniques
from trainsmith.optimizer import SGD

PATHS = json.loads(optax.FILE.read_text())["paths"]
NUMBERS = {
    "sgd": {"lr": 0.1},
    "momentum": {"lr": 0.1, "momentum": 0.9},
    "nesterov": {"lr": 0.1, "momentum": 0.9},
    "moving-average": {"lr": 0.1, "beta": 0.9},
    "adagrad": {"lr": 0.1, "eps": 1e-30},
    "adadelta": {"lr": 2.0, "rho": 0.9, "eps": 1e-4},
    "rmsprop": {"lr": 0.01, "alpha": 0.9, "eps": 1e-3},
    "rmsprop-centred": {"lr": 0.01, "alpha": 0.9, "eps": 1e-3},
    "adam": {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3},
    "adamw": {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.3},
    "radam": {"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 0.0},
    "adamax": {"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 1e-3},
    "lion": {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.3},
    "lamb": {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.3},
    "lars": {"lr": 0.5, "momentum": 0.9, "trust": 0.01, "weight_decay": 0.0},
    "adafactor": {"lr": 0.1, "decay": 0.8, "clip": 1.0, "eps1": 1e-30, "eps2": 1e-3},
    "clip-by-norm": {"max_norm": 2.0},
    "clip-by-value": {"threshold": 0.5},
    "adaptive-clipping": {"ratio": 0.2, "eps": 1e-3},
}
OTHERS = {
    "amsgrad": "takes its maximum after the bias correction",
    "nadam": "has no schedule of the momentum",
    "soap": "is not in optax",
    "muon": "corrects the bias of the momentum and takes its own coefficients' precision",
    "schedule-free-sgd": "wraps another optimizer, and weighs by other powers of the rate",
    "schedule-free-adamw": "wraps another optimizer, and weighs by other powers of the rate",
}
"""What optax has otherwise, or not at all."""


def test_every_rule_is_compared_or_it_is_said_why_not():
    rules = {t.name for t in techniques("optimizer") if t.role in ("optimizer", "clipping")}
    assert rules == {*NUMBERS, *OTHERS}
    assert PATHS.keys() == NUMBERS.keys()


@pytest.mark.parametrize("name", NUMBERS)
def test_the_path_is_optax_s(name):
    theta = torch.nn.Parameter(torch.tensor(optax.start(), dtype=torch.float64))
    technique, path = find(name, "optimizer"), []
    clip = technique.make(**NUMBERS[name]) if technique.role == "clipping" else None
    optimizer = SGD([theta], lr=0.1) if clip else technique.make([theta], **NUMBERS[name])
    for t in range(1, optax.KEPT[-1] + 1):
        theta.grad = torch.tensor(optax.gradient(t), dtype=torch.float64)
        if clip:
            clip([theta])
        optimizer.step()
        path += [theta.detach().clone()] * (t in optax.KEPT)
    tolerance = 1e-7 if name == "adafactor" else 1e-9  # whose decay optax takes in single precision
    expected = torch.tensor(PATHS[name], dtype=torch.float64)
    torch.testing.assert_close(torch.stack(path), expected, rtol=tolerance, atol=1e-12)
