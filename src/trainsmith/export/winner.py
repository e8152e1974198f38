"""Export: the winning recipe as a training script, its network as source, its weights, and a README."""

import ast
import math
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from trainsmith.catalogue import Run
from trainsmith.comparison import Study
from trainsmith.comparison.measured import Estimate
from trainsmith.comparison.tested import median_seed
from trainsmith.data import Dataset
from trainsmith.data.mapped import map_of
from trainsmith.errors import InvalidInput
from trainsmith.export.check import Replay, replay
from trainsmith.export.data_source import write_data
from trainsmith.export.own_network import recorder
from trainsmith.export.readable import readable
from trainsmith.export.scores import metric_of
from trainsmith.export.template import filled
from trainsmith.export.training_source import OWN, Script, output_of
from trainsmith.network import Factory
from trainsmith.population import FIRST_LOSSES, Member, Training, make_member, trained_member
from trainsmith.population.members.held_back import afterwards
from trainsmith.population.members.objective import outputs_by_pieces
from trainsmith.population.members.task import ByRobustAccuracy
from trainsmith.regularization import ActivityPenalty

INSTALLED_AS = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml"}
"""Packages whose name at installation is not that of the import."""
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

DIFFERS = (
    "It was not shown: when this was written, the first {steps} training losses of `train.py` differed from the "
    "study's by up to {deviation:.1e} of their size, although data, split and first weights are the same. A network "
    "that draws noise in its own way, or keeps something from one step to the next, is the usual reason."
)
ALIKE = 1e-4
"""Losses that lie nearer to one another, relative to their size, differ by rounding."""


@dataclass(frozen=True)
class Export:
    """A run's export, ready to be written.

    files: the texts by their names. first: the weights it starts from. about: where the network's source comes from.
    again: the weights that a second training starts from, where there is one and the script cannot draw them.
    """

    files: dict[str, str]
    first: dict[str, Tensor]
    replay: Replay
    about: str
    again: dict[str, Tensor] = field(default_factory=dict)


def make_export(run: Run, network: str | Factory, dataset: Dataset, training: Training) -> Export:
    """The source of a run, tried out: the script must start from the run's own first weights.

    Raises InvalidInput for a run that cannot be exported.
    """

    factory = recorder(network)

    def fresh() -> Member:
        return make_member(run, factory, dataset)

    member = fresh()
    some = dataset.x[:2].clone()
    output = output_of(member.objective.network, some)
    source = factory.source(member.objective.network, some, dataset, _costs(member))
    first = _weights(source.network)
    from_model = ("activity_cost",) if _costs(member) else ()
    title = {"data": _quoted(dataset.name), "recipe": str(run.trial.recipe)}
    for stored in (False, True) if map_of(dataset.x) is None else (True,):  # the script would fit to all at once
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
    again = {}
    if not found.draws_weights and afterwards(member.stopping) == "anew":
        second = make_member(run, factory, dataset, again=True).objective.network
        again = _weights(factory.source(second, some, dataset, _costs(member)).network)
    return Export(files, first, found, source.about, again)


def _weights(network: nn.Module) -> dict[str, Tensor]:
    """Its tensors by name, ready to be written."""
    return {name: t.detach().clone().contiguous() for name, t in network.state_dict().items()}


def export_winner(study: Study, network: str | Factory, dataset: Dataset, folder: Path, training: Training) -> Path:
    """Write train.py, model.py, data.py, evaluate.py, weights.safetensors, requirements.txt, README.md into `folder`.

    Where the recipe needs them there are techniques.py, with what torch lacks, and initial.safetensors, the first
    weights, and initial_again.safetensors, those of a second training after early stopping. The run is that of the
    fresh seed with the median validation score. Running evaluate.py, which needs no trainsmith, prints the score in the
    README. Raises InvalidInput, before anything is written, if the recipe or the network cannot be exported or no run
    of the winner finished.
    """
    best = study.best()
    finished = {seed: s for seed, s in zip(study.plan["seeds"], best.scores, strict=True) if seed in study.states}
    if not finished:
        raise InvalidInput("no run of the winning recipe finished: there are no weights to export.")
    seed = median_seed(finished)
    run = Run(best.trial, seed)
    export = make_export(run, network, dataset, training)
    factory = recorder(network)
    member = trained_member(run, factory, dataset, study.states[seed])
    plain = factory.source(member.objective.network, dataset.x[:2].clone(), dataset, costs=False).network
    x, y = dataset.test.open()
    score = member.rules.score(outputs_by_pieces(plain, x), member.targets(y))[1]
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in export.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    save_file(_weights(plain), folder / "weights.safetensors")
    if not export.replay.draws_weights:
        save_file(export.first, folder / "initial.safetensors")
    if export.again:
        save_file(export.again, folder / "initial_again.safetensors")
    where = write_data(dataset, folder)
    needed = _requirements([*export.files.values(), (folder / "data.py").read_text(encoding="utf-8")])
    (folder / "requirements.txt").write_text("".join(f"{package}\n" for package in needed))
    (folder / "README.md").write_text(_readme(study, export, member, score, where), encoding="utf-8")
    return folder


def _readme(study: Study, export: Export, member: Member, score: float, where: str) -> str:
    best, test, seeds = study.best(), study.test.score, len(study.plan["seeds"])
    most = 0.0 if study.lower_is_better else 1.0
    one_low, one_high = one_more(test, seeds)
    found = export.replay
    words = (IN_LAW if found.noisy else AGREES) if found.deviation < ALIKE else DIFFERS
    same = words.format(steps=FIRST_LOSSES, deviation=found.deviation)
    same = "\n".join(textwrap.wrap(same, 110, break_long_words=False))
    return filled(
        "README.md.jinja", data=study.data, recipe=best.recipe, network=study.network, values=list(best.values.items()),
        metric=metric_of(member), judged=_judged(study, member), score=score, about=export.about, where=where,
        techniques="techniques.py" in export.files,
        stored=not found.draws_weights, again=bool(export.again),
        start=best.recipe.initialization, seeds=seeds, mean=test.mean, low=test.low,
        high=min(most, test.high), one_low=one_low, one_high=min(most, one_high), same=same,
    )  # fmt: skip


def one_more(mean: Estimate, seeds: int) -> tuple[float, float]:
    """Where one more score lies with 95 %, by the t interval of the mean of so many: mean ± t · sd · sqrt(1 + 1/n)."""
    half = (mean.high - mean.low) / 2 * math.sqrt(seeds + 1)
    return mean.mean - half, mean.mean + half


def _judged(study: Study, member: Member) -> str:
    """What the study was judged by, with the attack if there was one."""
    if not isinstance(member.rules, ByRobustAccuracy):
        return metric_of(member)
    return f"accuracy under attack ({study.robust[0].attack})"


def _requirements(sources: list[str]) -> list[str]:
    """The packages that some source imports, besides Python's own and one another, as they are installed."""
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - set(OWN)
    return sorted({"torch"} | {INSTALLED_AS.get(p, p) for p in packages}, key=lambda p: (p != "torch", p))


def _costs(member: Member) -> bool:
    """Whether the network has layers whose activations cost."""
    return any(isinstance(m, ActivityPenalty) for m in member.objective.network.modules())


def _quoted(text: str) -> str:
    """A name that can stand inside a docstring."""
    return "".join(c if c.isprintable() and c not in '\\"' else "_" for c in text)
