"""The claims' records: every script has one, verdicts follow from the figures, the page says what the records say."""

import ast
import json
import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

CLAIMS = Path(__file__).parents[2] / "results" / "claims"
sys.path.insert(0, str(CLAIMS))
from claim import Check, Claim, Measured, record, verdict_of  # noqa: E402

ALL = runpy.run_path(str(CLAIMS / "all.py"))
SCRIPTS = ALL["scripts"]()


def recorded(script):
    return json.loads(script.with_suffix(".json").read_text())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_record_is_of_the_claim_as_the_script_states_it(script):
    found = recorded(script)
    tree = ast.parse(script.read_text())
    (call,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "CLAIM"]
    stated = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    assert {name: found[name] for name in stated} == stated
    assert found["environment"]["command"] == f"python results/claims/{script.name}"
    assert found["seeds"] >= 5


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_verdict_follows_from_the_values_of_the_seeds(script):
    found = recorded(script)
    for c in found["checks"]:
        least, most = (math.copysign(math.inf, s) if v is None else v for v, s in ((c["least"], -1), (c["most"], 1)))
        check = Check(c["what"], c["values"], least, most)
        assert check.verdict() == c["verdict"]
        assert c["mean"] == pytest.approx(np.mean(c["values"]))
    assert found["verdict"] == verdict_of([c["verdict"] for c in found["checks"]])


def test_every_record_has_its_script():
    assert {p.stem for p in CLAIMS.glob("*.json")} == {p.stem for p in SCRIPTS}


def test_the_page_says_what_the_records_say():
    assert ALL["PAGE"].read_text() == ALL["page"](), "docs/claims.md is out of date: results/claims/all.py --page"


@pytest.mark.parametrize(
    ("values", "least", "most", "verdict"),
    [
        ([1.0, 1.1, 0.9], 0.0, math.inf, "holds"),
        ([1.0, 1.1, 0.9], 2.0, math.inf, "does not hold"),
        ([1.0, 1.1, 0.9], -math.inf, 0.5, "does not hold"),
        ([1.0, 1.1, 0.9], 1.0, math.inf, "cannot tell"),
        ([1.0, 1.1, 0.9], 0.5, 1.5, "holds"),
        ([-5.0, 7.0, 1.0], 0.0, math.inf, "cannot tell"),
    ],
)
def test_a_check_holds_when_its_whole_interval_does(values, least, most, verdict):
    assert Check("", values, least, most).verdict() == verdict


def test_one_check_that_fails_fails_the_claim():
    claim = Claim("C0", "s", "p", "f", "u")
    good, bad = Check("good", [1.0, 1.1], 0), Check("bad", [1.0, 1.01], 5)
    assert record(claim, Measured([good], {}, 2), 1.0, "x")["verdict"] == "holds"
    assert record(claim, Measured([good, bad], {}, 2), 1.0, "x")["verdict"] == "does not hold"
    assert verdict_of(["holds", "cannot tell"]) == "cannot tell"
