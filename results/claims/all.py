"""Measure every claim, and write the page about them from the records.

python results/claims/all.py [--quick] [--page] [--only NAME]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "claims.md"
INTRODUCTION = """# Claims of the field, measured

Each line is a statement that could have turned out wrong, measured mostly with trainsmith's own populations on real
data; where data are drawn or the loop is another, the claim says so. A
script in `results/claims/` says what was trained and how it was tuned; its record beside it holds every seed's value.
A check says where a quantity must lie: it *holds* when the whole 95 % interval over seeds lies there, *does not hold*
when the whole interval lies elsewhere, else we *cannot tell*. `make claims` measures all of them again and writes this
page.
"""


def scripts() -> list[Path]:
    """The claims' scripts, in the order of their numbers."""
    return sorted(p for p in HERE.glob("*.py") if p.stem[0] in "chx" and p.stem[1].isdigit())


def page() -> str:
    """docs/claims.md, from the records."""
    found = [(p, json.loads(p.with_suffix(".json").read_text())) for p in scripts() if p.with_suffix(".json").exists()]
    rows = [f"| [{r['number']}](#{r['number'].lower()}) | {r['statement']} | {r['verdict']} |" for _, r in found]
    table = "\n".join(["| | claim | verdict |", "|---|---|---|", *rows])
    return "\n".join([INTRODUCTION, table, "", *(_section(p, r) for p, r in found)])


def _section(script: Path, r: dict) -> str:
    checks = [
        f"| {c['what']} | {_between(c['least'], c['most'])} | {c['mean']:.4g} [{c['low']:.4g}, {c['high']:.4g}] | "
        f"{c['verdict']} |"
        for c in r["checks"]
    ]
    figures = [f"| {n} | {f['mean']:.4g} [{f['low']:.4g}, {f['high']:.4g}] |" for n, f in r["figures"].items()]
    differs = [f"Differs from the paper: {r['differs']}.", ""] if r["differs"] else []
    comment = [f"{r['notes']['comment']}", ""] if r["notes"].get("comment") else []
    return "\n".join([
        f"## {r['number']}",
        "",
        f"**{r['statement']}** *{r['verdict'].capitalize()}.*",
        "",
        f"{r['paper']}: {r['figure']}.",
        "",
        f"Measured: {r['setup']}; {r['seeds']} seeds, {r['seconds']:.0f} s on {r['environment']['cpu']}. "
        f"[Script](../results/claims/{script.name}), [record](../results/claims/{script.stem}.json).",
        "",
        *differs,
        *comment,
        "| check | must lie | mean [95 % interval] | |",
        "|---|---|---|---|",
        *checks,
        "",
        "| figure | mean [95 % interval] |",
        "|---|---|",
        *figures,
        "",
    ])  # fmt: skip


def _between(least: float | None, most: float | None) -> str:
    if least is None:
        return f"below {most:g}"
    return f"above {least:g}" if most is None else f"{least:g} to {most:g}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few steps and seeds, no records: does it all run?")
    parser.add_argument("--page", action="store_true", help="only write docs/claims.md from the records")
    parser.add_argument("--only", default="", metavar="NAME", help="only scripts whose name contains NAME")
    options = parser.parse_args()
    failed = []
    for script in [] if options.page else [s for s in scripts() if options.only in s.stem]:
        command = [sys.executable, str(script), *(["--quick"] if options.quick else [])]
        if subprocess.run(command, check=False).returncode:
            failed.append(script.name)
    if not options.quick:
        PAGE.write_text(page())
    if failed:
        print(f"could not be measured: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
