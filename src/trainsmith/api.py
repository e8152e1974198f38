"""The door for Python users: compare, returning an object that draws itself. For inspect see doctor.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group

from trainsmith.catalogue import Recipe, Technique
from trainsmith.comparison import Announce, Prepared, Row, Study, prepare
from trainsmith.comparison import compare as run_comparison
from trainsmith.data import ClassWeights, Dataset
from trainsmith.errors import PAGE, InvalidInput, arguments_named, named, whole
from trainsmith.export import export_winner
from trainsmith.export.stored import NOT_EXPORTED, WINNER, check_free
from trainsmith.network import Factory
from trainsmith.population import Training
from trainsmith.question import Question
from trainsmith.report import family_tables, report_html, summary, write_report
from trainsmith.report.frames import curve_frame, technique_frame
from trainsmith.report.html import STUDY_FILE
from trainsmith.report.notebook import framed
from trainsmith.report.terminal import Printable
from trainsmith.store import Store, data_of, named_as_begun, opened, where_it_began

if TYPE_CHECKING:
    import pandas as pd


class Comparison:
    """A finished study, and what one does with it."""

    def __init__(self, study: Study, network: str | Factory, dataset: Dataset, training: Training) -> None:
        self.study = study
        self._network, self._dataset, self._training = network, dataset, training

    def table(self) -> Printable:
        """The answer, and one table per family; print it."""
        return Printable(Group(summary(self.study), *family_tables(self.study)))

    def best(self) -> Row:
        """The winning recipe: `.recipe`, its tuned `.values`, its scores."""
        return self.study.best()

    def report(self, path: str | Path) -> Path:
        """Write the report as one HTML file that opens offline; returns its path. Raises InvalidInput for another."""
        return write_report(self.study, named(path, "a report is a page", *PAGE))

    def export(self, folder: str | Path) -> Path:
        """Write the winner as a training script, its network as source and its weights; returns the folder.

        Raises InvalidInput for a folder that holds anything.
        """
        check_free(Path(folder))
        return self._exported(Path(folder))

    def _exported(self, folder: Path) -> Path:
        return export_winner(self.study, self._network, self._dataset, folder, self._training)

    def save(self, folder: str | Path) -> Path:
        """Write study.json, report.html and the exported winner into `folder`; returns the report's path.

        A network that cannot be written as source is left out; the study says so in its notes.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._exported(folder / WINNER)
        except InvalidInput as reason:
            self.study = replace(self.study, notes=(*self.study.notes, f"{NOT_EXPORTED}{reason}"))
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "study.json").write_text(text, encoding="utf-8")
        return self.report(folder / "report.html")

    def frame(self) -> pd.DataFrame:
        """A pandas data frame with a row for each technique of each family; see report/frames.py."""
        return technique_frame(self.study)

    def curves(self) -> pd.DataFrame:
        """A pandas data frame with a row for each check of each technique: the mean score and its interval."""
        return curve_frame(self.study)

    def to_dict(self) -> dict[str, Any]:
        """Everything the report shows, as values that JSON knows."""
        return self.study.to_dict()

    def __repr__(self) -> str:
        best = self.best()
        return f"<Comparison of {len(self.study.rows)} rows on {self.study.data}: best {best.recipe}>"

    def _repr_html_(self) -> str:
        return framed(report_html(self.study))


ASKED = tuple(field.name for field in fields(Question))


@arguments_named()
def compare(
    network: str | Factory,
    data: Any,
    *,
    baseline: Recipe | Mapping[str, str] | None = Question.baseline,
    vary: Sequence[str] | None = Question.vary,
    techniques: Sequence[str | Technique] | None = Question.techniques,
    trials: int = Question.trials,
    seeds: int = Question.seeds,
    steps: int = Question.steps,
    batch_size: int = Question.batch_size,
    schedule: str = Question.schedule,
    budget: str | None = Question.budget,
    design: str = Question.design,
    metric: str | None = Question.metric,
    fast: bool = Question.fast,
    labels: int | None = Question.labels,
    class_weights: ClassWeights | None = Question.class_weights,
    processes: int | None = None,
    announce: Announce | None = None,
    folder: str | Path | None = None,
) -> Comparison:
    """Compare training techniques on a network and data, fairly tuned, and say which is better.

    network: a name ("mlp"), "package.module:factory", "file.py:factory", or a function that makes a fresh nn.Module,
    called with (input_shape, outputs) if it takes two arguments; one with an argument `activation`, `normalization` or
    `regularization` gets there what makes the technique's layer. data: a name such as "digits", a path to a file or
    folder, a pair (x, y) of arrays, a torch Dataset, a Hugging Face dataset, or {"train": ..., "test": ...} of
    such, perhaps with inputs without targets under "unlabelled". baseline: the recipe varied, one family at a time, or
    names for some of its places, such as {"optimizer": "sgd", "schedule": "one-cycle", "regularization": "dropout+l2"};
    by default He, Adam and what the network has of normalization and activation. vary: the families to vary (default
    all). techniques: only these. trials: tuning trials for each technique. seeds: fresh seeds for what is reported.
    budget: what the study may take, such as "2min" or "300runs", in place of trials and seeds, and of steps where
    fewer fit. design: "one-at-a-time", "pairs" (also every two techniques of different families together) or "grid"
    (every choice of one from each family); both of the latter give main effects and interactions. metric: what is
    judged, "log loss", "calibration error" or "balanced accuracy" in place of accuracy. schedule: the learning rate's
    course in every run, a name of trainsmith.optimizer.SCHEDULES.
    fast: tune by short trainings first and train only the best techniques on fresh seeds, at about a third of the cost;
    the others get no verdict (see docs/protocol.md). processes: to train in, by default one a core where that pays.
    announce: is told how far it is; `with trainsmith.progress.Bar() as bar:` makes one that draws a bar.
    labels: how many examples of each run's training part keep their label, the same for all techniques; default all.
    class_weights: what an example of each class counts in the loss: "balanced", or numbers by the classes' names.
    folder: where finished runs are kept as they come, and report and winner in the end; the same call goes on
    with a study that was interrupted.
    Raises InvalidInput for anything that cannot be used.
    """
    given = locals()
    question = Question(**{name: given[name] for name in ASKED})
    return answer(network, data, question, processes, announce, None if folder is None else Path(folder))


def answer(
    network: str | Factory,
    data: Any,
    question: Question,
    processes: int | None,
    announce: Announce | None,
    folder: Path | None,
    file: str = "",
) -> Comparison:
    """What compare gives for a question. file: the text of a study.toml that asks it, which is left in the folder."""
    dataset = question.dataset(data)
    processes = None if processes is None else whole("processes", processes)
    asked = question.understood(network, dataset)

    def run(store: Store | None) -> Comparison:
        with named_as_begun(store, network) as (kept, named):
            study = run_comparison(named, dataset, **asked, processes=processes, announce=announce, store=kept)
        return Comparison(study, network, dataset, asked["training"])

    if folder is None:
        return run(None)
    with opened(folder, question.record(network, dataset), dataset) as store:
        if file:
            (folder / STUDY_FILE).write_text(file, encoding="utf-8")
        comparison = run(store)
        comparison.save(folder)
        store.note("result", comparison.to_dict())
    return comparison


@arguments_named(*ASKED)
def plan(network: str | Factory, data: Any, *, processes: int | None = None, **asked: Any) -> Prepared:
    """What `compare` with these arguments would train and about how long it would take; nothing is trained."""
    question = Question(**asked)
    dataset = question.dataset(data)
    processes = None if processes is None else whole("processes", processes)
    return prepare(network, dataset, **question.understood(network, dataset), processes=processes)


def resume(folder: str | Path, announce: Announce | None = None) -> Comparison:
    """Go on with the study in `folder`, whose data and question are there. Raises InvalidInput if it cannot."""
    folder = Path(folder).absolute()
    asked = Store(folder).about("question", dict)
    try:
        network, question = asked["network"], Question.of(asked)
        with where_it_began(Store(folder).about("begun in"), network):
            return answer(network, data_of(folder), question, None, announce, folder)
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"the question of the study in '{folder}' is damaged: {error}.") from error
