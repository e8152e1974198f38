"""What is done with studies that were made: studies, show, report, export."""

from __future__ import annotations

import json
from pathlib import Path

import click

from trainsmith.cli.door import main
from trainsmith.cli.options import json_option
from trainsmith.errors import PAGE, InvalidInput, named

STUDIES = Path("trainsmith-studies")


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
@click.option("--mlflow", metavar="URI", help="Also write its runs into the MLflow there, such as sqlite:///mlflow.db.")
@click.option("--tensorboard", type=click.Path(path_type=Path), help="Also write its runs for TensorBoard there.")
def report(study: Path, out: Path | None, mlflow: str | None, tensorboard: Path | None) -> None:
    """Write the report of STUDY, a study's folder, anew, and print its tables."""
    from rich.console import Group

    from trainsmith.report import family_tables, summary, write_report
    from trainsmith.report.partial import progress_table, write_partial
    from trainsmith.report.terminal import show
    from trainsmith.studies import progress_of, study_in

    path = named(out or study / "report.html", "a report is a page", *PAGE)
    read = study_in(study)
    if read is None:
        progress = progress_of(study)
        show(progress_table(progress))
        click.echo(f"report: {write_partial(progress, path)}")
    else:
        show(Group(summary(read), *family_tables(read)))
        click.echo(f"report: {write_report(read, path, study)}")
    if mlflow is not None or tensorboard is not None:
        _tracked(study, mlflow, tensorboard)


def _tracked(study: Path, mlflow: str | None, tensorboard: Path | None) -> None:
    from trainsmith.report.trackers import to_mlflow, to_tensorboard, tracked
    from trainsmith.store import Store

    store = Store(study)
    runs, curves = store.runs(), store.curves()
    if mlflow is not None:
        count = to_mlflow(study.resolve().name, tracked(runs, curves), mlflow)
        there = f", {len(runs) - count} were there" if count < len(runs) else ""
        click.echo(f"mlflow: {count} runs written to {mlflow}{there}")
    if tensorboard is not None:
        count = to_tensorboard(tracked(runs, curves), tensorboard)
        click.echo(f"tensorboard: {count} runs written; tensorboard --logdir {tensorboard}")


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
    """Show the runs of STUDY, or the run of that NUMBER with its hyper-parameters and curve.

    Files have scores as they are stored: of costs, such as log loss, the negative.
    """
    from trainsmith.report.run_table import one_run, run_table, write_table
    from trainsmith.report.terminal import show
    from trainsmith.store import Store
    from trainsmith.studies import study_in

    if path is not None and number is not None:
        raise InvalidInput(f"--to writes all runs of a study to a file; leave out {number}, or --to to see that run.")
    store = Store(study)
    runs = store.runs()
    if path is not None:
        write_table(store.curves() if curves else runs, path)
        click.echo(f"written: {path}")
        return
    metric = str((store.about("question", dict) or {}).get("metric") or "score")
    if number is None:
        show(run_table(store.curves() if curves else runs, metric))
        return
    finished = study_in(study)
    show(one_run(runs, store.curves(), number, finished.explained if finished is not None else (), metric))
