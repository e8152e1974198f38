"""The group of all commands, and what becomes of a user's mistake and of Ctrl-C."""

from __future__ import annotations

from typing import Any

import click

from trainsmith import __version__
from trainsmith.errors import InvalidInput


class Command(click.Group):
    """Says a user's mistake in one sentence and exits with 2; Ctrl-C exits with 130."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidInput as error:
            click.echo(f"trainsmith: error: {error}", err=True)
            ctx.exit(2)
        except BrokenPipeError:  # whoever read the output, such as head, has enough: click ends in silence
            raise
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            click.echo(f"trainsmith: error: {error.strerror or error}{where}", err=True)
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
