"""Why runs of a study diverged: some are trained once more, alone, with every step measured."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

from trainsmith.catalogue import Run
from trainsmith.comparison.measured import Explained
from trainsmith.comparison.plan import FIRST_FRESH_SEED
from trainsmith.comparison.trainings import Trainings
from trainsmith.data import Dataset
from trainsmith.inspection import Finding, ranked
from trainsmith.inspection.watching.log import AT_ONCE, CLOSELY
from trainsmith.inspection.watching.measurement import findings_of
from trainsmith.inspection.watching.watch import Watch
from trainsmith.network import Factory
from trainsmith.population import Result, Training, make_member
from trainsmith.population.training.alone import Alone
from trainsmith.population.training.verify import course

MOST = 4
"""So many runs of a study are explained, each of another recipe."""
SHARE, FEWEST_STEPS = 0.01, 200
"""Their steps come to this share of the study's member-steps at most, or to so many where that is less."""
MOST_FINDINGS = 3


def explained(trainer: Trainings) -> tuple[Explained, ...]:
    """Why runs of these trainings diverged: of each recipe one, on a fresh seed if there is one, else that at the
    lowest learning rate."""
    left = max(FEWEST_STEPS, SHARE * trainer.member_steps)
    found: list[Explained] = []
    for run, result, training in sorted(trainer.diverged, key=lambda d: (d[0].seed < FIRST_FRESH_SEED, _rate(d[0]))):
        if len(found) < MOST and result.step <= left and all(run.trial.recipe != e.recipe for e in found):
            left -= result.step
            found.append(_explained(run, result, training, trainer))
    return tuple(found)


def _explained(run: Run, result: Result, training: Training, trainer: Trainings) -> Explained:
    try:
        return explain(run, result, training, trainer.network, trainer.dataset)
    except Exception as reason:  # a network may resist in any way; the study is made all the same
        said = str(reason).strip() or type(reason).__name__
        words = f"{_name(run)}: it could not be looked at: {said.splitlines()[0]}"
        return Explained(run.trial.recipe, run.trial.values, run.seed, result.step - 1, (), words)


def _rate(run: Run) -> float:
    return min((value for name, value in run.trial.values.items() if name.endswith(".lr")), default=math.nan)


def explain(run: Run, result: Result, training: Training, network: str | Factory, dataset: Dataset) -> Explained:
    """Train a run that diverged again, up to its first loss that is not finite, and say what its steps showed.

    Together = alone: these are the steps that it took in its population.
    """
    member, losses = make_member(run, network, dataset), list[float]()
    alone = Alone(member)
    with Watch(alone.module.network, alone.optimizer, every=1, warn=False) as watch:
        batches = course(member, dataset.inputs, dataset.y, training, losses, result.step)
        for step, (rate, x, y) in enumerate(batches, 1):
            losses.append(alone.step(step, rate, x[None], y[None]).item())
            if not math.isfinite(losses[-1]):
                break
    last = [(m.step, f) for m in watch.measurements[-2:] for f in findings_of(m) if f.short not in CLOSELY]
    late = [dataclasses.replace(f, step=step) for step, f in last]  # too late to be seen twice
    findings = _first([*watch.findings, *late])
    words = f"{_name(run)}: {_end(losses)}. {_seen(findings)}"
    return Explained(run.trial.recipe, run.trial.values, run.seed, len(losses) - 1, findings, words)


def _first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The first finding of each kind: the earliest steps', and of one step causes before what follows from them."""
    causes = [found for found, _ in ranked(sorted(findings, key=lambda f: f.step or 0))]
    return tuple(sorted(causes, key=lambda f: (f.step or 0, f.short in AT_ONCE))[:MOST_FINDINGS])


def _name(run: Run) -> str:
    techniques = " + ".join(t.name for t in run.trial.recipe.techniques() if t.name != "none")
    return f"{techniques}, lr {_rate(run):.3g}, seed {run.seed}"


def _end(losses: Sequence[float]) -> str:
    """What became of the loss, in words."""
    at = len(losses) - 1
    if math.isfinite(losses[-1]):
        return f"the training loss is {losses[-1]:.3g} at step {at}, but the validation loss is not finite"
    before = f" ({losses[at - 1]:.3g} a step before)" if at else ""
    return f"the loss is {losses[-1]} at step {at}{before}"


def _seen(findings: Sequence[Finding]) -> str:
    """What was found, with its steps, in words."""
    if not findings:
        return "Nothing else stands out at any step."
    return " ".join(f"Step {f.step}: {f.words}" for f in findings)
