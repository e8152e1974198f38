"""The report of a study: complete, safe, self-contained, readable."""

import html.parser
import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from rich.console import Console

from make_study import make_study
from trainsmith.catalogue import FAMILIES
from trainsmith.comparison import read_study
from trainsmith.report import family_tables, report_html, summary, write_report

EVIL = '<script>alert("x")</script> & $x_1$'
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(html.parser.HTMLParser):
    """Collects tags, ids and references, and fails on tags that do not close where they should."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references, self.open = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.references += [given[k] for k in ("href", "xlink:href", "src") if k in given]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def printed(study, width=110):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary(study), *family_tables(study))
    console.file.close()
    return console.export_text()


@pytest.fixture(scope="module")
def page():
    return Page(report_html(make_study()))


def test_every_family_has_two_tables_and_four_figures(page):
    assert page.tags.count("table") == 2 * len(FAMILIES)
    assert page.tags.count("svg") == 4 * len(FAMILIES)
    for section in (*FAMILIES, "answer", "protocol", "receipt", "repeat"):
        assert section in page.ids


def test_the_page_needs_nothing_from_outside_and_runs_no_script(page):
    assert "script" not in page.tags
    assert all(reference.startswith("#") for reference in page.references)
    assert {r[1:] for r in page.references} <= set(page.ids)
    text = report_html(make_study())
    assert not re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?https?:', text)
    assert len(text) < 2_000_000


def test_ids_are_unique_so_that_figures_do_not_borrow_each_others_parts(page):
    assert len(page.ids) == len(set(page.ids))


def test_what_the_user_named_is_escaped_everywhere():
    text = report_html(make_study(EVIL))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 4
    Page(text)


def test_every_row_verdict_and_setting_is_on_the_page():
    study = make_study()
    text = report_html(study)
    for row in study.rows:
        assert f">{row.technique}" in text
        assert row.words in text
    assert "2 of 8 diverged" in text
    assert "lr 0.013*" in text
    assert "97.0 % [96.0, 98.0]" in text
    assert "+2.0 [+1.5, +2.5]" in text
    assert "75 % [41, 93]" in text, "how often it beats the baseline"
    assert "330 (5 of 8 seeds)" in text, "the steps to the baseline's score"
    assert "not reached (2 of 8 seeds)" in text


def test_a_broken_receipt_is_shown_as_broken():
    assert 'class="broken"' not in report_html(make_study())
    assert 'class="broken"' in report_html(make_study(holds=False))
    assert "BROKEN" in printed(make_study(holds=False))


def test_r_squared_is_not_shown_in_per_cent():
    text = report_html(make_study(metric="R²"))
    assert "0.970 [0.960, 0.980]" in text
    assert "97.0 %" not in text


def test_a_study_from_before_these_were_measured_has_a_page_without_them():
    study = make_study()
    old = replace(study, rows=tuple(replace(r, chance=None, tuning_curve=(), pace=None) for r in study.rows))
    page = Page(report_html(old))
    assert (page.tags.count("table"), page.tags.count("svg")) == (len(FAMILIES), 3 * len(FAMILIES))


def test_of_a_cost_less_is_shown_as_better():
    study = make_study(metric="log loss")
    words_ = report_html(study)
    first = next(r for r in study.rows if not r.is_baseline and r.difference.mean > 0)
    assert first.difference.mean == 0.02
    assert "-0.020 [-0.025, -0.015]" in words_, "a gain of 0.02 is a log loss lower by 0.02"
    assert "less is better" in words_


def test_the_answer_says_so_when_nothing_beat_the_baseline():
    import dataclasses

    study = make_study()
    rows = tuple(dataclasses.replace(r, verdict="cannot tell yet") if not r.is_baseline else r for r in study.rows)
    assert "No technique was shown to be better" in report_html(dataclasses.replace(study, rows=rows))


@pytest.mark.parametrize("width", [80, 110])
def test_the_tables_fit_the_terminal_and_say_everything(width):
    study = make_study()
    text = printed(study, width)
    assert max(map(len, text.splitlines())) <= width
    joined = " ".join(text.split())
    for row in study.rows:
        assert row.technique.split("-")[0] in joined
    assert "receipt: 60 members" in joined
    assert "506 runs in 60 populations on 2 processes: 71 s" in joined
    assert "at the edge" in joined


def test_markup_in_a_users_words_is_printed_as_it_is():
    assert "[red]x[/red]" in printed(make_study("[red]x[/red]"))


def test_a_page_written_from_stored_json_is_the_same_page(tmp_path):
    study = make_study()
    again = read_study(json.dumps(study.to_dict()))
    assert write_report(study, tmp_path / "a" / "x.html").read_text() == report_html(again)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_real_browser_shows_the_page(tmp_path):
    path = write_report(make_study(EVIL), tmp_path / "report.html")
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    for family in FAMILIES:
        assert f'id="{family}"' in done.stdout
    assert "<script" not in done.stdout
