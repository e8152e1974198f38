"""Designs: which recipes a study trains besides one technique at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from trainsmith.catalogue import contradictions
from trainsmith.comparison.plan import Candidate, applicable, having
from trainsmith.data import Dataset
from trainsmith.errors import InvalidInput, unknown_name
from trainsmith.network import Factory

ONE_AT_A_TIME, PAIRS, GRID = "one-at-a-time", "pairs", "grid"
DESIGNS = (ONE_AT_A_TIME, PAIRS, GRID)
"""one-at-a-time: each technique alone in the baseline. pairs: besides, every two of different families together.
grid: every choice of one technique or the baseline's own from each family."""
MOST_RECIPES = 1000
MOST_SAID = 5


def check_design(name: str) -> str:
    """The design of that name. Raises InvalidInput for another."""
    if name not in DESIGNS:
        raise unknown_name("design", name, DESIGNS)
    return name


def combined(singles: Sequence[Candidate], design: str) -> list[Candidate]:
    """The combinations that the design adds to `singles`, the baseline and one technique at a time.

    At most one technique for each place of a recipe stands in a combination: a family's, or beside the optimizer that
    of the clipping or the schedule. Raises InvalidInput for more than MOST_RECIPES recipes, and if the techniques are
    all for one place, which leaves nothing to combine.
    """
    if check_design(design) == ONE_AT_A_TIME:
        return []
    families: dict[str, list[Candidate]] = {}
    for single in singles[1:]:
        families.setdefault(single.techniques[0].place, []).append(single)
    if len(families) < 2:
        raise InvalidInput(
            f"the design {design} combines techniques of different families; all of these are of one. Name techniques "
            "of two families or more, or leave the design out."
        )
    most = 2 if design == PAIRS else len(families)
    groups = [g for size in range(2, most + 1) for g in itertools.combinations(families, size)]
    count = sum(math.prod(len(families[f]) for f in group) for group in groups)
    if len(singles) + count > MOST_RECIPES:
        raise InvalidInput(
            f"the design {design} has {len(singles) + count:,} recipes here, more than {MOST_RECIPES:,}; name fewer "
            f"techniques with --techniques or families with --vary{', or use pairs' if design == GRID else ''}."
        )
    found = []
    for group in groups:
        for chosen in itertools.product(*(families[f] for f in group)):
            recipe = singles[0].recipe
            for single in chosen:
                recipe = having(recipe, single.techniques[0])
            found.append(Candidate(tuple(single.techniques[0] for single in chosen), recipe))
    return found


def applicable_combinations(
    combinations: Sequence[Candidate], network: str | Factory, dataset: Dataset
) -> tuple[list[Candidate], list[str]]:
    """Those that can be put into the network, and notes on the others, the first few by name."""
    kept, notes = applicable(combinations, network, dataset)
    return kept, _few(notes, "more combinations were left out")


def combination_warnings(singles: Sequence[Candidate], combinations: Sequence[Candidate], batch_size: int) -> list[str]:
    """What works against itself in a combination though in none of its techniques alone."""
    alone = {c.techniques: set(contradictions(c.recipe, batch_size)) for c in singles}
    notes = []
    for candidate in combinations:
        known = set().union(alone[()], *(alone[(t,)] for t in candidate.techniques))
        own = [said for said in contradictions(candidate.recipe, batch_size) if said not in known]
        notes += [f"{candidate.name} work against each other: {said}." for said in own]
    return _few(notes, "more contradictions are in this design")


def _few(notes: list[str], more: str) -> list[str]:
    if len(notes) <= MOST_SAID:
        return notes
    return [*notes[:MOST_SAID], f"{len(notes) - MOST_SAID:,} {more}."]
