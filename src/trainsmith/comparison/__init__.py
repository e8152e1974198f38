"""Comparing techniques: plan, tuning, fresh seeds, statistics, study."""

from trainsmith.comparison.compare import Announce, compare
from trainsmith.comparison.plan import Budget, default_baseline
from trainsmith.comparison.reading import read_study
from trainsmith.comparison.study import Row, Study

__all__ = ["Announce", "Budget", "Row", "Study", "compare", "default_baseline", "read_study"]
