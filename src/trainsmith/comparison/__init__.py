"""Comparing techniques: plan, tuning, fresh seeds, statistics, study."""

from trainsmith.comparison.compare import Announce, compare
from trainsmith.comparison.plan import Budget, default_baseline
from trainsmith.comparison.prepared import Prepared, limit, prepare
from trainsmith.comparison.reading import read_study
from trainsmith.comparison.study import Row, Study

__all__ = [
    "Announce",
    "Budget",
    "Prepared",
    "Row",
    "Study",
    "compare",
    "default_baseline",
    "limit",
    "prepare",
    "read_study",
]
