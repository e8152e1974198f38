"""What a claim is: a statement that can turn out wrong, checks with intervals over seeds, a record and a verdict.

A script `cNN_name.py` beside this file declares a Claim and a function that measures it, and ends with

    if __name__ == "__main__":
        main(CLAIM, measure)

Running it prints the figures and writes `cNN_name.json`. A check says where a quantity's true mean must lie; it *holds*
when the whole 95 % t interval over seeds lies there, *does not hold* when the whole interval lies elsewhere, and else
we *cannot tell*. A claim holds if all its checks do, and does not hold if one does not.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from trainsmith.comparison.environment import describe_environment
from trainsmith.comparison.statistics import t_interval

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Claim:
    """number: "C2". statement: what is claimed. paper: who claims it, and where. figure: their figure, in words.

    setup: what was trained, on what, how tuned. differs: where that departs from the paper's set-up, and the scale.
    """

    number: str
    statement: str
    paper: str
    figure: str
    setup: str
    differs: str = ""


@dataclass(frozen=True)
class Check:
    """One quantity, a value for each seed, and where its mean must lie: within (least, most)."""

    what: str
    values: Sequence[float]
    least: float = -math.inf
    most: float = math.inf

    def verdict(self) -> str:
        interval = t_interval(self.values)
        if self.least < interval.low and interval.high < self.most:
            return "holds"
        if interval.high <= self.least or interval.low >= self.most:
            return "does not hold"
        return "cannot tell"


@dataclass(frozen=True)
class Measured:
    """What came out. figures: name -> a value for each seed, to be shown as mean and interval. seeds: how many."""

    checks: Sequence[Check]
    figures: dict[str, Sequence[float]]
    seeds: int
    notes: dict[str, Any] = field(default_factory=dict)


def verdict_of(checks: Sequence[str]) -> str:
    """A claim's verdict from those of its checks."""
    if "does not hold" in checks:
        return "does not hold"
    return "cannot tell" if "cannot tell" in checks else "holds"


def record(claim: Claim, measured: Measured, seconds: float, command: str) -> dict[str, Any]:
    """The claim and what came out, as values that JSON knows."""
    checks = [
        {"what": c.what, "least": _finite(c.least), "most": _finite(c.most), **_interval(c.values),
         "values": [float(v) for v in c.values], "verdict": c.verdict()}
        for c in measured.checks
    ]  # fmt: skip
    return {
        **asdict(claim),
        "verdict": verdict_of([c.verdict() for c in measured.checks]),
        "checks": checks,
        "figures": {name: _interval(values) for name, values in measured.figures.items()},
        "seeds": measured.seeds,
        "notes": measured.notes,
        "seconds": round(seconds, 1),
        "environment": {**describe_environment(), "command": command},
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interval(values: Sequence[float]) -> dict[str, float]:
    interval = t_interval(values)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def show(found: dict[str, Any], console: Console) -> None:
    console.print(f"[bold]{found['number']}[/bold] {found['statement']}\n  {found['paper']}: {found['figure']}")
    table = Table("figure", "mean", "95 % interval over seeds")
    for name, i in found["figures"].items():
        table.add_row(name, f"{i['mean']:.4g}", f"[{i['low']:.4g}, {i['high']:.4g}]")
    console.print(table)
    for c in found["checks"]:
        console.print(f"  {c['verdict']}: {c['what']}: {c['mean']:.4g} [{c['low']:.4g}, {c['high']:.4g}]", markup=False)
    console.print(f"  [bold]{found['verdict']}[/bold], {found['seeds']} seeds, {found['seconds']:.0f} s\n")


def main(claim: Claim, measure: Callable[[bool], Measured]) -> None:
    """Measure the claim, print what came out, write the record beside the script unless it was only a quick try."""
    script = Path(sys.argv[0]).resolve()
    parser = argparse.ArgumentParser(description=claim.statement)
    parser.add_argument("--quick", action="store_true", help="few steps and seeds: does it run? Writes no record.")
    options = parser.parse_args()
    started = time.perf_counter()
    measured = measure(options.quick)
    found = record(claim, measured, time.perf_counter() - started, f"python results/claims/{script.name}")
    show(found, Console(width=118))
    if not options.quick:
        script.with_suffix(".json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


__all__ = ["Check", "Claim", "Measured", "main", "record", "verdict_of"]
