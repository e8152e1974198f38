"""A study as pandas data frames: a row a technique, and its curve a row a check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainsmith.comparison import Study

if TYPE_CHECKING:
    import pandas as pd


def technique_frame(study: Study) -> pd.DataFrame:
    """One row for each technique of each family, the best first, the baseline among them.

    Scores and differences are as in Row: more is better, of costs they are the negative. Each tuned hyper-parameter has
    a column by its full name, empty where a technique has none.
    """
    import pandas as pd

    rows = []
    for row in study.rows:
        low, high = (row.difference.low, row.difference.high) if row.difference else (None, None)
        rows.append({
            "family": row.family, "technique": row.technique, "baseline": row.is_baseline, "recipe": str(row.recipe),
            "score": row.score.mean, "score_low": row.score.low, "score_high": row.score.high,
            "difference": row.difference.mean if row.difference else None, "difference_low": low,
            "difference_high": high, "p": row.p, "p_study": row.p_study, "verdict": row.verdict, "words": row.words,
            "seeds": len(row.scores), "diverged": row.diverged, "correlation": row.correlation,
            "steps_to_baseline": row.pace.steps if row.pace else None, **row.values,
        })  # fmt: skip
    return pd.DataFrame(rows)


def curve_frame(study: Study) -> pd.DataFrame:
    """One row for each check of each technique: step, mean validation score over the seeds, its 95 % interval."""
    import pandas as pd

    rows = [
        {"family": row.family, "technique": row.technique, "step": step, "score": mean, "low": low, "high": high}
        for row in study.rows
        for step, mean, low, high in zip(row.curve.steps, row.curve.mean, row.curve.low, row.curve.high, strict=True)
    ]
    return pd.DataFrame(rows, columns=["family", "technique", "step", "score", "low", "high"])
