"""How signal and gradient pass through a network: statistics, mean-field predictions, findings."""

from trainsmith.inspection.course import Course
from trainsmith.inspection.depth import Cell, DepthExperiment, DepthLayer, depth_experiment
from trainsmith.inspection.faults.fault import FAULTS, Fault, Finding, ranked
from trainsmith.inspection.inspect import Inspection, inspect
from trainsmith.inspection.statistics.histogram import Histogram
from trainsmith.inspection.statistics.layers import LayerStatistics

__all__ = [
    "FAULTS",
    "Cell",
    "Course",
    "DepthExperiment",
    "DepthLayer",
    "Fault",
    "Finding",
    "Histogram",
    "Inspection",
    "LayerStatistics",
    "depth_experiment",
    "inspect",
    "ranked",
]
