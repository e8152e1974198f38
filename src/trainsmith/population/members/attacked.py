"""Accuracy under attack: reported where techniques train against an adversary, and what a study may be judged by."""

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import find
from trainsmith.luck import generator, key
from trainsmith.luck.widest import at_once
from trainsmith.network.host import seed_torch
from trainsmith.population.members.objective import Predicting
from trainsmith.regularization import pgd
from trainsmith.regularization.adversarial import Norm
from trainsmith.regularization.adversarial_training import InRange
from trainsmith.regularization.passes import Run
from trainsmith.rows import Examples, Rows, fit

STEPS = 20
EPS = find("pgd-training").defaults["eps"]
"""How far the attack moves an input number, as a share of its range."""
EXAMPLES = 500
"""Validation examples of a run that are attacked, at most; drawn by the seed, the same for all techniques."""
ON_THE_WAY = 100
"""The same at a check before the last one: the first of them."""


@dataclass(frozen=True)
class Attacked:
    """What came of examples: accuracy clean, accuracy under attack, mean cross-entropy under attack."""

    clean: float
    accuracy: float
    loss: float


def attack(
    network: nn.Module, x: Tensor, y: Tensor, trained_on: Examples, seed: int, eps: float = EPS, norm: Norm = "inf"
) -> Attacked:
    """Attack a trained classifier on examples x (n, ...), y (n,). An example counts if right clean and attacked.

    The attack is projected gradient descent (Madry et al. 2018) with a random start drawn by the seed: STEPS steps of
    2.5 eps / STEPS. eps is a share of the range of `trained_on`, the training inputs (of each column of a table); with
    norm "2" the root mean square of the move over an example's numbers. No more examples at once than are evaluated.
    """
    module = Predicting(network, frozenset()).eval()
    size = eps if norm == "inf" else eps * x[0].numel() ** 0.5
    within, each = fit(InRange(eps, norm), trained_on), at_once(module, x)
    before, after = [], []
    with torch.random.fork_rng(devices=[]):
        seed_torch(key(seed, "attack"))
        for u, targets in zip(x.split(each), y.split(each), strict=True):
            moved = within.moved(module, u, functools.partial(_worst, targets=targets, size=size, norm=norm))
            with torch.no_grad():
                before.append(module(u))
                after.append(module(moved))
    clean, outputs = torch.cat(before).argmax(-1) == y, torch.cat(after)
    right = clean & (outputs.argmax(-1) == y)
    loss = float(functional.cross_entropy(outputs, y))
    return Attacked(float(clean.double().mean()), float(right.double().mean()), loss)


def _worst(network: Run, x: Tensor, targets: Tensor, size: float, norm: Norm) -> Tensor:
    return pgd(network, x, targets, size, steps=STEPS, norm=norm)


def attacked_examples(seed: int, validation: np.ndarray, count: int = EXAMPLES) -> np.ndarray:
    """Which of a run's validation examples are attacked."""
    return generator(seed, "attacked").permutation(validation)[:count]


def attacked_at_checks(checks: int, validation: int) -> int:
    """How many examples a run's checks attack together, of so many validation examples."""
    return (checks - 1) * min(ON_THE_WAY, validation) + min(EXAMPLES, validation)


def scores_under_attack(trainer: Any, x: Tensor, y: Tensor, finals: Sequence[bool]) -> list[tuple[float, float]]:
    """(loss, accuracy) under attack of every member of a Trainer, with the weights it is scored by now.

    finals: whether the check may be the member's last.
    """
    found = []
    for k, (member, final) in enumerate(zip(trainer.members, finals, strict=True)):
        network = copy.deepcopy(member.objective.network)
        network.load_state_dict({name: t.cpu() for name, t in trainer.state(k).items()})
        chosen = attacked_examples(member.seed, member.validation, EXAMPLES if final else ON_THE_WAY)
        of = attack(network, x[chosen], y[chosen], Rows(x, member.train), member.seed)
        found.append((of.loss, of.accuracy))
    return found
