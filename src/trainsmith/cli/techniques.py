"""trainsmith techniques."""

from __future__ import annotations

import json

import click

from trainsmith.cli.door import main
from trainsmith.cli.options import json_option


@main.command()
@click.argument("name", required=False)
@json_option
def techniques(name: str | None, as_json: bool) -> None:
    """List the catalogue, or the family NAME, or show the page of the technique NAME."""
    from trainsmith.catalogue import FAMILIES, find, spelt, techniques
    from trainsmith.report.catalogue_pages import as_dict, listing, page
    from trainsmith.report.terminal import show

    family = next((f for f in FAMILIES if name and f == spelt(name)), None)
    if family:
        name = None
    chosen = (find(name, besides=FAMILIES),) if name else techniques(family)
    if as_json:
        dicts = [as_dict(t) for t in chosen]
        click.echo(json.dumps(dicts[0] if name else dicts, indent=1, ensure_ascii=False))
        return
    show(page(chosen[0]) if name else listing(chosen))
