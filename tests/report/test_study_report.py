"""The report of a study: complete, safe, self-contained, readable."""

import html
import html.parser
import json
import math
import re
import statistics
from dataclasses import replace

import pytest
from rich.console import Console

from make_study import FEW, make_study
from trainsmith.catalogue import FAMILIES
from trainsmith.comparison import read_study
from trainsmith.comparison.study import Cost, Cut, Effect, EqualCost, Estimate
from trainsmith.report import family_tables, report_html, summary, tally, template, words, write_report
from trainsmith.report.interaction_map import interaction_map
from trainsmith.report.interval_figure import Scale, axis, interval, scale_of

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
def whole():
    """The page of a study of the whole catalogue: hundreds of runs."""
    return report_html(make_study())


@pytest.fixture(scope="module")
def page(whole):
    return Page(whole)


def test_every_family_has_two_tables_and_three_figures(page):
    assert page.tags.count("table") == 2 * len(FAMILIES) + 1
    assert page.tags.count("figure") == 3 * len(FAMILIES)
    for section in (*FAMILIES, "answer", "layers", "divergences", "protocol", "receipt", "repeat"):
        assert section in page.ids


def test_the_page_needs_nothing_from_outside(page, whole):
    assert page.tags.count("script") == 1
    assert all(reference.startswith("#") for reference in page.references)
    assert {r[1:] for r in page.references} <= set(page.ids)
    assert not re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?https?:', whole)
    assert "default-src 'none'" in html.unescape(whole)


def test_a_study_of_more_than_500_runs_can_be_mailed(whole):
    study = make_study()
    assert sum(len(row.scores) + len(row.attempts) for row in study.rows) > 500
    assert len(whole.encode()) < 2_000_000


def test_the_sections_stand_in_the_order_in_which_they_are_asked_for(page):
    order = ["answer", "glance", *FAMILIES, "layers", "divergences", "receipt", "protocol", "repeat"]
    assert [i for i in page.ids if i in order] == order


def test_ids_are_unique_so_that_figures_do_not_borrow_each_others_parts(page):
    assert len(page.ids) == len(set(page.ids))


def test_what_the_user_named_is_escaped_everywhere():
    study = make_study(EVIL, most=2, design="pairs")
    evil = tuple(replace(r, technique=EVIL, title=EVIL, words=EVIL) for r in study.rows)
    text = report_html(replace(study, rows=evil, about=EVIL, notes=(EVIL,)), question=EVIL)
    assert text.count("<script") == 1, "the page's own"
    assert text.count("&lt;script&gt;") >= 40
    assert Page(text).tags.count("script") == 1


def test_every_row_verdict_and_setting_is_on_the_page(whole):
    study, text = make_study(), whole.replace("\N{NO-BREAK SPACE}", " ")
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
    assert 'class="broken"' not in report_html(make_study(most=1))
    assert 'class="broken"' in report_html(make_study(holds=False, most=1))
    assert "BROKEN" in printed(make_study(holds=False, most=1))
    made = make_study(most=1)
    loose = replace(made, receipt=replace(made.receipt, deviation=0.02, tolerance=0.03))
    assert "tells little" in printed(loose)
    assert "tells little" not in printed(made)
    little = replace(made, receipt=replace(made.receipt, deviation=0.011, tolerance=0.012))
    assert "tells little" in printed(little)
    beyond = replace(made, receipt=replace(made.receipt, deviation=0.05, tolerance=0.03))
    assert "BROKEN" in printed(beyond)
    assert "tells little" not in printed(beyond)


def test_the_receipt_does_not_call_what_the_loop_trained_batched():
    study = make_study(most=1)
    assert "<p>Runs trained as batched populations" in report_html(study)
    looped = replace(study, receipt=replace(study.receipt, loops=("rnn is recurrent",)))
    assert "<p>Runs that can be batched were trained as batched populations" in report_html(looped)


def test_r_squared_is_not_shown_in_per_cent():
    text = report_html(make_study(metric="R²", most=1)).replace("\N{NO-BREAK SPACE}", " ")
    assert "0.970 [0.960, 0.980]" in text
    assert "97.0 %" not in text


def test_a_line_is_broken_before_an_interval_and_between_settings_only():
    for whole, parts in (
        ("97.0 % [96.0, 98.0]", ["97.0 %", "[96.0, 98.0]"]),
        ("-0.024 [-0.044, +0.004]", ["-0.024", "[-0.044, +0.004]"]),
        ("lr 0.012*, weight_decay 0.32", ["lr 0.012*,", "weight_decay 0.32"]),
        ("layer + tanh + sgd", ["layer + tanh + sgd"]),
        ("lr 5.6e-06*, rate -0.5", ["lr 5.6e\N{NON-BREAKING HYPHEN}06*,", "rate -0.5"]),
    ):
        assert [part.replace("\N{NO-BREAK SPACE}", " ") for part in template.unbroken(whole).split(" ")] == parts


def test_of_a_single_trial_no_figure_of_tuning_is_drawn():
    study = make_study(most=1)
    rows = tuple(replace(r, attempts=r.attempts[:1], tuning_curve=r.tuning_curve[:1]) for r in study.rows)
    text = report_html(replace(study, rows=rows))
    assert Page(text).tags.count("figure") == len(FEW)
    assert "Tuning budget" not in text
    assert "every tuning trial" not in text


@pytest.mark.parametrize(("reach", "ticks"), [(0.05, "-0.05"), (2, "-2"), (2500, "-2,000"), (5e6, "-5e+06")])
def test_the_scale_of_an_interval_has_numbers_as_one_writes_them(reach, ticks):
    assert ticks in re.findall(
        r">([-+][^<]*)</text>", axis(make_study(metric="R²", most=1), Scale(-reach, reach, 0.01))
    )


def test_where_nothing_is_better_the_baseline_is_the_winner_by_that_name():
    study = make_study(most=1)
    assert study.to_dict()["winner"] == study.best().technique != "baseline"
    none = tuple(replace(r, verdict="worse") if r.verdict == "better" else r for r in study.rows)
    assert replace(study, rows=none).to_dict()["winner"] == "baseline"


def test_a_study_from_before_these_were_measured_has_a_page_without_them():
    study = make_study(most=1)
    rows = tuple(replace(r, chance=None, tuning_curve=(), pace=None, diverged=0) for r in study.rows)
    page = Page(report_html(replace(study, rows=rows, activations=())))
    assert (page.tags.count("table"), page.tags.count("figure")) == (len(FEW) + 1, 2 * len(FEW))
    assert "layers" not in page.ids


def test_of_a_cost_less_is_shown_as_better():
    study = make_study(metric="log loss", most=1)
    words_ = report_html(study)
    first = next(r for r in study.rows if not r.is_baseline and r.difference.mean > 0)
    assert first.difference.mean == 0.02
    assert "-0.020 [-0.025, -0.015]" in words_, "a gain of 0.02 is a log loss lower by 0.02"
    assert "← better" in words_


def test_the_answer_says_so_when_nothing_beat_the_baseline():
    import dataclasses

    study = make_study(most=1)
    rows = tuple(dataclasses.replace(r, verdict="cannot tell yet") if not r.is_baseline else r for r in study.rows)
    assert "No technique was shown to be better" in report_html(dataclasses.replace(study, rows=rows))


def test_the_answer_says_what_becomes_of_a_lead_at_equal_cost():
    study = make_study(metric="log loss", most=1)
    first = next(i for i, r in enumerate(study.rows) if r.verdict == "better")
    assert " log loss against the baseline (" in words.answer(study)
    assert "equal cost" not in words.answer(study)
    for verdict, wording, said in (
        ("better", "better", "; it is better at equal cost too. On"),
        (
            "cannot tell yet",
            "cannot tell yet: about 14 seeds would",
            "; at equal cost: cannot tell yet: about 14 seeds",
        ),
    ):
        row = study.rows[first]
        equal = EqualCost(200, row.score, row.difference, 0.2, verdict, wording)
        rows = tuple(replace(row, equal_cost=equal) if i == first else r for i, r in enumerate(study.rows))
        assert said in words.answer(replace(study, rows=rows))


def test_the_answer_says_where_the_test_does_not_bear_the_lead_out():
    study = make_study(most=1)
    assert "does not show" not in words.answer(study)
    behind = replace(study, test=replace(study.test, score=study.test.baseline, baseline=study.test.score))
    assert words.answer(behind).endswith(
        "the baseline scores 98.0 % [97.0, 99.0], so that the lead does not show there."
    )


def test_the_answer_says_how_many_of_the_tested_runs_diverged():
    study = make_study(most=1)
    lost, best = "(3 of 8 runs diverged and count as the best constant prediction)", study.best()
    assert "diverged" not in words.answer(study)
    winner = replace(study, rows=tuple(replace(r, diverged=3) if r == best else r for r in study.rows))
    assert f"98.0 % [97.0, 99.0] accuracy {lost}; the baseline scores 97.0 % [96.0, 98.0]." in words.answer(winner)
    baseline = tuple(replace(r, diverged=3) if r.is_baseline else r for r in study.rows)
    assert words.answer(replace(study, rows=baseline)).endswith(f"the baseline scores 97.0 % [96.0, 98.0] {lost}.")
    untold = tuple(
        replace(r, verdict="cannot tell yet", words="cannot tell yet: all runs of both diverged") for r in baseline
    )
    held = words.answer(replace(study, rows=untold))
    assert f"98.0 % [97.0, 99.0] accuracy {lost}, where" in held
    assert "more seeds could tell" not in held


def test_where_no_family_stands_beside_it_none_is_said_of_what():
    study = make_study(most=3, design="pairs")
    named = [
        Effect(("normalization", "optimizer"), ("none", "sgd"), e.difference, e.p, e.verdict, e.words, 1)
        for e in study.interactions
    ]
    main = [
        Effect((f,), ("none",), e.difference, e.p, e.verdict, e.words, 1)
        for f, e in zip(("normalization", "regularization"), named, strict=False)
    ]
    study = replace(study, interactions=tuple(named[:1]), effects=tuple(main))
    text = printed(study) + report_html(study)
    for said in ("no normalization x sgd", "no regularization"):
        assert text.count(said) >= 2
    assert interaction_map(study).names == ("no normalization", "no regularization", "sgd")


def test_the_answer_says_where_a_winner_of_many_families_may_be_one_by_luck():
    study = make_study(most=3)
    assert "luck" not in words.answer(study), "older studies do not know"
    for p, said in ((0.049, False), (0.05, True), (0.12, True)):
        rows = tuple(replace(r, p_study=p) for r in study.rows)
        answer = words.answer(replace(study, rows=rows))
        counted = f"; counted among all 15 techniques of the study its p is {p:.2g}, so luck may do as much. On the"
        assert (counted in answer) == said


def test_seed_by_seed_the_page_says_how_much_seeds_differ_and_what_a_step_takes():
    study = make_study(most=2)
    row = next(r for r in study.rows if r.family == "optimizer" and not r.is_baseline)
    costs = (Cost("optimizer", row.technique, 1, 0.00123, 4.56), Cost("", "baseline", 1, 0.001, 1.0))
    study = replace(study, costs=costs)
    assert words.spread(study, row) == f"{100 * statistics.stdev(row.scores):.1f}"
    assert words.spread(replace(study, metric="R²"), row) == f"{statistics.stdev(row.scores):.3f}"
    assert words.step_alone(study, row) == "1.2 ms, 4.6 MB"
    page = report_html(study)
    assert page.count("1.2 ms, 4.6 MB") == 1
    assert page.count("1 ms, 1 MB") == len(study.families())


def test_the_page_does_not_speak_of_tuning_where_there_was_none():
    study = make_study(most=1)
    plain, tuned = (" ".join(report_html(replace(study, plan={**study.plan, "trials": n})).split()) for n in (1, 8))
    alone = "kept its default setting: nothing was tuned. Each run trained 600 steps of 16 examples"
    assert alone in plain
    assert "cosine). It was trained again on 8 fresh seeds" in plain
    assert "further seeds" not in plain
    assert alone not in tuned
    assert "tuned with 8 trials: its default setting, and points" in tuned
    assert "noise taken off, was trained again on 8 fresh seeds" in tuned


def test_sections_that_only_some_studies_have_are_among_the_links():
    study = make_study(most=1)
    cut = Cut("optimizer", "sgd", study.baseline, {}, 0.9, 0.1, 3, ())
    equal = EqualCost(200, study.rows[0].score, study.rows[0].score, 0.2, "better", "better")
    full = replace(study, cut=(cut,), rows=tuple(replace(r, equal_cost=equal) for r in study.rows))
    for name in ("cut", "equal-cost"):
        assert f'<a href="#{name}">' not in report_html(study)
        assert f'<a href="#{name}">' in report_html(full)
        assert f'id="{name}"' in report_html(full)


def test_a_share_and_its_interval_lie_between_nothing_and_all():
    assert words.share(Estimate(0.98, 0.94, 1.02)) == "98 % [94, 100]"
    assert words.share(Estimate(0.02, -0.02, 0.06)) == "2 % [0, 6]"


def test_the_answer_of_a_fast_study_that_nothing_won_says_how_many_have_no_verdict():
    study = make_study(most=1)
    rows = tuple(replace(r, verdict="cannot tell yet") if not r.is_baseline else r for r in study.rows)
    cut = Cut("optimizer", "sgd", study.baseline, {}, 0.9, 0.1, 3, ())
    assert "cut" not in words.answer(replace(study, rows=rows))
    assert "<dd>1 more, without a verdict</dd>" in report_html(replace(study, cut=(cut,)))
    assert "; 2 were cut after tuning and have no verdict. On" in words.answer(
        replace(study, rows=rows, cut=(cut, cut))
    )


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
    study = make_study(most=2, design="pairs")
    again = read_study(json.dumps(study.to_dict()))
    assert write_report(study, tmp_path / "a" / "x.html").read_text() == report_html(again)


def test_the_question_beside_the_page_stands_on_it(tmp_path):
    (tmp_path / "study.toml").write_text('data = "a <b>"\n')
    text = write_report(make_study(most=1), tmp_path / "report.html").read_text()
    assert "data = &#34;a &lt;b&gt;&#34;" in text


def test_an_interaction_without_a_number_has_no_field():
    study = make_study(most=1, design="pairs")
    lost = replace(study.interactions[0], difference=Estimate(math.nan, math.nan, math.nan))
    drawn = interaction_map(replace(study, interactions=(lost, *study.interactions[1:])))
    at = [drawn.names.index(t) for t in lost.techniques]
    assert drawn.fields[at[0]][at[1]] is None
    assert sum(f is not None for row in drawn.fields for f in row) == 2 * (len(study.interactions) - 1)
    assert interaction_map(replace(study, interactions=(lost,))).fields[at[0]][at[1]] is None


def test_the_map_of_a_design_tells_every_two_techniques_once_each_way():
    study = make_study(most=1, design="pairs")
    drawn = interaction_map(study)
    assert len(drawn.names) == len(FAMILIES)
    fields = [f for row in drawn.fields for f in row]
    assert sum(f is not None for f in fields) == 2 * len(study.interactions)
    for i in range(len(FAMILIES)):
        assert drawn.fields[i][i] is None
        for j in range(len(FAMILIES)):
            assert drawn.fields[i][j] == drawn.fields[j][i]
    best = next(e for e in study.interactions if e.verdict == "better")
    at = [drawn.names.index(t) for t in best.techniques]
    assert drawn.fields[at[0]][at[1]].text == "+2.0 +"
    assert "--cool" in drawn.fields[at[0]][at[1]].style


def test_the_page_says_how_many_further_trials_there_were_and_that_techniques_were_combined():
    study = make_study(most=1)
    assert "further ones" not in report_html(study)
    page = " ".join(report_html(replace(study, plan={**study.plan, "extension": 2}, design="pairs")).split())
    assert "since a best learning rate lay at the end of its range, 2 further ones beyond that end; the best" in page
    assert "choice in its family, alone and together with those of others. Every one" in page


def test_divergences_name_the_learning_rates_at_which_they_happened():
    study = make_study(most=5)
    found = tally.diverged(study)
    assert sum(d.row.is_baseline for d in found) == 1, "the baseline is one, however many families there are"
    assert {d.trials for d in found} == {1}
    assert {d.where for d in found} == {"0.013"}
    assert sum(d.fresh for d in found) == 2 * len(FAMILIES)


def test_techniques_stand_under_their_verdict_the_furthest_ahead_first():
    study = make_study()
    by = {g.verdict: g for g in tally.groups(study)}
    assert list(by) == list(tally.MARKS)
    assert sum(len(g.rows) + g.further for g in by.values()) == sum(not r.is_baseline for r in study.rows)
    moved = replace(study.rows[2], verdict="better", difference=Estimate(0.5, 0.4, 0.6))
    first = tally.groups(replace(study, rows=(*study.rows, moved)))[0].rows[0]
    assert first is moved


@pytest.mark.parametrize("metric", ["accuracy", "log loss"])
def test_an_interval_lies_where_its_numbers_say(metric):
    study = make_study(metric=metric, most=1)
    difference = Estimate(0.02, 0.01, 0.04)
    scale = scale_of(study, [difference, None, Estimate(-0.01, -0.02, 0.0), Estimate(math.nan, math.nan, math.nan)])
    drawn = str(interval(study, scale, difference, "better"))
    low, high = map(float, re.findall(r'd="M([\d.]+) 10H([\d.]+)"', drawn)[0])
    mean = float(re.findall(r'cx="([\d.]+)"', drawn)[0])
    if metric == "accuracy":
        assert (low, mean, high) == pytest.approx((scale.x(1), scale.x(2), scale.x(4)))
        assert scale.x(0) < low < mean < high
    else:
        assert low < mean < high < scale.x(0), "a gain is a lower cost, to the left"
    assert "circle" not in str(interval(study, scale, None, "baseline"))


def test_what_lies_far_outside_is_an_arrow_and_leaves_the_others_their_room():
    study = make_study(most=1)
    near, far = Estimate(0.02, 0.01, 0.03), Estimate(-0.9, -0.95, -0.85)
    scale = scale_of(study, [near, near, near, far])
    assert scale.low > -20, "in points; the far one has 95"
    drawn = str(interval(study, scale, far, "worse"))
    assert "rect" in drawn
    assert drawn.count("Z") == 1, "an arrow"


def test_an_accuracy_lies_between_nothing_and_all_of_it():
    assert words.score(make_study(), Estimate(0.6, -1.2, 2.4)) == "60.0 % [0.0, 100.0]"
    for metric, low in (("robust accuracy", "0.000"), ("micro F1", "0.000"), ("R²", "-1.200")):
        said = words.score(make_study(metric=metric, most=1), Estimate(0.6, -1.2, 2.4))
        assert said == f"0.600 [{low}, 1.000]", "R² alone can be negative"
