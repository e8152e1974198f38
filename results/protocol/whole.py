"""Whole studies, each also with --fast: is the fast one's winner as good, and what does it cost?

python results/protocol/whole.py [--studies 50]

Each study has its own 600 of scikit-learn's digits, eight techniques of four families that lie close together there, and is
run twice as `trainsmith compare` runs it, test part included: by the usual protocol and fast. Where the two take another
winner, or another setting of the same one, both are trained with 24 further seeds on the same examples; their mean
difference is what is true.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import torch
from aa import network, share
from sklearn.datasets import load_digits

from trainsmith.catalogue import Recipe, Run, Trial, find
from trainsmith.comparison import Budget, compare
from trainsmith.comparison.environment import describe_environment
from trainsmith.comparison.study import winner
from trainsmith.comparison.trainings import Trainings
from trainsmith.data import from_arrays
from trainsmith.population import Training

NAMES = ("elu", "tanh", "rmsprop", "momentum", "batch", "label-smoothing", "dropout", "glorot-uniform")
EXAMPLES, STEPS, FURTHER, FIRST = 600, 160, 24, 50_000
RECORD = Path(__file__).with_suffix(".json")


def asked(data, fast):
    """The study, and member-steps that it trained."""
    found = compare(
        network, data, baseline=Recipe(), techniques=[find(n) for n in NAMES], budget=Budget(fast=fast),
        training=Training(STEPS, checks=4), processes=1,
    )  # fmt: skip
    return found, found.plan["member_steps"]


def truth(data, trials):
    """Scores of the two trials with further seeds, paired."""
    trainer = Trainings(network, data, Training(STEPS, checks=1), 1, lambda *told: None)
    runs = [Run(t, FIRST + s) for t in trials for s in range(FURTHER)]
    worst = float(torch.bincount(data.y).max() / len(data.y))
    return np.nan_to_num([r.score for r in trainer("the truth", runs, share=1.0)], nan=worst).reshape(2, FURTHER)


def study(number):
    torch.set_num_threads(1)
    digits = load_digits()
    picked = np.random.default_rng([number, 2]).choice(len(digits.target), EXAMPLES, replace=False)
    data = from_arrays(digits.images[picked, None] / 16, digits.target[picked], "digits")
    (usual, steps), (quick, quick_steps) = asked(data, False), asked(data, True)
    winners = [winner(s.rows) for s in (usual, quick)]
    best = [Trial(w.recipe, dict(w.values)) for w in winners]
    difference, error = 0.0, 0.0
    if best[0] != best[1]:
        scores = truth(data, best)
        paired = scores[1] - scores[0]
        difference, error = float(paired.mean()), float(paired.std(ddof=1) / np.sqrt(FURTHER))
    names = ["baseline" if w.is_baseline else w.technique for w in winners]
    return {
        "winners": names, "difference": difference, "error": error, "delta": usual.delta, "cost": quick_steps / steps,
        "same setting": best[0] == best[1],
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    began = time.perf_counter()
    found = joblib.Parallel(n_jobs=options.jobs)(joblib.delayed(study)(i) for i in range(options.studies))
    count = len(found)
    record = {
        "question": "is a fast study's winner as good as the whole study's, and what does it cost?",
        "studies": count,
        "techniques in each": len(NAMES),
        "winner not worse by more than delta": share(sum(f["difference"] >= -f["delta"] for f in found), count),
        "winner not surely worse at all": share(sum(f["difference"] >= -2 * f["error"] for f in found), count),
        "the same technique wins": share(sum(f["winners"][0] == f["winners"][1] for f in found), count),
        "with the same setting": share(sum(f["same setting"] for f in found), count),
        "fast winner's true score minus the whole study's": {
            "mean": float(np.mean([f["difference"] for f in found])),
            "worst": min(f["difference"] for f in found),
            "standard error of one, mean": float(np.mean([f["error"] for f in found if not f["same setting"]] or [0])),
        },
        "winners of whole studies": dict(Counter(f["winners"][0] for f in found)),
        "winners of fast studies": dict(Counter(f["winners"][1] for f in found)),
        "delta, mean": float(np.mean([f["delta"] for f in found])),
        "member-steps, of the whole study's": {
            "mean": float(np.mean([f["cost"] for f in found])), "most": max(f["cost"] for f in found),
        },
        "setup": f"64-16-10 ReLU, {EXAMPLES} digits a study, {STEPS} steps of 16, {Budget()} and the same with fast",
        "seconds": round(time.perf_counter() - began),
        "environment": {
            **describe_environment(),
            "command": f"python results/protocol/whole.py --studies {options.studies}",
        },
    }  # fmt: skip
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({k: v for k, v in record.items() if k != "environment"}, indent=1))


if __name__ == "__main__":
    main()
