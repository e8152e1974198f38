"""Exported data.py: it reads the same numbers from where they came from, else from arrays beside it."""

import gzip
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from trainsmith.data import load, split
from trainsmith.data.arrays import from_arrays
from trainsmith.export.data_source import write_data

DRAW = np.random.default_rng(3)


def read(folder):
    names = {"__name__": "data", "__file__": str(folder / "data.py")}
    exec((folder / "data.py").read_text(), names)
    return names


def agree(names, dataset):
    wanted = (dataset.x, dataset.y, *dataset.test.open())
    return all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(names["load"](), wanted, strict=True))


def csv(lines, header):
    return "\n".join([header, *lines]) + "\n"


def files(here):
    """Files with what makes their reading differ: bytes, channels last, text, an index, a test part, odd names."""
    labels = np.array(list("abc") * 20)
    np.savez(here / "bytes.npz", X=DRAW.integers(0, 255, (60, 5, 4), dtype=np.uint8), y=labels)
    np.savez(here / "colour.npz", x=DRAW.integers(0, 255, (60, 5, 4, 3), dtype=np.uint8), Y=np.arange(60) % 2)
    parts = {"x_test": DRAW.normal(size=(9, 5)), "y_test": DRAW.normal(size=9)}
    np.savez(here / "parts.npz", x=DRAW.normal(size=(60, 5)), y=DRAW.normal(size=60), **parts)
    np.savez(here / "labelled.npz", x=DRAW.normal(size=(60, 5)), y=labels, x_test=parts["x_test"], y_test=labels[:9])
    rows = [f"{i},{DRAW.normal()},{'rgb'[i % 3]},{'uv'[i % 2]}" for i in range(60)]
    (here / "index.csv").write_text(csv(rows, "Unnamed: 0, col ,kind,target"))
    (here / "counted.csv").write_text(csv([f"7{row}" for row in rows], "Unnamed: 0,col,kind,target"))
    rows = [f"{DRAW.normal()},{'rgb'[i % 3]},{DRAW.normal()}" for i in range(60)]
    (here / "last.csv").write_text(csv(rows, "a,kind,it's z"))


CASES = [
    ("digits", {}), ("digits", {"task": "autoencoding"}), ("wine", {}), ("diabetes", {}),
    ("breast-cancer", {"task": "balanced"}), ("bytes.npz", {}), ("colour.npz", {}), ("parts.npz", {}),
    ("parts.npz", {"task": "autoencoding"}), ("labelled.npz", {}), ("index.csv", {}), ("last.csv", {}),
    ("last.csv", {"target": "KIND"}), ("last.csv", {"leave_out": "a"}), ("index.csv", {"leave_out": ["Col"]}),
    ("counted.csv", {"leave_out": ["Unnamed: 0", "kind"]}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "options"), CASES, ids=str)
def test_data_are_read_from_their_source(given, options, tmp_path):
    files(tmp_path)
    place = tmp_path / given if "." in given else given
    dataset = load(place, **options)
    (tmp_path / "out").mkdir()
    words = write_data(dataset, tmp_path / "out")
    assert "data.npz" not in words
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["data.py"]
    names = read(tmp_path / "out")
    assert agree(names, dataset)
    stratify = (dataset.y.numpy(),) if dataset.classifies else ()
    for mine, wanted in zip(names["hold_out"](len(dataset.y), 8, "split", *stratify), split(dataset, 8), strict=True):
        assert np.array_equal(mine, wanted)


def test_mnists_files_are_read_where_they_lie(tmp_path):
    (tmp_path / "mnist").mkdir()
    for stem, n in (("train", 60), ("t10k", 20)):
        images, labels = DRAW.integers(0, 256, (n, 28, 28), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 10
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(f">{1 + array.ndim}i", 0x800 + array.ndim, *array.shape)
            path = tmp_path / "mnist" / f"{stem}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(head + array.tobytes()))
    dataset = load("mnist", data_dir=tmp_path)
    assert str(tmp_path / "mnist") in write_data(dataset, tmp_path)
    assert agree(read(tmp_path), dataset)


def test_data_without_a_source_lie_beside_the_script(tmp_path):
    dataset = from_arrays(DRAW.normal(size=(60, 5)), np.arange(60) % 3)
    assert write_data(dataset, tmp_path) == "the arrays in data.npz"
    assert agree(read(tmp_path), dataset)


def test_a_source_that_changed_meanwhile_is_not_read(tmp_path):
    files(tmp_path)
    dataset = load(tmp_path / "parts.npz")
    np.savez(tmp_path / "parts.npz", x=DRAW.normal(size=(60, 5)), y=DRAW.normal(size=60))
    assert write_data(dataset, tmp_path) == "the arrays in data.npz"
    assert agree(read(tmp_path), dataset)
    assert write_data(replace(dataset, origin={"given": str(tmp_path / "gone.csv")}), tmp_path).endswith("data.npz")


@pytest.mark.parametrize("name", ["index.csv", "parts.npz"])
@pytest.mark.parametrize("content", [b"", b"a\n", b"PK\x03\x04"])
def test_a_source_that_was_damaged_meanwhile_is_not_read(name, content, tmp_path):
    files(tmp_path)
    dataset = load(tmp_path / name)
    (tmp_path / name).write_bytes(content)
    assert write_data(dataset, tmp_path) == "the arrays in data.npz"
    assert agree(read(tmp_path), dataset)
