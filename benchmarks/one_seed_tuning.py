"""What a study says when each setting is tuned on one split only, beside the protocol's rematch of finalists.

python benchmarks/one_seed_tuning.py [--json results/one_seed_tuning.json]
"""

import argparse
import json
from pathlib import Path

from trainsmith.comparison import Budget, Study, compare
from trainsmith.comparison.environment import describe_environment
from trainsmith.data import load

BUDGETS = {"one seed": Budget(finalists=1, final_seeds=0), "finalists again": Budget()}


def verdicts(study: Study) -> dict[str, object]:
    baseline = next(row for row in study.rows if row.is_baseline)
    called = {v: [r.technique for r in study.rows if r.verdict == v] for v in ("better", "worse")}
    return {"baseline_setting": dict(baseline.values), "seeds": study.plan["seeds"], **called}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("results/one_seed_tuning.json"))
    options = parser.parse_args()
    found = {name: verdicts(compare("mlp", load("digits"), budget=budget)) for name, budget in BUDGETS.items()}
    record = {
        "command": "python benchmarks/one_seed_tuning.py",
        "data": "digits",
        **found,
        "environment": {**describe_environment(), "command": ""},
    }
    options.json.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
