"""MNIST: the IDX reader, where it looks, and what it refuses."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from trainsmith.data import load
from trainsmith.data.mnist import data_folder, read_idx, read_mnist
from trainsmith.errors import InvalidInput

SHARED = Path(__file__).parents[3] / "shared" / "data"


def idx(array, magic=None):
    """The bytes of an IDX file, written from the format's description."""
    magic = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.astype(np.uint8).tobytes()


def arrays():
    rng = np.random.default_rng(0)
    images, test = rng.integers(0, 256, (40, 5, 4)), rng.integers(0, 256, (10, 5, 4))
    return {
        "train-images-idx3-ubyte": images,
        "train-labels-idx1-ubyte": np.arange(40) % 4,
        "t10k-images-idx3-ubyte": test,
        "t10k-labels-idx1-ubyte": np.arange(10) % 4,
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("TRAINSMITH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing-here"))
    (tmp_path / "data").mkdir()
    for name, array in arrays().items():
        (tmp_path / "data" / name).write_bytes(idx(array))
    return tmp_path / "data"


def test_images_and_labels_are_read_and_the_test_part_is_the_files_own(folder):
    data, raw = load("mnist", data_dir=folder), arrays()
    assert (data.kind, data.task, data.classes) == ("image", "classification", ("0", "1", "2", "3"))
    pixels = raw["train-images-idx3-ubyte"].astype(np.float32)
    np.testing.assert_array_equal(data.x.numpy(), pixels[:, None] / np.float32(255))
    np.testing.assert_array_equal(data.y.numpy(), raw["train-labels-idx1-ubyte"])
    x, y = data.test.open()
    np.testing.assert_array_equal(np.round(255 * x.numpy()[:, 0]), raw["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(y.numpy(), raw["t10k-labels-idx1-ubyte"])


def rename(folder, how):
    for path in list(folder.iterdir()):
        new = how(path)
        new.parent.mkdir(exist_ok=True)
        content = path.read_bytes()
        path.unlink()
        new.write_bytes(gzip.compress(content) if new.suffix == ".gz" else content)


@pytest.mark.parametrize(
    "how",
    [
        lambda p: p.with_name(p.name + ".gz"),
        lambda p: p.with_name(p.name.replace("-idx", ".idx")),
        lambda p: p.with_name(p.name.replace("-idx", ".idx") + ".gz"),
        lambda p: p.parent / "mnist" / p.name,
    ],
    ids=["gzip", "dot", "dot and gzip", "in mnist/"],
)
def test_the_files_usual_names_and_places(folder, how):
    before = read_mnist(folder)
    rename(folder, how)
    after = read_mnist(folder)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


def test_where_data_are_looked_for(folder, monkeypatch):
    cache = folder.parent / "nothing-here" / "trainsmith"
    assert data_folder() == cache
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_folder() == Path.home() / ".cache" / "trainsmith"
    monkeypatch.setenv("TRAINSMITH_DATA", str(folder))
    assert data_folder() == folder
    assert len(load("mnist").x) == 40
    assert data_folder("elsewhere") == Path("elsewhere")
    assert data_folder("~/x") == Path.home() / "x"


def test_missing_files_are_named_with_where_they_were_looked_for_and_what_to_do(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InvalidInput) as refused:
        read_mnist(folder)
    message = str(refused.value)
    assert message.startswith("MNIST needs its four files, plain or .gz; t10k-labels-idx1-ubyte not found in ")
    assert f"{folder / 'mnist'} or {folder}. " in message
    assert "--data-dir" in message
    assert "TRAINSMITH_DATA" in message
    with pytest.raises(InvalidInput, match=r"nothing-here.*trainsmith.*mnist or "):
        read_mnist()


def spoil(content, how):
    return {
        "swapped": lambda: idx(np.arange(40)),
        "magic": lambda: b"\0\0\x0c\x03" + content[4:],
        "cut": lambda: content[:-1],
        "longer": lambda: content + b"\0",
        "header only": lambda: content[:10],
        "three bytes": lambda: content[:3],
        "empty": lambda: b"",
        "html": lambda: b"<html>not found</html>",
        "gzip cut": lambda: gzip.compress(content)[:-20],
        "gzip damaged": lambda: gzip.compress(content)[:30] + b"damage" + gzip.compress(content)[36:],
    }[how]()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("swapped", "IDX file of bytes with 3 axes, which begins with 0x00000803; got 0x00000801"),
        ("magic", "got 0x00000c03"),
        ("cut", "must be 816 bytes long for its header; it has 815, so it is cut off or damaged"),
        ("longer", "must be 816 bytes long for its header; it has 817"),
        ("header only", "must be 16 bytes long for its header; it has 10"),
        ("three bytes", "got an empty file"),
        ("empty", "got an empty file"),
        ("html", "got 0x3c68746d"),
        ("gzip cut", "is a damaged gzip file"),
        ("gzip damaged", "is a damaged gzip file"),
    ],
)
def test_damaged_files_are_refused_by_name(folder, how, message):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(spoil(path.read_bytes(), how))
    with pytest.raises(InvalidInput, match=message) as refused:
        load("mnist", data_dir=folder)
    assert str(path) in str(refused.value)
    assert "anew" in str(refused.value)


def test_images_and_labels_must_be_as_many(folder):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(9) % 4))
    with pytest.raises(InvalidInput, match="holds 10 images, but t10k-labels-idx1-ubyte 9 labels"):
        read_mnist(folder)


def test_a_label_only_the_test_part_has_is_refused(folder):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(10)))
    with pytest.raises(InvalidInput, match="mnist: the test part holds class '4', which the training part does not"):
        load("mnist", data_dir=folder)


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason=f"MNIST's files are not in {SHARED}")
def test_the_real_mnist():
    data = load("mnist", data_dir=SHARED)
    assert data.describe() == "mnist: 70,000 images of 28×28, 10 classes; 10,000 locked for the test"
    assert data.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert float(data.x.double().mean()) == pytest.approx(0.1307, abs=5e-5)
    assert float(data.x.double().std()) == pytest.approx(0.3081, abs=5e-5)
    labels = read_idx(SHARED / "mnist" / "t10k-labels-idx1-ubyte.gz", 1)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]
