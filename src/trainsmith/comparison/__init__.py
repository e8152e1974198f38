"""Comparing techniques: plan, tuning, fresh seeds, statistics, study."""

from trainsmith.comparison.budget import Budget
from trainsmith.comparison.compare import Announce, compare
from trainsmith.comparison.designs import DESIGNS, ONE_AT_A_TIME, check_design
from trainsmith.comparison.limit import limit
from trainsmith.comparison.plan import default_baseline
from trainsmith.comparison.prepared import Prepared, prepare
from trainsmith.comparison.reading import read_study
from trainsmith.comparison.study import Row, Study

__all__ = [
    "DESIGNS",
    "ONE_AT_A_TIME",
    "Announce",
    "Budget",
    "Prepared",
    "Row",
    "Study",
    "check_design",
    "compare",
    "default_baseline",
    "limit",
    "prepare",
    "read_study",
]
