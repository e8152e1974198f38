"""The arms of remedies trained side by side, seed by seed on the same batches, and the loss each ends with."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.inspection.faults.trials import copied, own_luck, train
from trainsmith.inspection.passes.by_number import LossByNumber, mean_of, numbers_of
from trainsmith.inspection.passes.given import called, count, over, some
from trainsmith.inspection.passes.record import Loss, loss_value, untouched
from trainsmith.inspection.tried.arms import Arm, Patient
from trainsmith.luck import batches
from trainsmith.population import Population


def losses_of(arms: list[Arm], patient: Patient, steps: int, size: int) -> np.ndarray[Any, Any]:
    """The loss on all examples in evaluation mode after training (arms, seeds), infinite where it is not finite."""
    seeds, losses = patient.seeds, np.full((len(arms), patient.seeds), math.inf)
    for kind in dict.fromkeys(_kind(a) for a in arms):
        places = [i for i, a in enumerate(arms) if _kind(a) == kind]
        own = [arms[i] for i in places]
        found = _with_used(own[0], patient, steps, size) if own[0].used else _together(own, patient, steps, size)
        losses[places] = np.reshape(found, (len(own), seeds))
    return losses


def _kind(arm: Arm) -> tuple[str, str, bool]:
    """What arms that train as one population have in common."""
    return arm.rule, arm.clipping, arm.used is not None


def _together(arms: list[Arm], patient: Patient, steps: int, size: int) -> list[float]:
    """The losses of all seeds of the first arm, then of the next, trained as one population."""
    own, seeds = [n for arm in arms for n in arm.networks], patient.seeds
    numbers = {n: [arm.numbers[n] for arm in arms for _ in range(seeds)] for n in arms[0].numbers}
    x, y, loss = patient.x, patient.y, patient.loss
    simple = is_simple(patient.module, x, y, loss)
    if not simple:
        own = [LossByNumber(n, over(x, Tensor.cpu), None if y is None else y.cpu(), loss) for n in own]
    population = Population(
        own,
        optimizer=arms[0].rule,
        loss=loss if simple else mean_of,
        clipping=arms[0].clipping or None,
        seeds=[s for _ in arms for s in range(seeds)],
        **numbers,  # type: ignore[arg-type]
    )
    given = (x, y) if simple else (numbers_of(x), numbers_of(x))
    fit = population.fit(given[0], given[1], steps, size)  # type: ignore[arg-type]
    with torch.no_grad():
        if simple:
            values = [float(loss_value(outputs, y, loss)) for outputs in population.outputs(x)]
        else:
            values = [_evaluated(population.member(k).network.network, x, y, loss) for k in range(len(own))]  # type: ignore[union-attr, arg-type]
    return [v if k not in fit.ended and math.isfinite(v) else math.inf for k, v in enumerate(values)]


def is_simple(module: nn.Module, x: Any, y: Tensor | None, loss: Loss | None) -> bool:
    """Whether a network has one tensor of inputs and gives one of outputs, for a loss that a population knows.

    Classes and numbers have such a loss of their own, unless some examples have no class.
    """
    if not isinstance(x, Tensor) or y is None:
        return False
    with untouched(module), torch.no_grad():
        output = called(module.eval(), over(some(x, slice(2)), Tensor.clone))
    if not isinstance(output, Tensor):
        return False
    if loss is not None:
        return True
    if y.is_floating_point():
        return output.shape[1:] == y.shape[1:] or (output.shape[1:], y.shape[1:]) in (((1,), ()), ((), (1,)))
    return y.ndim == 1 and output.ndim == 2 and bool((y >= 0).all())


@torch.no_grad()
def _evaluated(network: nn.Module, x: Any, y: Tensor | None, loss: Loss | None) -> float:
    """The loss of all examples at once, as the network's own may not be a mean over examples."""
    given = over(x, lambda t: t.cpu().clone())
    return float(loss_value(called(network.eval(), given), None if y is None else y.cpu(), loss))


def _with_used(arm: Arm, patient: Patient, steps: int, size: int) -> list[float]:
    """The losses of all seeds, each trained by a copy of the user's own optimizer that goes on from its state."""
    assert arm.used is not None
    found, numbers = [], np.arange(count(patient.x))
    for seed in range(patient.seeds):
        network, rule = copied(patient.module, arm.used)
        drawn = torch.from_numpy(batches(seed, numbers, size, steps))
        with own_luck(network):
            network.train()
            done = train(network, rule, patient.x, patient.y, patient.loss, size, steps, rows_of=drawn.__getitem__)
        value = _evaluated(network.cpu(), patient.x, patient.y, patient.loss) if math.isfinite(done.end) else math.inf
        found.append(value if math.isfinite(value) else math.inf)
    return found
