"""The command in a study's record is what repeats it."""

import sys

import pytest

from trainsmith.comparison.environment import describe_environment


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/usr/bin/trainsmith", "trainsmith compare 'a b.csv'"),
        ("/lib/trainsmith/__main__.py", "python -m trainsmith compare 'a b.csv'"),
        ("mine.py", "mine.py compare 'a b.csv'"),
    ],
)
def test_the_command_is_as_it_would_be_typed(monkeypatch, program, said):
    monkeypatch.setattr(sys, "argv", [program, "compare", "a b.csv"])
    assert describe_environment()["command"] == said
