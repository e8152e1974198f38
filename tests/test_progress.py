"""The progress bar: a bar in a terminal, plain lines now and then in a pipe."""

import io

from rich.console import Console

from trainsmith import progress


def played(terminal, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    out = io.StringIO()
    with progress.Bar(Console(file=out, force_terminal=terminal, width=100)) as bar:
        bar.going_on("going on with digits-1: 3 of 40 runs are done")
        bar.planned(40, 4000, "40 runs: about 40 s")
        for _ in range(40):
            clock[0] += 1.0
            bar.progress_made("tuning", 100, 1)
    return out.getvalue()


def test_in_a_pipe_there_is_a_plain_line_every_ten_seconds(monkeypatch):
    lines = played(False, monkeypatch).splitlines()
    assert lines[:2] == ["going on with digits-1: 3 of 40 runs are done", "40 runs: about 40 s"]
    assert lines[2:] == [
        "tuning: 10 of 40 runs, 25%, 10 s, about 30 s left",
        "tuning: 20 of 40 runs, 50%, 20 s, about 20 s left",
        "tuning: 30 of 40 runs, 75%, 30 s, about 10 s left",
        "tuning: 40 of 40 runs, 100%, 40 s",
    ]


def test_in_a_pipe_there_are_no_control_codes(monkeypatch):
    assert "\x1b" not in played(False, monkeypatch)


def test_in_a_terminal_there_is_a_bar_and_no_lines(monkeypatch):
    text = played(True, monkeypatch)
    assert "\x1b" in text
    assert "of 40 runs, 25%" not in text
