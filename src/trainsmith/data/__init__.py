"""Data: from a name, a file or arrays to a Dataset with a locked test part, and a split for every seed."""

from trainsmith.data.arrays import from_arrays
from trainsmith.data.class_weights import ClassWeights, with_class_weights
from trainsmith.data.dataset import Dataset, LockedTest, Task
from trainsmith.data.few import labelled, with_labels
from trainsmith.data.given import as_dataset
from trainsmith.data.load import load
from trainsmith.data.named import NAMES
from trainsmith.data.split import split
from trainsmith.data.text import from_text

__all__ = [
    "NAMES",
    "ClassWeights",
    "Dataset",
    "LockedTest",
    "Task",
    "as_dataset",
    "from_arrays",
    "from_text",
    "labelled",
    "load",
    "split",
    "with_class_weights",
    "with_labels",
]
