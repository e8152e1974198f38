"""Members trained as one program and each by the plain loop, on the same examples."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainsmith.population import Alone, Chunk, Learner

BATCH = 4


def side_by_side(
    learners: Callable[[], Sequence[Learner]], x: Tensor, y: Tensor, steps: int = 2
) -> tuple[Tensor, Tensor]:
    """Losses (steps, members) together and alone. learners: makes them anew. Raises Unbatchable as Chunk does.

    Those that learn from unlabelled examples get such behind the others.
    """
    chunk = Chunk(learners(), x, y)
    loops = [Alone(learner) for learner in learners()]
    count, losses = len(loops), []
    batch = BATCH * (1 + chunk.members[0].objective.unlabelled)
    for step in range(1, steps + 1):
        rows = torch.arange(step, step + batch * count).remainder(len(x)).view(count, batch)
        batches = [(x[r][None], y[r[:BATCH]][None]) for r in rows]
        alone = torch.cat([t.step(step, 1.0, *b) for t, b in zip(loops, batches, strict=True)])
        losses.append(torch.stack([chunk.step(step, 1.0, x[rows], y[rows[:, :BATCH]]), alone]))
    together, alone = torch.stack(losses, 1)
    return together, alone
