"""The progress bar: a bar in a terminal, plain lines now and then in a pipe."""

import io

from rich.console import Console

from trainsmith import progress


def played(terminal, monkeypatch, find=lambda bar: None, runs=40, start=0.0):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    out = io.StringIO()
    with progress.Bar(Console(file=out, force_terminal=terminal, width=100)) as bar:
        bar.going_on("going on with digits-1: 3 of 40 runs are done")
        bar.planned(runs, 100 * runs, "40 runs: about 40 s")
        find(bar)
        for _ in range(5):  # workers start, and have nothing to tell
            clock[0] += start / 5
            bar.progress_made("tuning", 0, 0)
        for _ in range(runs):
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


def test_the_start_of_workers_is_no_time_of_runs(monkeypatch):
    lines = played(False, monkeypatch, start=8.0).splitlines()
    assert lines[2] == "tuning: 2 of 40 runs, 5%, 10 s, about 38 s left"
    assert played(False, monkeypatch, start=9.0).splitlines()[2] == "tuning: 1 of 40 runs, 2%, 10 s", "no pace yet"


def test_the_best_so_far_stands_in_every_line(monkeypatch):
    def find(bar):
        bar.found("he + none + relu + sgd", 0.9, "accuracy")
        bar.found("he + [red]", 0.967, "accuracy")

    lines = played(False, monkeypatch, find).splitlines()
    assert lines[2] == "tuning: 10 of 40 runs, 25%, 10 s, about 30 s left; best 96.7% he + [red]"
    assert "best 96.7% he + [red]" in played(True, monkeypatch, find)
    cost = played(False, monkeypatch, lambda bar: bar.found("he", 2.345, "bits per character"))
    assert "best bits per character 2.35 he" in cost or "best bits per character 2.34 he" in cost


def test_the_log_of_a_long_study_stays_readable(monkeypatch):
    assert 40 < len(played(False, monkeypatch, runs=3600).splitlines()) < 100


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "tuning: 10 of 40 runs, 25%" in played(True, monkeypatch)


def test_in_a_pipe_there_are_no_control_codes(monkeypatch):
    assert "\x1b" not in played(False, monkeypatch)


def test_in_a_terminal_there_is_a_bar_and_no_lines(monkeypatch):
    text = played(True, monkeypatch)
    assert "\x1b" in text
    assert "of 40 runs, 25%" not in text


def test_what_an_interrupted_study_had_done_says_nothing_of_the_time_left(monkeypatch):
    def read(bar):
        for _ in range(4):
            bar.progress_made("tuning", 500, 5)
            bar.was_done(500)

    lines = played(False, monkeypatch, read).splitlines()
    assert lines[2] == "tuning: 30 of 40 runs, 75%, 10 s, about 10 s left", "1,000 member-steps took 10 s, 1,000 remain"
    assert "\x1b" in played(True, monkeypatch, read)


def test_where_everything_was_done_no_time_is_guessed(monkeypatch):
    out = io.StringIO()
    with progress.Bar(Console(file=out, width=100)) as bar:
        bar.planned(40, 4000, "40 runs")
        bar.progress_made("tuning", 3000, 30)
        bar.was_done(3000)
        monkeypatch.setattr(progress.time, "monotonic", lambda: bar.started + 12)
        bar.progress_made("tuning", 0, 0)
    assert out.getvalue().splitlines()[1:] == ["tuning: 30 of 40 runs, 75%, 12 s"]
