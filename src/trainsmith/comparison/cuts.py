"""What a fast study does not train on fresh seeds, and how it says so."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.rows import best_first
from trainsmith.comparison.study import Cut
from trainsmith.comparison.tuning import Tuned


def cuts(candidates: Sequence[Candidate], tuned: Sequence[Tuned], kept: Sequence[int]) -> tuple[Cut, ...]:
    """Those that are not kept, best first, with how far they were behind the last that was, the baseline aside."""
    last = [t.last for t in tuned]
    behind = best_first(last, [i for i in range(len(tuned)) if i not in kept])
    others = best_first(last, [i for i in kept if i])
    if not behind or not others:
        return ()
    least = _score(tuned[others[-1]])
    return tuple(_cut(candidates[i], tuned[i], least) for i in behind)


def _score(tuned: Tuned) -> float:
    return float(np.mean([r.score for r in tuned.last]))


def _cut(candidate: Candidate, tuned: Tuned, least: float) -> Cut:
    score = _score(tuned)
    return Cut(
        family=candidate.family or "",
        technique=candidate.name,
        recipe=candidate.recipe,
        values={name: tuned.trial.values[name] for name, _ in candidate.tuned()},
        score=score,
        behind=least - score,
        seeds=len(tuned.last),
        attempts=tuned.attempts,
    )


def cut_notes(left_out: Sequence[Cut], recipes: int, metric: str) -> list[str]:
    """What was cut, in one sentence, and where; of accuracies in percentage points."""
    if not left_out:
        return []
    named = ", ".join(f"{c.technique} ({'diverged' if math.isnan(c.score) else _far(c, metric)})" for c in left_out)
    return [
        f"fast: after tuning, {len(left_out)} of {recipes - 1} techniques were cut, by the mean validation score of "
        f"{left_out[0].seeds} tuning seeds at the whole length, and have no verdict; how far behind the last one that "
        f"was not cut: {named}."
    ]


def _far(cut: Cut, metric: str) -> str:
    return f"{100 * cut.behind:.1f} points" if metric == "accuracy" else f"{cut.behind:.3f}"
