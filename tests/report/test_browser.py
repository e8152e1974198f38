"""The report in a real browser: it draws everything, sorts, shows and hides, tells values, and runs nobody's script."""

from dataclasses import replace

import pytest

from browser import MISSING, started
from make_study import make_study
from trainsmith.catalogue import FAMILIES
from trainsmith.report import write_report

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
EVIL = '<script>window.evil = 1</script><img src="x" onerror="window.evil = 1">"\'&'


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with started(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def study():
    whole = make_study(EVIL, most=10, design="pairs")
    rows = tuple(replace(r, technique=EVIL, title=EVIL) if r.technique == "batch" else r for r in whole.rows)
    return replace(whole, rows=rows, about=EVIL, notes=(EVIL,))


@pytest.fixture(scope="module")
def path(study, tmp_path_factory):
    return write_report(study, tmp_path_factory.mktemp("study") / "report.html")


@pytest.fixture
def page(browser, path):
    browser.open(path)
    yield browser
    assert browser.console() == []


def test_every_figure_is_drawn(page):
    sizes = page.run("""return [...document.querySelectorAll("figure > svg, .layers svg, svg.interval")].map(
        (svg) => [svg.getBoundingClientRect().width, [...svg.querySelectorAll("path, use, rect")].filter(
            (part) => { const box = part.getBoundingClientRect(); return box.width + box.height > 0 }).length])""")
    closed = page.run("return document.querySelectorAll('details:not([open]) svg').length")
    assert len(sizes) > 3 * len(FAMILIES) + 48
    assert closed == 0
    assert all(width > 50 and parts >= 2 for width, parts in sizes)


def test_what_the_user_named_is_text_and_nothing_runs(page, study):
    assert page.run("return window.evil === undefined")
    assert page.run("return document.querySelectorAll('script').length") == 1
    assert page.run("return document.querySelectorAll('img').length") == 0
    assert EVIL in page.run("return document.querySelector('h1').textContent")
    assert EVIL in page.run("return document.querySelector('#normalization tbody').textContent")
    assert EVIL in page.run("return document.querySelector('#normalization .legend').textContent")


def test_a_script_that_slipped_in_would_not_run(browser, path, tmp_path):
    text = path.read_text().replace("</main>", "<script>window.evil = 1</script></main>")
    (tmp_path / "slipped.html").write_text(text)
    browser.open(tmp_path / "slipped.html")
    assert browser.run("return window.evil === undefined")
    assert any("Content Security Policy" in message for message in browser.console())


COLUMN = """return [...document.querySelectorAll("#optimizer > .scroll tbody tr")].map(
    (row) => row.cells[2].dataset.sort)"""


def test_a_table_sorts_by_its_heading_with_mouse_and_keyboard(page):
    heading = "#optimizer table thead th:nth-child(3)"
    page.click(f"{heading} button")
    best_first = [float(v) for v in page.run(COLUMN) if v]
    assert len(best_first) == 10
    assert best_first == sorted(best_first, reverse=True)
    assert page.run(COLUMN)[-1] == "", "the baseline, which has no difference, is last"
    assert page.run(f"return document.querySelector('{heading}').getAttribute('aria-sort')") == "descending"
    page.press(f"{heading} button", "Enter")
    assert [float(v) for v in page.run(COLUMN) if v] == sorted(best_first)
    assert page.run(COLUMN)[-1] == ""
    page.click("#optimizer table thead th:nth-child(1) button")
    names = page.run("""return [...document.querySelectorAll("#optimizer > .scroll tbody th")].map(
        (cell) => cell.textContent)""")
    assert names == sorted(names, key=str.casefold)
    assert page.run(f"return document.querySelector('{heading}').getAttribute('aria-sort')") is None


HIDDEN = """return [...document.querySelectorAll('#activation .series[data-series="1"]')].map(
    (part) => getComputedStyle(part).display)"""


def test_the_legend_hides_and_shows_a_technique_in_every_figure(page):
    assert set(page.run(HIDDEN)) == {"inline"}
    assert len(page.run(HIDDEN)) == 4, "three lines and a band"
    button = '#activation .legend li[data-series="1"] button'
    page.click(button)
    assert set(page.run(HIDDEN)) == {"none"}
    assert page.run(f"return document.querySelector('{button}').getAttribute('aria-pressed')") == "false"
    other = """return getComputedStyle(document.querySelector('#optimizer .series[data-series="1"]')).display"""
    assert page.run(other) == "inline", "other families are left alone"
    page.press(button, "Enter")
    assert set(page.run(HIDDEN)) == {"inline"}


def test_of_many_techniques_the_best_are_shown_at_first_and_one_button_shows_all(page):
    off = "return document.querySelectorAll('#activation .legend button[aria-pressed=false]').length"
    assert page.run(off) == 11 - 8
    page.click("#activation .legend .all button")
    assert page.run(off) == 0
    page.click("#activation .legend .all button")
    assert page.run(off) == 11


TIP = "const tip = document.querySelector('#optimizer figure .tip'); return tip.hidden ? '' : tip.textContent"


def test_a_figure_tells_the_value_under_the_mouse(page, study):
    """At the end of a line that no other end is near to: half a pixel does not decide which one is told."""
    number, x, y = page.run("""const figure = document.querySelector("#optimizer figure");
        const svg = figure.querySelector("svg");
        svg.scrollIntoView({block: "center", behavior: "instant"});
        const ends = Object.values(Object.fromEntries(JSON.parse(figure.dataset.points).map((p) => [p[0], p])));
        const room = (end) => Math.min(...ends.filter((e) => e[2] !== end[2]).map((e) => Math.abs(e[2] - end[2])));
        const [number, x, y] = ends.reduce((a, b) => room(b) > room(a) ? b : a);
        const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
        return [number, box.left + x * scale, box.top + y * scale]""")
    page.move_to(x, y)
    last = study.family("optimizer")[number].curve
    assert f"step {last.steps[-1]}: {100 * last.mean[-1]:.1f} %" in page.run(TIP)
    page.move_to(5, 5)
    assert page.run(TIP) == ""


def test_a_figure_tells_its_values_to_the_keyboard(page, study):
    figure = "#optimizer figure svg"
    page.run("document.querySelector(arguments[0]).focus()", figure)
    row = study.family("optimizer")[0]
    page.press(figure, "Right")
    first = page.run(TIP)
    assert first.startswith(row.technique)
    page.press(figure, "Right")
    second = page.run(TIP)
    assert second.startswith(row.technique)
    assert second != first
    page.press(figure, "Down")
    assert page.run(TIP).startswith(study.family("optimizer")[1].technique)
    page.press(figure, "Escape")
    assert page.run(TIP) == ""


def test_the_points_that_are_told_lie_on_the_lines_that_are_drawn(page):
    """In the picture's own units: every point on the curve's path, as matplotlib wrote it."""
    far = page.run("""let far = 0;
        for (const figure of document.querySelectorAll("#optimizer figure"))
          for (const [series, x, y] of JSON.parse(figure.dataset.points)) {
            const paths = [...figure.querySelectorAll(`.series[data-series="${series}"]:not([id$=band]) path`)];
            const ends = paths.flatMap((path) => (path.getAttribute("d").match(/[\\d.]+ [\\d.]+/g) || [])
              .map((pair) => pair.split(" ").map(Number)));
            far = Math.max(far, Math.min(...ends.map(([a, b]) => Math.hypot(a - x, b - y))));
          }
        return far""")
    assert far < 0.2


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_scrolls_in_one_direction(browser, path, width):
    browser.open(path, width, 800)
    assert browser.run("return document.documentElement.scrollWidth") == width
    assert browser.run("return Math.min(...[...document.querySelectorAll('figure > svg')].map("
                       "(svg) => svg.getBoundingClientRect().width))") > 0.8 * width  # fmt: skip
    assert browser.console() == []


def test_on_a_wide_page_no_table_is_cut(browser, tmp_path):
    study = make_study(metric="bits per character", most=2)
    more = {"adam.weight_decay": 0.32}
    words = "cannot tell yet: about 9 more seeds would"
    rows = tuple(replace(row, values={**row.values, **more}, words=words) for row in study.rows)
    browser.open(write_report(replace(study, rows=rows), tmp_path / "report.html"), 1200)
    cut = browser.run("return [...document.querySelectorAll('.scroll')].map((e) => e.scrollWidth - e.clientWidth)")
    assert len(cut) > len(FAMILIES)
    assert max(cut) == 0


@pytest.mark.parametrize("width", [320, 390, 600, 768, 1000, 1300])
def test_no_word_of_a_techniques_name_is_broken(browser, tmp_path, width):
    """Unless it is longer than a column may be: then it is broken, and the column stays in bounds."""
    study = make_study(most=3)
    names = {"adagrad": "standardization", "adadelta": "early-stopping-continue", "adamw": "x" * 90}
    rows = tuple(replace(r, technique=names.get(r.technique, r.technique)) for r in study.rows)
    assert {r.technique for r in rows} >= set(names.values())
    browser.open(write_report(replace(study, rows=rows), tmp_path / "report.html"), width)
    broken, widest = browser.run("""const broken = []; let widest = 0;
        for (const cell of document.querySelectorAll("#optimizer tbody th")) {
            widest = Math.max(widest, cell.getBoundingClientRect().width);
            const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
            for (const word of text.data.matchAll(/[a-z]+/g)) {
                const range = document.createRange();
                range.setStart(text, word.index);
                range.setEnd(text, word.index + word[0].length);
                if (range.getClientRects().length > 1) broken.push(word[0]);
            }
        }
        return [broken, widest]""")
    assert set(broken) == {"x" * 90}
    assert widest <= min(300, 0.5 * max(width, 320))


def test_on_paper_headings_have_no_box_of_their_own_for_a_button(browser, path):
    """Chromium leaves it out where a table goes on on the next page and its headings are repeated."""
    emulate = {"cmd": "Emulation.setEmulatedMedia", "params": {"media": "print"}}
    browser.open(path)
    browser.call("POST", "/goog/cdp/execute", emulate)
    shown = browser.run("return [...document.querySelectorAll('th button')].map((b) => getComputedStyle(b).display)")
    browser.call("POST", "/goog/cdp/execute", {**emulate, "params": {"media": ""}})
    assert len(shown) > 30
    assert set(shown) == {"contents"}


def test_without_its_script_the_page_says_the_same(browser, path, tmp_path):
    text = path.read_text()
    begin, end = text.rindex("<script>"), text.rindex("</script>")
    (tmp_path / "plain.html").write_text(text[:begin] + text[end + 9 :])
    browser.open(tmp_path / "plain.html")
    assert browser.run("return document.querySelectorAll('.series.off').length") == 0
    assert browser.run("return document.querySelectorAll('#activation tbody tr').length") == 2 * 11
    assert browser.console() == []
