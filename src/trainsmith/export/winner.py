"""Export: the winning recipe as a training script, its network as source, its weights, and a README."""

import math
import statistics
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from trainsmith.catalogue import Run
from trainsmith.comparison import Study
from trainsmith.data import Dataset
from trainsmith.errors import InvalidInput
from trainsmith.export.check import Replay, replay
from trainsmith.export.data_source import write_data
from trainsmith.export.readable import readable
from trainsmith.export.scores import metric_of
from trainsmith.export.source import write_source
from trainsmith.export.template import filled
from trainsmith.export.training_source import OWN, Script, output_of
from trainsmith.network import Factory
from trainsmith.population import FIRST_LOSSES, Member, Training, make_member
from trainsmith.regularization import ActivityPenalty

REQUIREMENTS = "torch\nnumpy\nsafetensors\nscikit-learn\n"
AGREES = (
    "Yes: data, split, first weights and batches are drawn as the study drew them. When this was written, the first "
    "{steps} training losses of `train.py` agreed with the study's to {deviation:.1e} of their size. Rounding, which "
    "differs between machines, grows over a training: later losses agree less."
)
IN_LAW = (
    "In law: data, split, first weights and batches are drawn as the study drew them. The noise that this recipe draws "
    "in training is not: the study draws it from seed, step and place in the network, `train.py` from torch's "
    "generator, so that its losses differ from the study's as those of two seeds do. When this was written, the first "
    "{steps} training losses of `train.py`, given the study's noise, agreed with the study's to {deviation:.1e} of "
    "their size: the formulas are the same."
)


@dataclass(frozen=True)
class Export:
    """A run's export, ready to be written. files: the texts by their names. first: the weights it starts from."""

    files: dict[str, str]
    first: dict[str, Tensor]
    replay: Replay
    network: nn.Module


def make_export(run: Run, network: str | Factory, dataset: Dataset, training: Training) -> Export:
    """The source of a run, tried out: the script must start from the run's own first weights.

    Raises InvalidInput for a run that cannot be exported.
    """

    def fresh() -> Member:
        return make_member(run, network, dataset)

    member = fresh()
    output = output_of(member.objective.network, dataset.x[:2])
    source = write_source(member.objective.network, dataset.x[:2], costs=_costs(member))
    first = {name: t.detach().clone().contiguous() for name, t in source.network.state_dict().items()}
    from_model = ("activity_cost",) if _costs(member) else ()
    title = {"data": _quoted(dataset.name), "recipe": str(run.trial.recipe)}
    for stored in (False, True):
        script = Script(run, fresh(), training, dataset, output, stored)
        try:
            files = script.write(title, from_model)
        except InvalidInput:
            if stored:
                raise
            continue
        files["model.py"] = source.text
        found = replay(files, fresh(), dataset, first, training)
        if stored or found.starts_alike:
            break
    evaluate = filled(
        "evaluate.py.jinja",
        metric=metric_of(member),
        standardized=dataset.task in ("regression", "autoencoding"),
    )
    files["evaluate.py"] = readable(evaluate, OWN)
    return Export(files, first, found, source.network)


def export_winner(study: Study, network: str | Factory, dataset: Dataset, folder: Path, training: Training) -> Path:
    """Write train.py, model.py, data.py, evaluate.py, weights.safetensors, requirements.txt, README.md into `folder`.

    Where the recipe needs them there are techniques.py, with what torch lacks, and initial.safetensors, the first
    weights. The run is that of the fresh seed with the median validation score. Running evaluate.py, which needs no
    trainsmith, prints the score in the README. Raises InvalidInput, before anything is written, if the recipe or the
    network cannot be exported or no run of the winner finished.
    """
    best = study.best()
    finished = {seed: s for seed, s in zip(study.plan["seeds"], best.scores, strict=True) if seed in study.states}
    if not finished:
        raise InvalidInput("no run of the winning recipe finished: there are no weights to export.")
    middle = statistics.median_low(finished.values())
    seed = next(seed for seed, s in finished.items() if s == middle)
    run = Run(best.trial, seed)
    export = make_export(run, network, dataset, training)
    member = make_member(run, network, dataset)
    trained = member.objective.network
    trained.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in study.states[seed].items()})
    plain = write_source(trained, dataset.x[:2]).network
    x, y = dataset.test.open()
    with torch.no_grad():
        score = member.rules.score(_predicted(plain.eval(), x), member.targets(y))[1]
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in export.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    save_file({k: v.contiguous() for k, v in plain.state_dict().items()}, folder / "weights.safetensors")
    if not export.replay.draws_weights:
        save_file(export.first, folder / "initial.safetensors")
    where = write_data(dataset, folder)
    pandas = "pandas\n" if "import pandas" in (folder / "data.py").read_text(encoding="utf-8") else ""
    (folder / "requirements.txt").write_text(REQUIREMENTS + pandas)
    (folder / "README.md").write_text(_readme(study, export, member, score, where), encoding="utf-8")
    return folder


def _readme(study: Study, export: Export, member: Member, score: float, where: str) -> str:
    best, test, seeds = study.best(), study.test.score, len(study.plan["seeds"])
    one = (test.high - test.low) / 2 * math.sqrt(seeds + 1)
    found = export.replay
    same = (IN_LAW if found.noisy else AGREES).format(steps=FIRST_LOSSES, deviation=found.deviation)
    same = "\n".join(textwrap.wrap(same, 110, break_long_words=False))
    return filled(
        "README.md.jinja", data=study.data, recipe=best.recipe, network=study.network, values=list(best.values.items()),
        metric=metric_of(member), score=score, where=where, techniques="techniques.py" in export.files,
        stored=not found.draws_weights, start=best.recipe.initialization, seeds=seeds, mean=test.mean, low=test.low,
        high=test.high, one_low=test.mean - one, one_high=min(1.0, test.mean + one), same=same,
    )  # fmt: skip


def _costs(member: Member) -> bool:
    """Whether the network has layers whose activations cost."""
    return any(isinstance(m, ActivityPenalty) for m in member.objective.network.modules())


def _predicted(network: nn.Module, x: Tensor) -> Tensor:
    from trainsmith.population.objective import predictions

    return predictions(network(x))


def _quoted(text: str) -> str:
    """A name that can stand inside a docstring."""
    return "".join(c if c.isprintable() and c not in '\\"' else "_" for c in text)
