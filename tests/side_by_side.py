"""Members trained as one program and each by the plain loop, on the same examples."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainsmith.population import Alone, Chunk, Learner

BATCH = 4


def side_by_side(
    learners: Callable[[], Sequence[Learner]], x: Tensor, y: Tensor, steps: int = 2
) -> tuple[Tensor, Tensor]:
    """Losses (steps, members) together and alone. learners: makes them anew. Raises Unbatchable as Chunk does."""
    chunk = Chunk(learners(), x, y)
    loops = [Alone(learner) for learner in learners()]
    count, losses = len(loops), []
    for step in range(1, steps + 1):
        rows = torch.arange(step, step + BATCH * count).remainder(len(x)).view(count, BATCH)
        alone = torch.cat([t.step(step, 1.0, x[r][None], y[r][None]) for t, r in zip(loops, rows, strict=True)])
        losses.append(torch.stack([chunk.step(step, 1.0, x[rows], y[rows]), alone]))
    together, alone = torch.stack(losses, 1)
    return together, alone
