"""A study of five families in which nothing makes a difference: how often does it call a technique better or worse?

python results/protocol/families.py [--studies 2000]

Every technique that a study of the digits compares when it is not told which, with 8 fresh seeds of drawn scores in place of
trained ones: all have the same mean, and verdicts, p-values and the winner are the library's own. A score is the luck of
the seed, which all techniques share, plus luck of its own, in the shares that aa.json measured. Luck is normal, skewed
(exponential), or a count of 288 validation examples. A study errs if it calls any technique better or worse. The smallest
difference worth having is a fifth of the scores' standard deviation, so that nearly all may err, or all of it, as on the
digits.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
from aa import share

from trainsmith.catalogue import FAMILIES, Trial
from trainsmith.comparison.budget import Budget
from trainsmith.comparison.environment import describe_environment
from trainsmith.comparison.measured import Attempt
from trainsmith.comparison.plan import candidates, default_baseline
from trainsmith.comparison.rows import make_rows
from trainsmith.comparison.statistics import SIGNIFICANCE
from trainsmith.data import load
from trainsmith.population import Result

MEAN, SD, EXAMPLES, CORRELATION = 0.9, 0.01, 288, 0.14
DELTAS = (0.2, 1.0)
"""The smallest difference worth having, in standard deviations of a score."""
SEEDS = Budget.fresh_seeds
CALLED = ("better", "worse")
RECORD = Path(__file__).with_suffix(".json")


def normal(luck, shape):
    return luck.normal(size=shape)


def skewed(luck, shape):
    return 1 - luck.exponential(size=shape)


LUCK = {"normal": normal, "skewed": skewed, "counts": normal}


def drawn(kind, techniques, luck):
    """Scores (techniques, seeds) of the same mean and standard deviation, correlated by seed."""
    draw = LUCK[kind]
    seeds, own = draw(luck, (1, SEEDS)), draw(luck, (techniques, SEEDS))
    scores = MEAN + SD * (np.sqrt(CORRELATION) * seeds + np.sqrt(1 - CORRELATION) * own)
    return np.round(scores * EXAMPLES) / EXAMPLES if kind == "counts" else scores


def study(chosen, scores, delta):
    """The rows of a study of these candidates, the baseline first, whose fresh seeds scored so."""
    tried = [(0, (Attempt(dict(Trial(c.recipe).values), MEAN, 0.0),)) for c in chosen]
    results = [[Result(score=float(s), loss=0.0) for s in of] for of in scores]
    return [r for r in make_rows(chosen, tried, results, 0.1, delta, 0) if not r.is_baseline]


def setting(chosen, kind, delta, studies):
    """What so many studies said."""
    luck = np.random.default_rng([*kind.encode(), round(100 * delta)])
    by_family, any_family, in_study, won, verdicts = Counter(), 0, 0, 0, Counter()
    for _ in range(studies):
        rows = study(chosen, drawn(kind, len(chosen), luck), delta * SD)
        wrong = [r for r in rows if r.verdict in CALLED]
        by_family.update({r.family for r in wrong})
        any_family += bool(wrong)
        in_study += any(r.p_study < SIGNIFICANCE for r in wrong)
        won += any(r.verdict == "better" for r in rows)
        verdicts.update(r.verdict for r in rows)
    return {
        "luck": kind,
        "smallest difference worth having, in sd of a score": delta,
        "studies that err in any family": share(any_family, studies),
        "studies that err and whose p_study is below 0.05 too": share(in_study, studies),
        "studies with a winner other than the baseline": share(won, studies),
        "studies that err, by family": {f: share(by_family[f], studies) for f in FAMILIES},
        "verdicts": dict(verdicts),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    options = parser.parse_args()
    began, digits = time.perf_counter(), load("digits")
    chosen, _ = candidates(default_baseline(digits), digits, None, None)
    found = []
    for kind in LUCK:
        for delta in DELTAS:
            found.append(setting(chosen, kind, delta, options.studies))
            print(kind, delta, found[-1]["studies that err in any family"]["share"], flush=True)
    record = {
        "question": "how often does a study of five families err where nothing makes a difference?",
        "studies of each kind": options.studies,
        "techniques, by family": dict(Counter(c.family for c in chosen if c.family)),
        "fresh seeds": SEEDS,
        "correlation of scores of one seed": CORRELATION,
        "kinds": found,
        "seconds": round(time.perf_counter() - began),
        "environment": {
            **describe_environment(),
            "command": f"python results/protocol/families.py --studies {options.studies}",
        },
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
