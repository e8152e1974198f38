"""The benchmark's competitors do equal work: the same losses, member by member."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_competitors_get_the_same_losses_as_a_plain_loop(tmp_path):
    others = ["vmap", *(name for name in ("jax", "modelbatch") if find_spec(name))]
    record = tmp_path / "record.json"
    command = [sys.executable, "benchmarks/population.py", "--quick", "--task", "1", "--json", str(record)]
    command += ["--competitors", "loop", *others]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(record.read_text())["tasks"].values()
    for name in ("trainsmith", "loop", *others):
        assert outcome["competitors"][name]["deviation_from_loop"] < 1e-4, name
        assert outcome["competitors"][name]["samples_x_members_per_second"] > 0
