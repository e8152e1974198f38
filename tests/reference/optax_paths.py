"""The paths that optax's optimizers and clipping take, kept in optax_paths.json for tests that run without optax.

    pip install 'optax>=0.2.8' && python tests/reference/optax_paths.py

Each rule moves a matrix of 3 x 2 numbers by 12 given gradients, in double precision. The numbers of a rule are chosen
where its convention and ours mean the same: see test_optax.py.
"""

import importlib.metadata
import json
import math
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")
KEPT, SHAPE = (1, 2, 3, 12), (3, 2)
"""The steps after which the matrix is kept, and its shape."""

TURNED = ("adaptive-clipping",)
"""Rules that look at the inputs of a unit: optax has a weight as (in, out)."""


def start():
    """The matrix before the first step, as rows."""
    return [[math.cos(5 * i + 3 * j) + 0.5 for j in range(SHAPE[1])] for i in range(SHAPE[0])]


def gradient(t):
    """The gradient of step t, from 1, as rows: of several sizes and signs."""
    return [
        [math.sin(t * (i + 2 * j + 1)) * 10.0 ** (i - 1) + 0.1 * j for j in range(SHAPE[1])] for i in range(SHAPE[0])
    ]


def rules(optax):
    """optax's rules by our names."""
    return {
        "sgd": optax.sgd(0.1),
        "momentum": optax.sgd(0.1, momentum=0.9),
        "nesterov": optax.sgd(0.1, momentum=0.9, nesterov=True),
        "moving-average": optax.chain(optax.ema(0.9, debias=True), optax.scale(-0.1)),
        "adagrad": optax.adagrad(0.1, initial_accumulator_value=0.0, eps=1e-30),
        "adadelta": optax.adadelta(2.0, rho=0.9, eps=1e-4),
        "rmsprop": optax.rmsprop(0.01, decay=0.9, eps=1e-3, eps_in_sqrt=False),
        "rmsprop-centred": optax.rmsprop(0.01, decay=0.9, eps=1e-3, eps_in_sqrt=False, centered=True),
        "adam": optax.adam(0.01, b1=0.8, b2=0.95, eps=1e-3),
        "adamw": optax.adamw(0.01, b1=0.8, b2=0.95, eps=1e-3, weight_decay=0.3),
        "radam": optax.radam(0.01, b1=0.8, b2=0.9, eps=0.0, threshold=5.0),
        "adamax": optax.adamax(0.01, b1=0.8, b2=0.9, eps=1e-3),
        "lion": optax.lion(0.01, b1=0.8, b2=0.95, weight_decay=0.3),
        "lamb": optax.lamb(0.01, b1=0.8, b2=0.95, eps=1e-3, weight_decay=0.3),
        "lars": optax.lars(0.5, weight_decay=0.0, trust_coefficient=0.01, momentum=0.9),
        "adafactor": optax.adafactor(
            0.1, min_dim_size_to_factor=2, decay_rate=0.8, clipping_threshold=1.0, multiply_by_parameter_scale=True
        ),
        "clip-by-norm": optax.chain(optax.clip_by_global_norm(2.0), optax.scale(-0.1)),
        "clip-by-value": optax.chain(optax.clip(0.5), optax.scale(-0.1)),
        "adaptive-clipping": optax.chain(optax.adaptive_grad_clip(0.2, eps=1e-3), optax.scale(-0.1)),
    }


def paths():
    """Each rule's matrix after some steps."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    found = {}
    for name, rule in rules(optax).items():
        turned = (lambda m: m.T) if name in TURNED else (lambda m: m)
        theta = turned(jax.numpy.asarray(start()))
        state, path = rule.init(theta), []
        for t in range(1, KEPT[-1] + 1):
            update, state = rule.update(turned(jax.numpy.asarray(gradient(t))), state, theta)
            theta = optax.apply_updates(theta, update)
            path += [turned(theta).tolist()] * (t in KEPT)
        found[name] = path
    return found


if __name__ == "__main__":
    about = {name: importlib.metadata.version(name) for name in ("optax", "jax")}
    FILE.write_text(json.dumps({"about": about, "paths": paths()}) + "\n")
