"""Studies drawn from a pool of trained runs, tuning included: what is found of known differences, and by fast studies.

python results/protocol/drawn.py [--studies 400]

Writes planted.json and fast.json. Every setting that a study may try, of He initialization, two twins of it with 2
and 4 of the 16 hidden units dead (differences that were planted), and four usual techniques, is trained once with each of
120 seeds, for the whole length and for the lengths of the rungs, on scikit-learn's digits. A study then draws its own
seeds from these, and everything else is the library's own: trials, rungs, what is chosen and cut, intervals, verdicts,
the winner. What is true of a chosen setting comes from 400 further seeds. Ranges are not widened here.
"""

import argparse
import itertools
import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from aa import network, share
from scipy.stats import kendalltau

from trainsmith.catalogue import Recipe, Run, find, technique
from trainsmith.comparison import Budget
from trainsmith.comparison.environment import describe_environment
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.rows import make_rows
from trainsmith.comparison.statistics import smallest_difference
from trainsmith.comparison.study import winner
from trainsmith.comparison.trainings import Trainings
from trainsmith.comparison.tuning import survivors, tune
from trainsmith.data import load
from trainsmith.initialization import he
from trainsmith.population import Result, Training

DEAD = (2, 4)
PLANTED = tuple(f"he-dead-{number}" for number in DEAD)
USUAL = ("glorot-uniform", "tanh", "sgd", "dropout")
STEPS, SEEDS, FURTHER = 160, 120, 400
WHOLE = Budget(extension=0)
SIZES = (0, 0.25, 0.5, 1, 2, 4, 100)
"""Bounds of true differences, in the smallest one worth having, between which power is told."""
HERE = Path(__file__).parent


def plant(number):
    """He initialization with so many of the hidden units dead: their weights, and so their gradients, are zero."""

    def draw(weight, *, generator=None):
        he(weight, generator=generator)
        if weight.shape[0] == 16:
            with torch.no_grad():
                weight[:number] = 0

    draw.__doc__ = f"""He initialization, {number} units dead: a planted difference.

        w ~ N(0, 2 / fan_in), but 0 in {number} units

    Paper: He et al. 2015, Delving deep into rectifiers, equation 10.
    """
    draw.__name__ = f"he_dead_{number}"
    technique("initialization", "weights", name=f"he-dead-{number}")(draw)


def recipes(names):
    """The baseline and these techniques in it."""
    return [Candidate((), Recipe()), *(Candidate((find(n),), Recipe().having(find(n))) for n in names)]


class Pool:
    """Scores of every recipe's settings with every seed, at each length: (settings, seeds)."""

    def __init__(self):
        self.dataset = load("digits")
        self.candidates = {c.name: c for c in recipes((*PLANTED, *USUAL))}
        self.trials = {name: c.trials(WHOLE.trials) for name, c in self.candidates.items()}
        self.of = {c.recipe: name for name, c in self.candidates.items()}
        self.scores, self.losses, self.truths = {}, {}, {}
        self.trainer = Trainings(network, self.dataset, Training(STEPS, checks=1), 1, lambda *told: None)
        for length in sorted({r.share for b in (WHOLE, replace(WHOLE, fast=True)) for r in b.rungs}):
            runs = [Run(t, s) for trials in self.trials.values() for t in trials for s in range(SEEDS)]
            found = self.trainer("the pool", runs, share=length)
            shape = len(self.trials), WHOLE.trials, SEEDS
            self.scores[length] = np.array([r.score for r in found]).reshape(shape)
            self.losses[length] = np.array([r.loss for r in found]).reshape(shape)
            print(length, "of the steps trained", flush=True)
        self.names = list(self.trials)
        self.constant = float(torch.bincount(self.dataset.y).max() / len(self.dataset.y))

    def place(self, trial):
        """Recipe and setting of a trial."""
        name = self.of[trial.recipe]
        return self.names.index(name), self.trials[name].index(trial)

    def study(self, names, seeds, budget):
        """Rows, and each row's place in the pool, of a study of these techniques whose luck is `seeds`, as the library
        makes it: the first seeds tune, the last ones are fresh."""
        tuning, fresh = np.split(seeds, [len(seeds) - budget.fresh_seeds])
        taken = 0

        def train(what, runs, *, share=1.0):
            nonlocal taken
            taken += len(runs) * round(STEPS * share)
            return [self.result(run.trial, tuning[run.seed], share) for run in runs]

        candidates = [self.candidates["baseline"], *(self.candidates[n] for n in names)]
        tuned = tune(train, [self.trials[c.name] for c in candidates], budget)
        kept = survivors(tuned, budget.confirmed(len(candidates)))
        results = [[self.result(tuned[i].trial, s, 1.0) for s in fresh] for i in kept]
        taken += len(kept) * len(fresh) * STEPS
        base = float(np.mean([r.score for r in results[0]]))
        delta = smallest_difference(self.dataset.test.size, base)
        chosen = [(tuned[i].best, tuned[i].attempts) for i in kept]
        rows = make_rows([candidates[i] for i in kept], chosen, results, self.constant, delta, 0)
        places = {candidates[i].recipe: self.place(tuned[i].trial) for i in range(len(candidates))}
        return rows, places, delta, taken

    def result(self, trial, seed, share):
        place = (*self.place(trial), seed)
        score, loss = self.scores[share][place], self.losses[share][place]
        return Result(score=float(score), loss=float(loss), curve=[(STEPS, float(loss), float(loss), float(score))])

    def truth(self, place):
        """Scores with the further seeds, trained when they are asked for."""
        if place not in self.truths:
            trial = self.trials[self.names[place[0]]][place[1]]
            runs = [Run(trial, s) for s in range(SEEDS, SEEDS + FURTHER)]
            found = np.array([r.score for r in self.trainer("the truth", runs)])
            self.truths[place] = np.where(np.isnan(found), self.constant, found)
        return self.truths[place]


def planted(pool, studies, luck):
    """Two studies with seeds of their own each time: intervals against the truth, power by size, agreement of ranks."""
    names, rows, taus, best = (*PLANTED, *USUAL), [], [], []
    each = WHOLE.final_seeds + 1 + WHOLE.fresh_seeds
    for _ in range(studies // 2):
        order = luck.permutation(SEEDS)
        scores = []
        for seeds in (order[:each], order[each : 2 * each]):
            found, places, delta, _ = pool.study(names, seeds, WHOLE)
            base = next(r for r in found if r.is_baseline)
            scores.append({r.recipe: r.score.mean for r in found})
            for row in found:
                if row.difference is not None:
                    true = pool.truth(places[row.recipe]) - pool.truth(places[base.recipe])
                    rows.append(
                        {
                            "name": row.technique, "true": float(true.mean()), "delta": delta, "verdict": row.verdict,
                            "error": float(true.std(ddof=1) / np.sqrt(FURTHER)),
                            "low": row.difference.low, "high": row.difference.high,
                        }
                    )  # fmt: skip
        taus.append(kendalltau(*([s[r] for r in scores[0]] for s in scores)).statistic)
        best.append(max(scores[0], key=scores[0].get) == max(scores[1], key=scores[1].get))
    return {
        "question": "are planted and other differences found, tuning included, and do two repetitions rank alike?",
        "studies": len(taus) * 2,
        "techniques in each": len(names),
        "intervals that hold the truth": share(sum(r["low"] <= r["true"] <= r["high"] for r in rows), len(rows)),
        "standard error of a truth, mean": float(np.mean([r["error"] for r in rows])),
        "half-width of an interval, mean": float(np.mean([(r["high"] - r["low"]) / 2 for r in rows])),
        "by true size in deltas": {f"{a:g} to {b:g}": of_size(rows, a, b) for a, b in itertools.pairwise(SIZES)},
        "by technique": {n: of_technique([r for r in rows if r["name"] == n]) for n in names},
        "delta, mean": float(np.mean([r["delta"] for r in rows])),
        "ranking": {
            "Kendall's tau of two repetitions, mean": float(np.mean(taus)),
            "Kendall's tau, 5th percentile": float(np.percentile(taus, 5)),
            "the same best in both": share(sum(best), len(best)),
        },
    }


def of_size(rows, low, high):
    """What was said of differences whose true size lies in [low, high) deltas."""
    some = [r for r in rows if low <= abs(r["true"]) / r["delta"] < high]
    words = [("better", "worse") if r["true"] > 0 else ("worse", "better") for r in some]
    if not some:
        return {"differences": 0}
    return {
        "differences": len(some),
        "called the right way": share(sum(r["verdict"] == w[0] for r, w in zip(some, words, strict=True)), len(some)),
        "called the wrong way": share(sum(r["verdict"] == w[1] for r, w in zip(some, words, strict=True)), len(some)),
        "verdicts": dict(Counter(r["verdict"] for r in some)),
    }


def of_technique(rows):
    return {
        "mean true difference": float(np.mean([r["true"] for r in rows])),
        "verdicts": dict(Counter(r["verdict"] for r in rows)),
    }


def fast(pool, studies, luck):
    """Studies, each whole and fast with luck of its own for either."""
    found = []
    for _ in range(studies):
        names = (*PLANTED, *USUAL)
        sides, won = {}, {}
        for quick in (False, True):
            budget = replace(WHOLE, fast=quick)
            seeds = luck.permutation(SEEDS)[: sum(r.seeds for r in budget.rungs) + budget.fresh_seeds]
            rows, places, delta, taken = pool.study(names, seeds, budget)
            best = winner(rows)
            won[quick] = "baseline" if best.is_baseline else best.technique
            sides[quick] = (pool.truth(places[best.recipe]), delta, taken)
        difference = sides[True][0] - sides[False][0]
        error = float(difference.std(ddof=1) / np.sqrt(FURTHER))
        found.append((float(difference.mean()), error, sides[False][1], sides[True][2] / sides[False][2], won))
    differences, errors, deltas, costs, won = zip(*found, strict=True)
    not_worse = [d >= -delta for d, delta in zip(differences, deltas, strict=True)]
    surely = [d - 2 * e >= -delta for d, e, delta in zip(differences, errors, deltas, strict=True)]
    return {
        "question": "is a fast study's winner as good as the whole study's, and what does it cost?",
        "studies": studies,
        "techniques in each": len(PLANTED) + len(USUAL),
        "winner not worse by more than delta": share(sum(not_worse), studies),
        "winner not worse by more than delta, less two standard errors": share(sum(surely), studies),
        "the same technique wins": share(sum(w[False] == w[True] for w in won), studies),
        "fast winner's true score minus the whole study's": {
            "mean": float(np.mean(differences)), "5th percentile": float(np.percentile(differences, 5)),
            "worst": min(differences),
        },
        "delta, mean": float(np.mean(deltas)),
        "member-steps, of the whole study's": {"mean": float(np.mean(costs)), "most": max(costs)},
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    for number in DEAD:
        plant(number)
    pool = Pool()
    for name, make in (("planted", planted), ("fast", fast)):
        record = {
            **make(pool, options.studies, np.random.default_rng(len(name))),
            "setup": f"64-16-10 ReLU, digits, {STEPS} steps of 16, {WHOLE}; each study's luck is drawn from {SEEDS} "
            f"seeds of a pool, truth comes from {FURTHER} others",
            "seconds": round(time.perf_counter() - began),
            "environment": {**describe_environment(), "command": "python results/protocol/drawn.py"},
        }
        (HERE / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        print(json.dumps({k: v for k, v in record.items() if k != "environment"}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
