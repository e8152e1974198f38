"""trainsmith compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainsmith.cli.door import main
from trainsmith.cli.options import data_options, json_option, names, nothing_beside, pairs, reading
from trainsmith.cli.studies import STUDIES
from trainsmith.errors import InvalidInput

if TYPE_CHECKING:
    from trainsmith.studies import Asked

DESIGNS = ["one-at-a-time", "pairs", "grid"]


@main.command()
@click.argument("data", required=False)
@click.option("--network", help="A name, package.module:factory or file.py:factory [default: mlp; gpt for a text].")
@click.option("--vary", help="Families to vary, separated by commas [default: all].")
@click.option(
    "--techniques",
    "names",
    help="Only these techniques, separated by commas; file.py:name is an augmentation of your own.",
)
@click.option("--baseline", help="What is varied around, such as optimizer=sgd,schedule=one-cycle.")
@click.option("--trials", type=int, help="Tuning trials of each technique.")
@click.option("--seeds", type=int, help="Fresh seeds for what is reported.")
@click.option("--steps", type=int, help="Optimizer steps of each run.")
@click.option("--batch-size", type=int, help="Examples a step.")
@click.option("--schedule", help="Course of the learning rate: cosine, linear, constant, ... [default: cosine].")
@click.option(
    "--metric",
    help="What is judged: log-loss, balanced-accuracy, robust-accuracy, ... [default: the task's].",
)
@click.option("--class-weights", help="What classes count in the loss: balanced, or such as rare=5 [default: alike].")
@click.option("--labels", type=int, help="Training examples of each run that keep their label [default: all].")
@click.option("--budget", help="What the study may take, such as 2min or 300runs, instead of trials and seeds.")
@click.option("--design", type=click.Choice(DESIGNS), help="Also combine techniques of different families.")
@click.option("--fast", is_flag=True, default=None, help="A third of the cost: verdicts on the best techniques only.")
@click.option("--dry-run", is_flag=True, help="Say what would be trained and how long it would take, and stop.")
@click.option("--processes", type=int, help="Processes to train in [default: one a core where that pays].")
@click.option("--out", type=click.Path(path_type=Path), help=f"Folder for the study [default: {STUDIES}/DATA-N].")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the interrupted study in this folder.")
@data_options
@json_option
def compare(data: str | None, as_json: bool, out: Path | None, resume: Path | None, **options: Any) -> None:
    """Compare training techniques on DATA: a name such as digits, a path to a file or a folder, or a study.toml.

    A study that was interrupted goes on when the same command is given again.
    """
    if (data is None) == (resume is None):
        raise click.UsageError("say either DATA, such as digits, or --resume STUDY.")
    if resume is not None:
        nothing_beside("--resume", "as_json", "dry_run")
    from trainsmith.progress import Bar
    from trainsmith.report.study_table import plan_table
    from trainsmith.report.terminal import show
    from trainsmith.studies import begin, go_on, planned
    from trainsmith.study_file import study_file

    asked = None if data is None else _asked(data, options)
    if options["dry_run"]:
        if asked is None:
            raise click.UsageError("--dry-run is for a study that has not begun; say DATA.")
        plan = planned(asked)
        if as_json:
            click.echo(json.dumps(plan.to_dict(), indent=1, ensure_ascii=False))
        else:
            show(plan_table(plan))
        return
    with Bar() as bar:
        if asked is None:
            comparison, folder = go_on(Path(str(resume)), bar)
        else:
            comparison, folder = begin(asked, out, STUDIES, bar, study_file(asked))
    saved = folder / "report.html"
    if as_json:
        click.echo(json.dumps({**comparison.to_dict(), "report": str(saved)}, indent=1, ensure_ascii=False))
        return
    show(comparison.table())
    click.echo(f"report: {saved}")


def _asked(data: str, options: dict[str, Any]) -> Asked:
    """The study that was asked for, in options or in a file."""
    from dataclasses import replace

    from trainsmith.studies import Asked
    from trainsmith.study_file import read_study_file

    question, read = _question(options), reading(options)
    if Path(data).suffix.lower() != ".toml":
        return Asked(data, options["network"], read, question)
    processes = question.pop("processes", None)
    if said := [k for k, v in {**question, **read, "network": options["network"]}.items() if v is not None]:
        raise InvalidInput(f"a study in a file is asked by the file alone; write {', '.join(said)} into '{data}'.")
    asked = read_study_file(Path(data))
    return asked if processes is None else replace(asked, options={**asked.options, "processes": processes})


def _question(options: dict[str, Any]) -> dict[str, Any]:
    """What compare was asked besides data and network."""
    from trainsmith.study_file import OPTIONS

    given = {k: options[k] for k in OPTIONS if options.get(k) is not None}
    chosen = {"vary": names(options["vary"]), "techniques": names(options["names"])}
    return {**given, "baseline": pairs(options["baseline"]), **chosen}
