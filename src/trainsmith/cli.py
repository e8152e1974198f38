"""The command: parses, calls, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainsmith import __version__
from trainsmith.errors import InvalidInput

if TYPE_CHECKING:
    from trainsmith.studies import Asked

STUDIES = Path("trainsmith-studies")
DESIGNS = ["one-at-a-time", "pairs", "grid"]
TASKS = ["classification", "balanced", "regression", "multilabel", "autoencoding", "language"]


class Command(click.Group):
    """Says a user's mistake in one sentence and exits with 2; Ctrl-C exits with 130."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidInput as error:
            click.echo(f"trainsmith: error: {error}", err=True)
            ctx.exit(2)
        except OSError as error:
            click.echo(f"trainsmith: error: {error.strerror or error}: {error.filename or ''}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt as interruption:
            click.echo(f"trainsmith: {str(interruption) or 'interrupted before any run was finished.'}", err=True)
            ctx.exit(130)


@click.group(cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="trainsmith")
def main() -> None:
    """Which initialization, normalization, activation, optimizer and regularization train your network best?

    \b
    trainsmith compare digits        compare techniques, fairly tuned, with a report
    trainsmith inspect digits        why a network trains badly, and what helps
    trainsmith techniques            the catalogue
    trainsmith studies               what was compared, and what is unfinished
    """


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where data come from and how a table is read."""
    for option in (
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            help="Where the files of named data are.",
        ),
        click.option("--target", help="The column of a table to predict."),
        click.option("--task", type=click.Choice(TASKS), help="What is predicted [default: by the targets]."),
        click.option("--image-size", type=int, help="Scale and crop pictures to so many pixels on each side."),
        click.option("--context", type=int, help="Characters in a piece of a text [default: 32]."),
    ):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of tables.")


@main.command()
@click.argument("data", required=False)
@click.option("--network", help="A name, package.module:factory or file.py:factory [default: mlp; gpt for a text].")
@click.option("--vary", help="Families to vary, separated by commas [default: all].")
@click.option("--techniques", "names", help="Only these techniques, separated by commas.")
@click.option("--baseline", help="What is varied around, such as optimizer=sgd,activation=tanh.")
@click.option("--trials", type=int, help="Tuning trials of each technique.")
@click.option("--seeds", type=int, help="Fresh seeds for what is reported.")
@click.option("--steps", type=int, help="Optimizer steps of each run.")
@click.option("--batch-size", type=int, help="Examples a step.")
@click.option("--schedule", help="Course of the learning rate: cosine, linear, constant, ... [default: cosine].")
@click.option("--metric", help="What is judged: log-loss or calibration-error [default: the task's, as accuracy].")
@click.option("--budget", help="What the study may take, such as 2min or 300runs, instead of trials and seeds.")
@click.option("--design", type=click.Choice(DESIGNS), help="Also combine techniques of different families.")
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
        comparison, folder = begin(asked, out, STUDIES, bar) if asked else go_on(Path(str(resume)), bar)
    if asked is not None:
        (folder / "study.toml").write_text(study_file(asked), encoding="utf-8")
    saved = folder / "report.html"
    if as_json:
        click.echo(json.dumps({**comparison.to_dict(), "report": str(saved)}, indent=1, ensure_ascii=False))
        return
    show(comparison.table())
    click.echo(f"report: {saved}")


@main.command()
@click.argument("what", metavar="DATA", required=False)
@click.option("--data", help="Data for a network of your own, which is then given in place of DATA.")
@click.option("--example", type=click.Choice(["depth"]), help="A classic experiment instead of data.")
@click.option("--network", help="A name, package.module:factory or file.py:factory [default: mlp; gpt for a text].")
@click.option("--recipe", help="Techniques to put in first, such as initialization=normal,activation=tanh.")
@click.option("--lr", type=float, help="The learning rate to judge [default: that of the recipe's optimizer].")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws weights and batch.")
@click.option("--remedies/--no-remedies", default=True, help="Try what may help against the findings [default: try].")
@click.option("--out", type=click.Path(path_type=Path), help="A .png or .html [default: inspect-DATA.png].")
@data_options
@json_option
def inspect(what: str | None, data: str | None, example: str | None, as_json: bool, **options: Any) -> None:
    """Say why a network trains badly, and what helps: every layer on DATA at its start, findings, remedies tried.

    A network of your own, as it is: trainsmith inspect net.py:build --data my.npz, or package.module:build.
    """
    if (what is None) == (example is None) or (data is not None and what is None):
        raise click.UsageError("say either DATA, such as digits, or NETWORK --data DATA, or --example depth.")
    if data is not None and (options["network"] or options["recipe"]):
        raise click.UsageError("with --data the network is inspected as it is; leave out --network and --recipe.")
    from trainsmith import examine
    from trainsmith.report.terminal import show

    more = {"rate": options["lr"], "remedies": options["remedies"], **_reading(options)}
    recipe = _pairs(options["recipe"])
    result = examine.asked(what, data, example, options["network"], recipe, options["seed"], **more)
    name = Path(data or what or example or "").stem
    picture = result.draw(options["out"] or Path(f"inspect-{name}.png"))
    if as_json:
        click.echo(json.dumps({**result.numbers, "picture": str(picture)}, indent=1, ensure_ascii=False))
        return
    show(result.table)
    click.echo(f"{'page' if picture.suffix == '.html' else 'picture'}: {picture}")


@main.command()
@click.argument("name", required=False)
@json_option
def techniques(name: str | None, as_json: bool) -> None:
    """List the catalogue by family, or show the page of the technique NAME."""
    from trainsmith.catalogue import find, techniques
    from trainsmith.report.catalogue_pages import as_dict, listing, page
    from trainsmith.report.terminal import show

    chosen = (find(name),) if name else techniques()
    if as_json:
        dicts = [as_dict(t) for t in chosen]
        click.echo(json.dumps(dicts[0] if name else dicts, indent=1, ensure_ascii=False))
        return
    show(page(chosen[0]) if name else listing(chosen))


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="Where to put the files.")
@click.option("--onnx", "as_onnx", is_flag=True, help="Also write model.onnx; this runs the study's model.py.")
def export(study: Path, folder: Path, as_onnx: bool) -> None:
    """Copy the winner of STUDY, a study's folder, as a training script, source and weights in plain PyTorch."""
    from trainsmith.export.stored import copy_winner

    click.echo(f"exported: {folder}{copy_winner(study, folder, as_onnx)}")


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The page [default: STUDY/report.html].")
def report(study: Path, out: Path | None) -> None:
    """Write the report of STUDY, a study's folder, anew, and print its tables."""
    from rich.console import Group

    from trainsmith.report import family_tables, summary, write_report
    from trainsmith.report.partial import progress_table, write_partial
    from trainsmith.report.terminal import show
    from trainsmith.studies import progress_of, study_in

    read, path = study_in(study), out or study / "report.html"
    if read is None:
        progress = progress_of(study)
        show(progress_table(progress))
        click.echo(f"report: {write_partial(progress, path)}")
        return
    show(Group(summary(read), *family_tables(read)))
    click.echo(f"report: {write_report(read, path)}")


@main.command()
@click.argument("root", type=click.Path(path_type=Path), default=STUDIES)
@json_option
def studies(root: Path, as_json: bool) -> None:
    """List the studies in ROOT: finished, unfinished and damaged ones."""
    from trainsmith.report.partial import listing
    from trainsmith.report.terminal import show
    from trainsmith.studies import all_in

    found = all_in(root)
    if as_json:
        keys = ("name", "data", "network", "state", "done", "planned", "winner", "created")
        click.echo(json.dumps([{key: getattr(p, key) for key in keys} for p in found], indent=1, ensure_ascii=False))
        return
    if not found:
        raise InvalidInput(f"there are no studies in '{root}'; trainsmith compare makes one.")
    show(listing(found))


@main.command("show")
@click.argument("study", type=click.Path(path_type=Path))
@click.argument("number", type=int, required=False)
@click.option("--to", "path", type=click.Path(path_type=Path), help="Write the runs to a .csv or .parquet file.")
@click.option("--curves", is_flag=True, help="Show every check of every run instead of its end.")
def show_runs(study: Path, number: int | None, path: Path | None, curves: bool) -> None:
    """Show the runs of STUDY, or the run of that NUMBER with its hyper-parameters and curve."""
    from trainsmith.report.run_table import one_run, run_table, write_table
    from trainsmith.report.terminal import show
    from trainsmith.store import Store

    store = Store(study)
    runs = store.runs()
    if path is not None:
        write_table(store.curves() if curves else runs, path)
        click.echo(f"written: {path}")
        return
    show(run_table(store.curves() if curves else runs) if number is None else one_run(runs, store.curves(), number))


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text is not None else None


def _reading(options: dict[str, Any]) -> dict[str, Any]:
    """What data_options took, for load."""
    return {name: options[name] for name in ("data_dir", "target", "task", "image_size", "context")}


def _asked(data: str, options: dict[str, Any]) -> Asked:
    """The study that was asked for, in options or in a file."""
    from dataclasses import replace

    from trainsmith.studies import Asked
    from trainsmith.study_file import read_study_file

    question, reading = _question(options), _reading(options)
    if Path(data).suffix.lower() != ".toml":
        return Asked(data, options["network"], reading, question)
    processes = question.pop("processes", None)
    if said := [k for k, v in {**question, **reading, "network": options["network"]}.items() if v is not None]:
        raise InvalidInput(f"a study in a file is asked by the file alone; write {', '.join(said)} into '{data}'.")
    asked = read_study_file(Path(data))
    return asked if processes is None else replace(asked, options={**asked.options, "processes": processes})


def _question(options: dict[str, Any]) -> dict[str, Any]:
    """What compare was asked besides data and network."""
    counts = ("trials", "seeds", "steps", "batch_size", "schedule", "budget", "design", "metric", "processes")
    given = {k: options[k] for k in counts if options[k] is not None}
    names = {"vary": _names(options["vary"]), "techniques": _names(options["names"])}
    return {**given, "baseline": _pairs(options["baseline"]), **names}


def _pairs(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    for family, sign, name in pairs:
        if not (family and sign and name):
            raise InvalidInput(
                f"expected family=technique pairs separated by commas, such as optimizer=sgd; got '{text}'."
            )
    return {family.strip(): name.strip() for family, _, name in pairs}


if __name__ == "__main__":
    main()
