"""One thread a test process: the tests themselves run in parallel."""

import torch

torch.set_num_threads(1)
