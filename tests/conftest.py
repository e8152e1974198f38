"""One thread a process: the tests themselves run in parallel. The shapes that the rooms state are checked."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start, too

import torch
from jaxtyping import install_import_hook

FAMILY_ROOMS = ["initialization", "normalization", "activation", "optimizer", "regularization"]

torch.set_num_threads(1)
install_import_hook([f"trainsmith.{room}" for room in FAMILY_ROOMS], "shape_check.check")
