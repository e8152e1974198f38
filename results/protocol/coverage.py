"""Do the intervals hold the true difference, and how large must one be to be found? With differences that are known.

python results/protocol/coverage.py [--seeds 1024] [--steps 100 400]

Each arm is one recipe at fixed settings, trained with so many fresh seeds on scikit-learn's digits as a study confirms
its choice; an arm's true difference from the baseline is the mean over all of them. Then every 8 consecutive seeds are
a study's fresh seeds: their interval, p-value and verdict, computed by the library's own functions, are held against the
truth. Settings are fixed, so what tuning adds is not in it (see aa.py).
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
from aa import network, share
from scipy.stats import kendalltau

from trainsmith.catalogue import Recipe, Run, Trial, find
from trainsmith.comparison.environment import describe_environment
from trainsmith.comparison.statistics import max_t_sign_flip, paired_difference, smallest_difference, verdict
from trainsmith.comparison.trainings import Trainings
from trainsmith.data import load
from trainsmith.population import Training

SEEDS, STEPS = 8, (100, 400)
"""Seeds of a study; lengths of the trainings: short ones differ most, and in the least normal way, between seeds."""
RATE = {"adam.lr": 1e-2}
ARMS = {
    "baseline": Trial(Recipe(), RATE),
    "a rate 20 % lower": Trial(Recipe(), {"adam.lr": 8e-3}),
    "a rate 30 % lower": Trial(Recipe(), {"adam.lr": 7e-3}),
    "half the rate": Trial(Recipe(), {"adam.lr": 5e-3}),
    "a third of the rate": Trial(Recipe(), {"adam.lr": 3.3e-3}),
    "a fifth of the rate": Trial(Recipe(), {"adam.lr": 2e-3}),
    "ELU": Trial(Recipe(activation="elu"), RATE),
    "tanh": Trial(Recipe(activation="tanh"), RATE),
    "leaky ReLU": Trial(Recipe(activation="leaky-relu"), RATE),
    "sigmoid": Trial(Recipe(activation="sigmoid"), RATE),
    "dropout": Trial(Recipe(regularization=("dropout",)), {**RATE, "dropout.rate": 0.2}),
    "Glorot": Trial(Recipe(initialization="glorot-uniform"), RATE),
    "NAdam": Trial(Recipe().having(find("nadam")), {"nadam.lr": 1e-2}),
}
RECORD = Path(__file__).with_suffix(".json")


def scores(seeds, steps):
    """(arms, seeds): the validation score of every run, as a study's fresh runs get it."""
    dataset = load("digits")
    trainer = Trainings(network, dataset, Training(steps, checks=1), 2, lambda *told: None)
    trainer.prepare(Recipe(), len(ARMS) * seeds)
    runs = [Run(trial, 1000 + i) for trial in ARMS.values() for i in range(seeds)]
    return np.array([r.score for r in trainer("confirming", runs)]).reshape(len(ARMS), seeds), dataset


def judged(arm, baseline, delta):
    """What each group of 8 seeds says of one arm, alone in its family."""
    truth = float((arm - baseline).mean())
    covered, verdicts, widths = [], Counter(), []
    for group in np.split(np.arange(len(arm)), len(arm) // SEEDS):
        paired = paired_difference(arm[group], baseline[group])
        p = float(max_t_sign_flip((arm[group] - baseline[group])[None])[0])
        covered.append(paired.low <= truth <= paired.high)
        verdicts[verdict(paired, p, delta).kind] += 1
        widths.append(paired.high - paired.low)
    wrong = "worse" if truth > 0 else "better"
    return {
        "true difference": truth,
        "over the smallest worth having": truth / delta,
        "sd of a pair": float((arm - baseline).std(ddof=1)),
        "correlation": float(np.corrcoef(arm, baseline)[0, 1]),
        "covered": share(int(sum(covered)), len(covered)),
        "called the right way": share(verdicts["better" if truth > 0 else "worse"], len(covered)),
        "called the wrong way": share(verdicts[wrong], len(covered)),
        "verdicts": dict(verdicts),
        "mean width": float(np.mean(widths)),
    }


def measured(seeds, steps):
    """Everything about trainings of one length."""
    found, dataset = scores(seeds, steps)
    delta = smallest_difference(dataset.test.size, float(found[0].mean()))
    arms = {name: judged(row, found[0], delta) for name, row in zip(ARMS, found, strict=True) if name != "baseline"}
    groups = found.reshape(len(ARMS), -1, SEEDS).mean(2)
    pairs = range(0, groups.shape[1] - 1, 2)
    tau = [kendalltau(groups[:, a], groups[:, a + 1]).statistic for a in pairs]
    truth = [kendalltau(groups[:, a], found.mean(1)).statistic for a in range(groups.shape[1])]
    return {
        "baseline": {"mean": float(found[0].mean()), "sd over seeds": float(found[0].std(ddof=1))},
        "delta": delta,
        "intervals that hold the truth": share(
            sum(a["covered"]["count"] for a in arms.values()), sum(a["covered"]["of"] for a in arms.values())
        ),
        "arms": arms,
        "ranking": {
            "Kendall's tau between two groups of 8 seeds": float(np.mean(tau)),
            "Kendall's tau of 8 seeds with the truth": float(np.mean(truth)),
            "the same best arm in two groups": float(
                np.mean([groups[:, a].argmax() == groups[:, a + 1].argmax() for a in pairs])
            ),
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1024)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    options = parser.parse_args()
    began = time.perf_counter()
    record = {
        "question": "do intervals of 8 seeds hold the true difference, and which differences are found?",
        "by steps": {str(steps): measured(options.seeds, steps) for steps in options.steps},
        "setup": f"64-16-10, digits, batches of 16, {options.seeds} seeds an arm in groups of {SEEDS}",
        "seconds": round(time.perf_counter() - began),
        "environment": {**describe_environment(), "command": "python results/protocol/coverage.py"},
    }
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    for steps, found in record["by steps"].items():
        print(steps, "steps:", found["intervals that hold the truth"], found["ranking"], found["baseline"])
        for name, arm in found["arms"].items():
            print(
                f"  {name:20} {100 * arm['true difference']:+.2f} points, {arm['over the smallest worth having']:+.2f} "
                f"delta: covered {arm['covered']['share']:.1%}, right {arm['called the right way']['share']:.0%}, "
                f"wrong {arm['called the wrong way']['share']:.0%}"
            )


if __name__ == "__main__":
    main()
