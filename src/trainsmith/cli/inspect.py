"""trainsmith inspect."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from trainsmith.cli.door import main
from trainsmith.cli.options import data_options, json_option, nothing_beside, pairs, reading

EVERY = 10.0
"""Seconds between two lines that say what is done."""


class Patience:
    """Says on standard error what is done, a line now and then: nothing where all is done soon."""

    def __init__(self) -> None:
        self.started = self.said = time.monotonic()

    def __call__(self, words: str) -> None:
        now = time.monotonic()
        if now - self.said >= EVERY:
            self.said = now
            click.echo(f"{now - self.started:.0f} s: {words}", err=True)


@main.command()
@click.argument("what", metavar="DATA", required=False)
@click.option("--data", help="Data for a network of your own, which is then given in place of DATA.")
@click.option("--example", type=click.Choice(["depth"]), help="A classic experiment instead of data.")
@click.option("--network", help="A name, package.module:factory or file.py:factory [default: mlp; gpt for a text].")
@click.option("--recipe", help="Techniques to put in first, such as initialization=normal,activation=tanh.")
@click.option("--lr", type=float, help="The learning rate to judge [default: that of the recipe's optimizer].")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws weights and batch.")
@click.option("--steps", type=click.IntRange(1), help="Also train a copy for so many steps, and see what changes.")
@click.option("--every", type=click.IntRange(1), help="Measure every so many steps [default: a sixteenth of them].")
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
    if example is not None:
        nothing_beside("--example", "seed", "out", "as_json")
    if data is not None and (options["network"] or options["recipe"]):
        raise click.UsageError("with --data the network is inspected as it is; leave out --network and --recipe.")
    if options["every"] is not None and options["steps"] is None:
        raise click.UsageError("--every says how often a training is measured: give --steps too.")
    from trainsmith import examine
    from trainsmith.errors import PAGE
    from trainsmith.inspection.passes.telling import telling
    from trainsmith.report.terminal import show

    name = Path(data or what or example or "").stem
    out = examine.written(options["out"] or Path(f"inspect-{name}.png"), example)
    more = {"rate": options["lr"], "remedies": options["remedies"], **reading(options)}
    more |= {"steps": options["steps"], "every": options["every"]}
    recipe = pairs(options["recipe"])
    with telling(Patience()):
        result = examine.asked(what, data, example, options["network"], recipe, options["seed"], **more)
    picture = result.draw(out)
    if as_json:
        click.echo(json.dumps({**result.numbers, "picture": str(picture)}, indent=1, ensure_ascii=False))
        return
    show(result.table)
    click.echo(f"{'page' if picture.suffix.lower() in PAGE else 'picture'}: {picture}")
