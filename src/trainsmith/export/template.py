"""The exported files' templates."""

import functools

import jinja2


@functools.cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("trainsmith.export"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def filled(name: str, **values: object) -> str:
    """The template called `name` with these values."""
    return _templates().get_template(name).render(**values)
