"""Memory maps larger than memory: the same numbers as in memory, to the last bit, without being read as a whole."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trainsmith import rows
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import from_arrays, load, mapped
from trainsmith.data.arrays import assemble
from trainsmith.errors import InvalidInput
from trainsmith.export.check import _examples
from trainsmith.export.data_source import write_data
from trainsmith.population import Job, Training, trained_member, work
from trainsmith.population.members.objective import outputs_by_pieces
from trainsmith.population.pool import _handed
from trainsmith.store import data_of
from trainsmith.store.inputs import digest, put_data

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3


@pytest.fixture
def large(monkeypatch):
    """Every memory map counts as larger than memory, and is read a few numbers at a time."""
    monkeypatch.setattr(mapped, "HELD", 0)
    monkeypatch.setattr("trainsmith.data.examples.PIECE", 50)
    monkeypatch.setattr(rows.pieces, "__defaults__", (50,))


def map_in(folder, x, name="x"):
    np.save(folder / f"{name}.npy", x)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


EXAMPLES = {
    "table": RNG.normal(size=(60, 4)).astype(np.float32),
    "float64": RNG.normal(size=(60, 3)),
    "bytes, channels last": RNG.integers(0, 256, (60, 5, 4, 3), dtype=np.uint8),
    "grey": RNG.normal(size=(60, 5, 4)).astype(np.float32),
    "big-endian, in Fortran's order": np.asfortranarray(RNG.normal(size=(60, 3)).astype(">f8")),
}


@pytest.mark.parametrize("x", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_a_map_gives_the_numbers_that_its_array_gives(large, tmp_path, x):
    here, there = from_arrays(x, Y), from_arrays(map_in(tmp_path, x), Y)
    (a, _), (b, _) = here.test.open(), there.test.open()
    assert torch.equal(here.x, there.x)
    assert torch.equal(a, b)
    assert mapped.map_of(here.x) is None
    assert all(mapped.map_of(part) is not None for part in (there.x, b))
    assert digest(here) == digest(there)


def test_a_small_map_is_read(tmp_path):
    assert mapped.map_of(from_arrays(map_in(tmp_path, EXAMPLES["table"]), Y).x) is None


def test_what_is_not_finite_is_said_alike(large, tmp_path):
    x = EXAMPLES["table"].copy()
    x[[3, 7, 50], 2] = np.nan, np.inf, np.nan
    x[9, 3] = np.inf
    said = []
    for given in (x, map_in(tmp_path, x)):
        with pytest.raises(InvalidInput) as error:
            from_arrays(given, Y)
        said.append(str(error.value))
    assert said[0] == said[1]
    assert "3 of 60 values in feature 2 are NaN or infinite in 32 bits, and there are more in 1 other" in said[0]


def test_an_empty_test_part_is_refused():
    with pytest.raises(InvalidInput, match="the test part must hold examples of shape"):
        assemble(EXAMPLES["table"], Y, "data", test=(EXAMPLES["table"][:0], Y[:0]))


def test_a_full_disk_is_said_before_anything_is_written(large, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 100))
    with pytest.raises(InvalidInput, match=r"must have 0\.0 GB, and 0\.0 GB are free\. Set .* TMPDIR"):
        from_arrays(map_in(tmp_path, EXAMPLES["table"]), Y)


def test_files_go_when_nobody_needs_them(large, tmp_path):
    before = set(mapped._folder().iterdir())
    data = from_arrays(map_in(tmp_path, EXAMPLES["table"]), Y)
    assert len(set(mapped._folder().iterdir()) - before) == 2, "development and test part; the first copy is gone"
    del data
    assert set(mapped._folder().iterdir()) == before


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_large_arrays_of_an_archive_are_unpacked_to_the_disk(large, tmp_path, save):
    x = RNG.normal(size=(60, 5))
    save(tmp_path / "big.npz", x=x, y=Y, x_test=x[:9] + 1, y_test=Y[:9])
    there = load(tmp_path / "big.npz")
    assert mapped.map_of(there.x) is not None
    np.testing.assert_array_equal(there.x, x.astype(np.float32))
    np.testing.assert_array_equal(there.test.open()[0], (x[:9] + 1).astype(np.float32))


def test_a_folder_of_arrays(tmp_path):
    map_in(tmp_path, EXAMPLES["table"])
    with pytest.raises(InvalidInput, match=r"must be called x\.npy and y\.npy, in one folder; '.*' has x\.npy"):
        load(tmp_path)
    map_in(tmp_path, np.array(["a", "b", "c"])[Y], "y")
    for given in (tmp_path, tmp_path / "x.npy"):
        data = load(given)
        assert (data.name, data.classes, data.test.size) == (tmp_path.name, ("a", "b", "c"), 12)
    with pytest.raises(InvalidInput, match=r"a target is named for \.csv files only"):
        load(tmp_path, target="b")
    (tmp_path / "y.npy").write_bytes(b"nothing of numpy's")
    with pytest.raises(InvalidInput, match=r"'.*y\.npy' must be an array of numbers or text written by numpy\.save"):
        load(tmp_path)
    np.save(tmp_path / "y.npy", np.array([{}] * 60), allow_pickle=True)
    with pytest.raises(InvalidInput, match=r"'.*y\.npy' must be an array"):
        load(tmp_path)


def test_the_store_and_workers_use_the_same_file(large, tmp_path):
    data = from_arrays(map_in(tmp_path, EXAMPLES["table"]), Y)
    put_data(data, tmp_path)
    if os.stat(tmp_path).st_dev == os.stat(mapped._folder()).st_dev:
        assert os.stat(tmp_path / "data" / "x.npy").st_nlink == 2
    kept = data_of(tmp_path)
    assert torch.equal(kept.x, data.x)
    assert torch.equal(kept.test.open()[0], data.test.open()[0])
    assert _handed(data.x) is mapped.map_of(data.x), "joblib hands a map over by its file's name"
    assert mapped.as_tensor(_handed(data.x)).data_ptr() == data.x.data_ptr()
    assert isinstance(_examples(data, np.arange(9), fits=False), rows.Rows)


def trained(x):
    """Two runs whose recipe is fitted to the inputs, and what they score on the test part."""
    data = from_arrays(x, Y)
    trial = Trial(Recipe(normalization="standardization", regularization=("input-noise",)))
    runs = tuple(Run(trial, seed) for seed in range(2))
    record = work(Job("mlp", Training(6, 8, 2), runs, keep_states=True), data)
    network = trained_member(runs[0], "mlp", data, record.results[0].state).objective.network
    return record, outputs_by_pieces(network, data.test.open()[0])


def test_runs_on_a_map_come_to_the_same_numbers(large, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "PIECE", 50)
    (here, outputs), (there, others) = trained(EXAMPLES["table"]), trained(map_in(tmp_path, EXAMPLES["table"]))
    assert torch.equal(outputs, others)
    assert (here.deviations, here.tolerances) == (there.deviations, there.tolerances)
    for a, b in zip(here.results, there.results, strict=True):
        assert (a.curve, a.first_losses, a.score) == (b.curve, b.first_losses, b.score)
        assert all(np.array_equal(t, b.state[name]) for name, t in a.state.items())


def test_an_export_maps_files_of_its_own(large, tmp_path):
    data = from_arrays(map_in(tmp_path, EXAMPLES["bytes, channels last"]), Y)
    write_data(data, tmp_path)
    names = {"__file__": str(tmp_path / "data.py"), "__name__": "data"}
    exec((tmp_path / "data.py").read_text(), names)
    wanted = (data.x, data.y, *data.test.open())
    assert all(torch.equal(a, b) for a, b in zip(names["load"](), wanted, strict=True))
    assert not (tmp_path / "data.npz").exists()


LIMITED = """
import re, resource, sys
import numpy as np, torch
from pathlib import Path
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import from_arrays, load, mapped
from trainsmith.population import Job, Training, trained_member, work
from trainsmith.population.members.objective import outputs_by_pieces
from trainsmith.store import data_of
from trainsmith.store.inputs import digest, put_data
from trainsmith.store.worker import data_for_work
import sklearn.model_selection, torch._dynamo

mapped.HELD = 2**24
folder = Path(sys.argv[1])
runs = tuple(Run(Trial(Recipe(normalization="standardization")), seed) for seed in range(2))
job = Job("mlp", Training(2, 8, 1), runs, keep_states=True)
work(job, from_arrays(np.eye(40, 8), np.arange(40) % 2))  # what a first training imports is no matter of the data
used = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv[2]) * 2**20,) * 2)
try:
    np.array(np.load(folder / "x.npy", mmap_mode="r"))
except MemoryError:
    print("too large to copy")
data = load(folder)
digest(data)
put_data(data, folder)
record = work(job, data_for_work(folder))
member = trained_member(runs[0], "mlp", data_of(folder), record.results[0].state)
print(len(outputs_by_pieces(member.objective.network, data.test.open()[0])))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the limit is Linux's")
def test_a_study_takes_less_memory_than_its_data(tmp_path):
    n, megabytes = 28_000, 448
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, 1, 64, 64))  # sparse: of zeros nothing lies
    x[::100] = 1.0
    del x
    np.save(tmp_path / "y.npy", np.arange(n) % 2)
    command = [sys.executable, "-c", LIMITED, str(tmp_path), str(megabytes // 2)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=alone)
    assert done.stdout == f"too large to copy\n{n // 5}\n", done.stderr[-2000:]
