"""Whether a network can learn a few examples by heart, which every sound one can."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.inspection.faults.fault import Finding, finding
from trainsmith.inspection.faults.held_back import rows_of
from trainsmith.inspection.faults.trials import own_luck, train
from trainsmith.inspection.passes.copying import copy_of
from trainsmith.inspection.passes.given import labelled, over, some
from trainsmith.inspection.passes.prepared import with_dense_gradients, without_dropout
from trainsmith.inspection.passes.record import Loss

FEW = 20
"""Examples to learn by heart (CS231n: "overfit a tiny subset of data ... with about 20 examples")."""
RATES, STEPS = (3e-3, 1e-2, 3e-4), 150
"""Adam's learning rates, tried in turn while none learns, and the steps of each."""
LEFT = 0.3
"""Share of the loss of the best constant answer that may be left."""

HALF = (torch.float16, torch.bfloat16)
MOST_NUMBERS = 16
"""Examples with more numbers to predict, or more than one class, such as texts, take longer to learn by heart."""


def of_one_batch(module: nn.Module, x: Any, y: Tensor | None, loss: Loss | None) -> Iterator[Finding]:
    """A few examples, trained on with Adam and without dropout: what is left of the loss that a constant has.

    A network in half precision is trained in single: Adam's eps is 0 in half, and small steps are lost.

    Examples that differ in their targets alone are left out, and those without a class. Needs targets, and a network
    with something to train.
    """
    if y is None or not any(p.requires_grad for p in module.parameters()):
        return
    if y[0].numel() > (MOST_NUMBERS if y.is_floating_point() else 1):
        return
    x, y = labelled(x, y)
    rows = _distinct(x) if len(y) >= FEW else []
    if len(rows) < FEW:
        return
    few, targets = over(some(x, rows), _single), _single(y[rows])
    best, start = math.inf, math.nan
    for rate in RATES:
        network = without_dropout(copy_of(module, module).train())
        network = with_dense_gradients(network)
        if any(p.dtype in HALF for p in network.parameters()):
            network = network.float()
        rule = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], rate)
        with own_luck(module):
            done = train(network, rule, few, targets, loss, FEW, STEPS, LEFT, f"{FEW} examples by heart")
        if not math.isfinite(done.losses[0]) or done.losses[0] <= 0:
            return
        start, best = done.losses[0], min(best, *(v for v in done.losses if math.isfinite(v)))
        if best <= LEFT * start:
            return
    words = (
        f"the network cannot learn {FEW} examples by heart: in {STEPS} steps of Adam, at the best of the rates "
        f"{', '.join(f'{r:g}' for r in RATES)}, their loss goes from {start:.3g} to {best:.3g}, and more than "
        f"{LEFT:.0%} of it is left; a sound network comes close to 0."
    )
    yield finding("cannot learn one batch", "network", "share of the loss left", best / start, LEFT, words)


def _single(t: Tensor) -> Tensor:
    return t.float() if t.dtype in HALF else t


def _distinct(x: Any) -> list[int]:
    """The first rows whose inputs differ from all before."""
    seen: set[bytes] = set()
    kept = []
    for i, row in enumerate(rows_of(x)):
        if row not in seen:
            seen.add(row)
            kept.append(i)
        if len(kept) == FEW:
            break
    return kept
