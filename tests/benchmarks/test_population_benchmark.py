"""The benchmark's competitors do equal work: the same losses, member by member."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("other", ["vmap", "jax", "modelbatch"])
def test_competitors_get_the_same_losses_as_a_plain_loop(other, tmp_path):
    if other != "vmap":
        pytest.importorskip(other)
    record = tmp_path / "record.json"
    command = [sys.executable, "benchmarks/population.py", "--quick", "--task", "1", "--json", str(record)]
    command += ["--competitors", "loop", other]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(record.read_text())["tasks"].values()
    for name in ("trainsmith", "loop", other):
        assert outcome["competitors"][name]["deviation_from_loop"] < 1e-4, name
        assert outcome["competitors"][name]["samples_x_members_per_second"] > 0
