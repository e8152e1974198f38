"""docs/zoo.md from the record of a run of the zoo."""

from typing import Any

HEAD = """# The zoo: how often inspect finds what is wrong, and how often it cries wolf

Made by `make zoo` from [results/zoo.json](../results/zoo.json); do not edit it by hand.

The zoo holds {planted} networks with one planted fault each and {healthy} healthy controls: standard networks with
standard recipes on digits, MNIST, CIFAR-10, wine, breast cancer, diabetes and Shakespeare's text, those of Hugging
Face among them ([tests/zoo](../tests/zoo)). A hash of its name puts each into one of two halves, which draw different
weights and examples. Thresholds were chosen on the tuning half; the table below is the reporting half. Detectors and
cases were mended after misses in both, so take it for an upper bound. Intervals are Wilson's, 95 %.

**Reporting half: {recall} of the planted faults found; {alarms} of the healthy networks get a finding.**
(Tuning half: {tuning_recall} and {tuning_alarms}.)

| finding | planted and found | 95 % | precision | 95 % |
|---|---|---|---|---|
"""
FOOT = """
Precision: of all networks with the finding, those in which it was planted; networks in which it follows from the
planted fault, as saturation does from weights too large, are left out
([consequences.py](../tests/zoo/consequences.py)). `not finite` needs no calibration.

{wrong}
{seconds} s for all cases, one after the other, on {cpu}, torch {torch}, Python {python}.
"""


def page(whole: dict[str, Any]) -> str:
    """The page as Markdown."""
    report, tuning, both = whole["report"], whole["tuning"], whole["both"]
    rows = [
        f"| {fault} | {_count(row['recall'])} | {_interval(row['recall'])} | {_count(row['precision'])} "
        f"| {_interval(row['precision'])} |\n"
        for fault, row in report["findings"].items()
        if row["recall"]["of"]
    ]
    alarm = "healthy with a false alarm"
    head = HEAD.format(
        planted=both["recall"]["of"],
        healthy=both[alarm]["of"],
        recall=_said(report["recall"]),
        alarms=_said(report[alarm]),
        tuning_recall=_said(tuning["recall"]),
        tuning_alarms=_said(tuning[alarm]),
    )
    wrong = [f"- {w['case']} ({w['half']} half): {', '.join(w['found']) or 'nothing'} found" for w in
             whole["missed or falsely alarmed"]]  # fmt: skip
    told = "None was missed or falsely alarmed.\n"
    if wrong:
        told = "Missed, or falsely alarmed:\n\n" + "\n".join(wrong) + "\n"
    keys = ("seconds of all cases", "cpu", "torch", "python")
    return head + "".join(rows) + FOOT.format(wrong=told, **{key.split()[0]: whole[key] for key in keys})


def _count(share: dict[str, Any]) -> str:
    return f"{share['hits']} of {share['of']}"


def _interval(share: dict[str, Any]) -> str:
    return f"{100 * share['low']:.0f} to {100 * share['high']:.0f} %"


def _said(share: dict[str, Any]) -> str:
    return f"{_count(share)} ({100 * (share['share'] or 0):.1f} %, {_interval(share)})"
