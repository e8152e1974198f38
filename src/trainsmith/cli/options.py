"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from trainsmith.errors import InvalidInput

TASKS = ["classification", "balanced", "regression", "multilabel", "autoencoding", "language"]


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where data come from and how a table is read."""
    for option in (
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            help="Where the files of named data are.",
        ),
        click.option("--target", help="The column of a table to predict."),
        click.option(
            "--leave-out", metavar="COLUMN", multiple=True, help="Columns of a table that are not read, such as ids."
        ),
        click.option("--task", type=click.Choice(TASKS), help="What is predicted [default: by the targets]."),
        click.option("--image-size", type=int, help="Scale and crop pictures to so many pixels on each side."),
        click.option("--context", type=int, help="Characters in a piece of a text [default: 32]."),
    ):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of tables.")


def names(text: str | None) -> list[str] | None:
    """Names separated by commas, one at least."""
    found = None if text is None else [name.strip() for name in text.split(",") if name.strip()]
    if found == []:
        raise InvalidInput(f"expected names separated by commas, such as adam,lion; got '{text}'.")
    return found


def nothing_beside(option: str, *others: str) -> None:
    """Raises UsageError where the command line has more than this option and these others, by parameter."""
    context = click.get_current_context()
    given = [
        max(p.opts, key=len) if isinstance(p, click.Option) else p.human_readable_name
        for p in context.command.params
        if context.get_parameter_source(p.name or "") == ParameterSource.COMMANDLINE and p.name not in others
    ]
    if beside := [name for name in given if name != option]:
        raise click.UsageError(f"{option} leaves nothing to choose: leave out {', '.join(beside)}.")


def reading(options: dict[str, Any]) -> dict[str, Any]:
    """What data_options took, for load."""
    said = {name: options[name] for name in ("data_dir", "target", "task", "image_size", "context")}
    return said | {"leave_out": list(options["leave_out"]) or None}


def pairs(text: str | None) -> dict[str, str] | None:
    """family=technique pairs separated by commas."""
    if text is None:
        return None
    parts = [part.partition("=") for part in text.split(",")]
    for family, sign, name in parts:
        if not (family and sign and name):
            raise InvalidInput(
                f"expected family=technique pairs separated by commas, such as optimizer=sgd; got '{text}'."
            )
    families = [family.strip() for family, *_ in parts]
    if twice := [family for family in families if families.count(family) > 1]:
        raise InvalidInput(
            f"{twice[0]} is said twice in '{text}'; several regularizers are joined: dropout+weight-decay."
        )
    return {family.strip(): name.strip() for family, _, name in parts}
