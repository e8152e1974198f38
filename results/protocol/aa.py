"""A technique against itself under other names: how often does a study call it better or worse?

python results/protocol/aa.py [--studies 300] [--jobs 2]

Each study is a whole one, tuning and the test part included, as `trainsmith compare` runs it, of He initialization
against four twins: He initialization that draws its weights further along the same stream, so that equal seeds have the
same split and batches and other weights. Every study has its own 600 of scikit-learn's digits. A study errs if any twin
is called better or worse.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import torch
from scipy.stats import binomtest
from sklearn.datasets import load_digits
from torch import nn

from trainsmith.catalogue import Recipe, technique
from trainsmith.comparison import Budget, compare
from trainsmith.comparison.environment import describe_environment
from trainsmith.data import from_arrays
from trainsmith.initialization import he
from trainsmith.population import Training

TWINS, EXAMPLES, STEPS = 4, 600, 60
RECORD = Path(__file__).with_suffix(".json")


def network(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, outputs))


def twin(number):
    """He initialization under another name, with other luck."""

    def draw(weight, *, generator=None):
        torch.rand(10_000 * number, generator=generator)
        return he(weight, generator=generator)

    draw.__doc__ = f"""He initialization, twin {number}: its weights come from further along the stream.

        w ~ N(0, 2 / fan_in)

    Paper: He et al. 2015, Delving deep into rectifiers, equation 10.
    """
    draw.__name__ = f"he_twin_{number}"
    return technique("initialization", "weights", name=f"he-twin-{number}")(draw)


def study(number):
    """The verdicts of one study, and how far its twins' intervals lie from zero."""
    from trainsmith.catalogue import techniques

    torch.set_num_threads(1)
    names = {t.name for t in techniques("initialization")}
    for i in range(1, TWINS + 1):
        if f"he-twin-{i}" not in names:
            twin(i)
    chosen = [t for t in techniques("initialization") if t.name.startswith("he-twin")]
    digits = load_digits()
    picked = np.random.default_rng([number, 1]).choice(len(digits.target), EXAMPLES, replace=False)
    data = from_arrays(digits.images[picked, None] / 16, digits.target[picked], "digits")
    found = compare(
        network, data, baseline=Recipe(), techniques=chosen, budget=Budget(), training=Training(STEPS, checks=4),
        processes=1,
    )  # fmt: skip
    rows = [r for r in found.rows if not r.is_baseline]
    return {
        "verdicts": [r.verdict for r in rows],
        "covered": [bool(r.difference.low <= 0 <= r.difference.high) for r in rows],
        "same setting": [dict(r.values) == dict(next(b for b in found.rows if b.is_baseline).values) for r in rows],
        "correlations": [r.correlation for r in rows],
        "delta": found.delta,
        "receipt": found.receipt.holds,
    }


def share(count, of):
    interval = binomtest(count, of).proportion_ci(method="wilson")
    return {"count": count, "of": of, "share": count / of, "low": interval.low, "high": interval.high}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    began = time.perf_counter()
    found = joblib.Parallel(n_jobs=options.jobs)(joblib.delayed(study)(i) for i in range(options.studies))
    wrong = sum(any(v in ("better", "worse") for v in f["verdicts"]) for f in found)
    twins = [c for f in found for c in f["covered"]]
    alike = [c for f in found for c, same in zip(f["covered"], f["same setting"], strict=True) if same]
    record = {
        "question": "how often does a study call a technique better or worse than itself?",
        "studies": options.studies,
        "twins in each": TWINS,
        "studies that err": share(wrong, options.studies),
        "intervals that hold 0": share(sum(twins), len(twins)),
        "intervals that hold 0 where both were tuned to the same setting": share(sum(alike), len(alike)),
        "verdicts": dict(Counter(v for f in found for v in f["verdicts"])),
        "mean correlation of paired runs": float(np.nanmean([c for f in found for c in f["correlations"]])),
        "receipts that hold": sum(f["receipt"] for f in found),
        "delta, mean": float(np.mean([f["delta"] for f in found])),
        "setup": f"64-16-10 ReLU, {EXAMPLES} digits a study, {STEPS} steps of 16, default budget {Budget()}",
        "seconds": round(time.perf_counter() - began),
        "environment": {
            **describe_environment(),
            "command": f"python results/protocol/aa.py --studies {options.studies}",
        },
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({k: v for k, v in record.items() if k != "environment"}, indent=1))


if __name__ == "__main__":
    main()
