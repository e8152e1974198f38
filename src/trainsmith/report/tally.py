"""What a whole study came to: who got which verdict, and what diverged."""

import math
from dataclasses import dataclass

from trainsmith.comparison import Row, Study

MARKS = {"better": "▲", "worse": "▼", "no difference worth having": "=", "cannot tell yet": "?"}
"""Stand before the verdict's words, for those to whom colours say nothing."""
MOST_NAMED = 24


@dataclass(frozen=True)
class Group:
    """The techniques with one verdict, furthest ahead first. further: how many are not named."""

    verdict: str
    rows: tuple[Row, ...]
    further: int


def mark(verdict: str) -> str:
    """The sign of a verdict."""
    return MARKS.get(verdict, "")


def groups(study: Study) -> list[Group]:
    """All techniques compared with the baseline by their verdict: better, worse, no difference, cannot tell."""
    found: dict[str, list[Row]] = {verdict: [] for verdict in MARKS}
    for row in study.rows:
        if row.difference is not None:
            found.setdefault(row.verdict, []).append(row)
    return [
        Group(verdict, tuple(sorted(rows, key=_ahead)[:MOST_NAMED]), max(0, len(rows) - MOST_NAMED))
        for verdict, rows in found.items()
        if rows
    ]


def _ahead(row: Row) -> float:
    mean = row.difference.mean if row.difference is not None else math.nan
    return math.inf if math.isnan(mean) else -mean


@dataclass(frozen=True)
class Diverged:
    """A technique of whose trainings some diverged. rates: the learning rates at which trials did."""

    row: Row
    fresh: int
    trials: int
    rates: tuple[float, ...]

    @property
    def where(self) -> str:
        """In words, at which learning rates."""
        if not self.rates:
            return ""
        low, high = min(self.rates), max(self.rates)
        return f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"


def diverged(study: Study) -> list[Diverged]:
    """Every technique that diverged in a tuning trial or on a fresh seed; the baseline once."""
    found, baseline_seen = [], False
    for row in study.rows:
        if row.is_baseline and baseline_seen:
            continue
        baseline_seen |= row.is_baseline
        broken = [a for a in row.attempts if math.isnan(a.score)]
        rates = tuple(v for a in broken for name, v in a.values.items() if name.endswith(".lr"))
        if broken or row.diverged:
            found.append(Diverged(row, row.diverged, len(broken), rates))
    return found
