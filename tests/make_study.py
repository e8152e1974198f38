"""A study made up for tests of tables and pages: five families, every verdict, odd names."""

import itertools
import math

from trainsmith.catalogue import FAMILIES, Recipe, techniques
from trainsmith.comparison import Row, Study
from trainsmith.comparison.study import Activations, Attempt, Curve, Effect, Estimate, Pace, Receipt, TestScore
from trainsmith.inspection import Histogram

VERDICTS = [
    ("better", "better", 0.02),
    ("worse", "worse", -0.3),
    ("no difference worth having", "no difference worth having", 0.001),
    ("cannot tell yet", "cannot tell yet: about 14 seeds would", 0.01),
]


FEW = ("optimizer", "regularization")


def row(family, technique, recipe, number, baseline=False):
    """One row whose verdict goes through all there are."""
    verdict, words, shift = ("baseline", "baseline", 0.0) if baseline else VERDICTS[number % len(VERDICTS)]
    mean = 0.95 + shift
    steps = tuple(range(30, 601, 30))
    curve = tuple(mean * (1 - math.exp(-s / 100)) for s in steps)
    rates = [1e-4 * 2**i for i in range(8)]
    return Row(
        family=family,
        technique=technique.name if technique else "adam",
        title=technique.page.title if technique else "Adam",
        recipe=recipe,
        values={f"{recipe.optimizer}.lr": 1.28e-2},
        edges=(f"{recipe.optimizer}.lr",) if number % 3 == 0 else (),
        scores=tuple(mean + 0.01 * math.sin(i) for i in range(8)),
        score=Estimate(mean, mean - 0.01, mean + 0.01),
        diverged=2 if number % 5 == 4 else 0,
        difference=None if baseline else Estimate(shift, shift - 0.005, shift + 0.005),
        p=math.nan if baseline else 0.01,
        correlation=0.5,
        verdict=verdict,
        words=words,
        attempts=tuple(Attempt({f"{recipe.optimizer}.lr": r}, math.nan if r > 1e-2 else 0.9, 0.3, 1) for r in rates),
        curve=Curve(steps, curve, tuple(c - 0.01 for c in curve), tuple(c + 0.01 for c in curve)),
        chance=None if baseline else Estimate(0.75, 0.41, 0.93),
        tuning_curve=tuple(0.9 - 0.1 / k for k in range(1, 9)),
        pace=Pace(0.95, 330.0 if number % 2 else None, 5 if number % 2 else 2),
    )


def layers(name):
    """Activations of as many layers as a study keeps, of both networks."""
    bells = [tuple(int(1000 * math.exp(-(((b - 15) / w) ** 2))) for b in range(30)) for w in (3, 6)]
    first, last = (Histogram(-2.0, 2.0, counts) for counts in bells)
    return tuple(
        Activations(role, f"{name}.{i}", "Linear", 30, first, last, 0.5, math.nan if i == 3 else 1.0)
        for role in ("baseline", "winner")
        for i in range(24)
    )


def effects(rows):
    """A pairs design of the first techniques of each family: main effects, and how every two go together."""
    firsts = [next(r for r in rows if r.family == f and not r.is_baseline) for f in FAMILIES]

    def effect(number, *those):
        verdict, words, shift = VERDICTS[number % len(VERDICTS)]
        named = tuple(r.family for r in those), tuple(r.technique for r in those)
        return Effect(*named, Estimate(shift, shift - 0.01, shift + 0.01), 0.02, verdict, words, 3)

    pairs = itertools.combinations(firsts, 2)
    return tuple(effect(i, r) for i, r in enumerate(firsts)), tuple(effect(i, *p) for i, p in enumerate(pairs))


def make_study(name="digits", metric="accuracy", holds=True, most=None, design="one-at-a-time"):
    """A Study with every technique of the catalogue, or `most` of each family; `name` is wherever a user's words go.

    One of each is of two families alone, whose figures are drawn sooner."""
    base = Recipe()
    rows = []
    for family in FAMILIES if most != 1 or design == "pairs" else FEW:
        rows.append(row(family, None, base, 0, baseline=True))
        chosen = [t for t in techniques(family) if base.having(t) != base][:most]
        rows += [row(family, t, base.having(t), i) for i, t in enumerate(chosen)]
    main, pairs = effects(rows) if design == "pairs" else ((), ())
    return Study(
        data=name,
        about=f"{name}: 1,797 images",
        network=name,
        metric=metric,
        delta=0.008,
        baseline=base,
        plan={
            "words": "a plan", "recipes": 23, "runs": 506, "trials": 8, "finalists": 3, "final_seeds": 2,
            "tuning_runs": 322, "fresh_seeds": 8, "seeds": list(range(1000, 1008)), "populations": 60,
            "processes": 2, "seconds": 71.3, "steps": 600, "batch_size": 16, "schedule": "warm-up, then cosine",
        },
        rows=tuple(rows),
        notes=(f"a note about {name}",),
        test=TestScore("batch", Estimate(0.98, 0.97, 0.99), Estimate(0.97, 0.96, 0.98), 360, 0.007),
        receipt=Receipt(2e-7 if holds else 0.3, 60, 10, 1e-4, ()),
        environment={"trainsmith": "0", "command": f"trainsmith compare {name}", "cpu": "any"},
        states={},
        design=design,
        effects=main,
        interactions=pairs,
        activations=layers(name),
    )  # fmt: skip
