"""What a study says of its plan before it starts: what works against itself, or can show little."""

from collections.abc import Sequence

import torch

from trainsmith.catalogue import Recipe, contradictions, find
from trainsmith.comparison.budget import Budget
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.statistics import LEAST_SEEDS, SIGNIFICANCE
from trainsmith.data import Dataset
from trainsmith.inspection.faults.start import UNLIKE
from trainsmith.population import rules_of

MOST_LOOKED_AT = 10_000
"""Rows of a table that tell how unlike its columns are."""
LOPSIDED = 0.8
"""The share of the commonest class above which a study judged by accuracy says so."""


def warnings(chosen: Sequence[Candidate], batch_size: int) -> list[str]:
    """What works against itself in the baseline, and in each candidate beside what does in the baseline."""
    of_baseline = contradictions(chosen[0].recipe, batch_size)
    notes = [f"the baseline works against itself: {said}." for said in of_baseline]
    for candidate in chosen[1:]:
        own = [said for said in contradictions(candidate.recipe, batch_size) if said not in of_baseline]
        notes += [f"{candidate.name}, in this recipe, works against itself: {said}." for said in own]
    return notes


def imbalance(dataset: Dataset) -> list[str]:
    """That one class is so common that accuracy says little, if it is so and accuracy is what is judged."""
    if rules_of(dataset).metric != "accuracy":
        return []
    counts = torch.bincount(dataset.y)
    share = int(counts.max()) / len(dataset.y)
    if share <= LOPSIDED:
        return []
    name = dataset.classes[int(counts.argmax())]
    return [
        f"{100 * share:.1f} % of the examples are of class '{name}', and always saying so has that accuracy; "
        "--metric balanced-accuracy judges by every class alike, --class-weights balanced trains by it."
    ]


def unscaled(dataset: Dataset, baseline: Recipe) -> list[str]:
    """That columns of a table differ much in spread, if the baseline does nothing about it."""
    if dataset.kind != "table" or find(baseline.normalization, "normalization").role == "input":
        return []
    spreads = torch.as_tensor(dataset.x[:MOST_LOOKED_AT]).double().std(0)
    spreads = spreads[spreads > 0]
    ratio = float(spreads.max() / spreads.median()) if len(spreads) else 1.0
    if ratio <= UNLIKE:
        return []
    why = "" if baseline.normalization == "none" else f" beside the network's normalization, {baseline.normalization}"
    return [
        f"the widest column has {ratio:,.0f} times the median's spread, and nothing is done about it{why}: scale the "
        "columns in the data, or compare with standardization, which then takes that place."
    ]


def few_seeds(budget: Budget) -> list[str]:
    """That no difference, however large, can be shown with so few fresh seeds, if it is so."""
    if budget.fresh_seeds >= LEAST_SEEDS:
        return []
    smallest = 2.0 ** (1 - budget.fresh_seeds)
    return [
        f"{budget.fresh_seeds} fresh seeds can show no technique to be better or worse, however large the difference: "
        f"the exact test's smallest p is {smallest:.2g}, and {SIGNIFICANCE} is asked; {LEAST_SEEDS} seeds or more can."
    ]
