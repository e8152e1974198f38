"""How long `trainsmith --help` takes, beside `python -c pass`, in turn.

python benchmarks/startup.py [--runs 15] [--json results/startup.json]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from trainsmith.comparison.environment import describe_environment

COMMANDS = {
    "help": [str(Path(sys.executable).with_name("trainsmith")), "--help"],
    "python": [sys.executable, "-c", "pass"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", type=Path, default=Path("results/startup.json"))
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.runs):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    record = {
        "command": "python benchmarks/startup.py",
        **{
            f"{name}_seconds": {"min": min(s), "median": statistics.median(s), "max": max(s)}
            for name, s in seconds.items()
        },
        "environment": {**describe_environment(), "command": ""},
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record, indent=1) + "\n")
    print({name: round(statistics.median(s), 3) for name, s in seconds.items()})


if __name__ == "__main__":
    main()
