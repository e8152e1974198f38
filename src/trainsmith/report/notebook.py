"""A whole page as a part of a notebook."""

from html import escape


def framed(page: str) -> str:
    """The page in a frame as high as itself: inside, so that its styles change nothing of the notebook's."""
    grow = "this.style.height = this.contentDocument.documentElement.scrollHeight + 'px'"
    style = "width: 100%; height: 40rem; border: 0"
    return f'<iframe srcdoc="{escape(page)}" title="trainsmith" style="{style}" onload="{grow}"></iframe>'
