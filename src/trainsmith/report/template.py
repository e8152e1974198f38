"""The pages' templates: values are escaped, a name that is missing is an error."""

import functools
import re

import jinja2


def filled(name: str, **values: object) -> str:
    """The template called `name` with these values. Everything that came from the user is escaped."""
    return _templates().get_template(name).render(**values)


def unbroken(text: str) -> str:
    """The same text, which a line can end in only before an interval and between settings, never before or in a number,
    nor in a combination of techniques."""
    joined = re.sub(r" (?=[-+\d%])|(?<=\+) ", "\N{NO-BREAK SPACE}", text)
    return re.sub(r"(?<=\de)-(?=\d)", "\N{NON-BREAKING HYPHEN}", joined)


@functools.cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("trainsmith.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["unbroken"] = unbroken
    return made
