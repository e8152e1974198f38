"""Pictures in folders, Parquet files, CIFAR-10 and what Python users hand over: round trips and refusals."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from trainsmith.data import as_dataset, load
from trainsmith.data.cifar10 import CLASSES
from trainsmith.errors import InvalidInput

RNG = np.random.default_rng(0)


def grey(value, size=(4, 4)):
    return np.full(size, value, np.uint8)


def encoded(array, form="PNG"):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form)
    return stream.getvalue()


def put(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(array))


def classes_in(folder, count=12, start=0):
    for i in range(count):
        put(folder / "cat" / f"{i:02}.png", grey(start + i))
        put(folder / "dog" / "deeper" / f"{i:02}.png", grey(start + 100 + i))


def test_a_folder_for_each_class(tmp_path):
    classes_in(tmp_path / "pets")
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "pets" / ".hidden").mkdir()
    put(tmp_path / "pets" / "dog" / ".thumb.png", grey(9))
    data = load(tmp_path / "pets")
    assert (data.name, data.classes, data.input_shape) == ("pets", ("cat", "dog"), (1, 4, 4))
    x, y = torch.cat([data.x, data.test.open()[0]]), torch.cat([data.y, data.test.open()[1]])
    assert len(x) == 24
    for value, label in zip(x[:, 0, 0, 0] * 255, y, strict=True):
        assert (value.round() >= 100) == bool(label)
    assert sorted((x[:, 0, 0, 0] * 255).round().int().tolist()) == [*range(12), *range(100, 112)]


def test_parts_of_their_own(tmp_path):
    classes_in(tmp_path / "train")
    classes_in(tmp_path / "val", start=50)
    classes_in(tmp_path / "Test", 3, start=200 - 100)
    data = load(tmp_path)
    assert (len(data.x), data.test.size) == (48, 6)
    x, y = data.test.open()
    assert sorted((x[:, 0, 0, 0] * 255).round().int().tolist()) == [100, 101, 102, 200, 201, 202]
    assert y.tolist() == [0, 0, 0, 1, 1, 1]


def test_colour_and_grey_pictures_become_colour(tmp_path):
    for i in range(12):
        put(tmp_path / "a" / f"{i}.png", np.full((3, 5, 3), (i, 2 * i, 3 * i), np.uint8))
        put(tmp_path / "b" / f"{i}.png", grey(200, (3, 5)))
    data = load(tmp_path)
    assert data.input_shape == (3, 3, 5)
    of_a = data.x[data.y == 0][:, :, 0, 0] * 255
    torch.testing.assert_close(of_a, of_a[:, :1] * torch.tensor([1.0, 2.0, 3.0]))
    assert (data.x[data.y == 1] * 255).unique().round().tolist() == [200]


def test_pictures_of_several_sizes_need_a_size(tmp_path):
    classes_in(tmp_path)
    put(tmp_path / "dog" / "zz.png", np.pad(grey(180, (8, 8)), ((0, 0), (4, 4))))
    with pytest.raises(InvalidInput, match=r"must have one size; the first has 4×4 pixels and .*zz.png' 8×16"):
        load(tmp_path)
    data = load(tmp_path, image_size=4)
    assert data.input_shape == (1, 4, 4)
    values = torch.cat([data.x, data.test.open()[0]]) * 255
    inner = values[:, 0, :, 1:3]  # filters reach beyond the edges of what is cropped
    assert any(torch.allclose(v, torch.full((4, 2), 180.0), atol=12) for v in inner), "the middle is kept"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "must hold a folder of pictures for each class"),
        (lambda p: put(p / "1.png", grey(0)), "no picture was found in folders inside it"),
        (
            lambda p: (classes_in(p), (p / "cat" / "x.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")),
            "x.png' cannot be read",
        ),
        (lambda p: (classes_in(p), (p / "cat" / "x.jpg").write_bytes(b"")), "x.jpg' cannot be read as a picture"),
        (lambda p: classes_in(p / "train" / "only", 0), "no picture was found"),
        (lambda p: [put(p / "one" / f"{i}.png", grey(i)) for i in range(30)], "single class, 'one'"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(InvalidInput, match=message) as refused:
        load(tmp_path)
    assert "\n" not in str(refused.value)


def test_sixteen_bits_are_not_silently_cut(tmp_path):
    classes_in(tmp_path)
    Image.fromarray(np.full((4, 4), 30_000, np.uint16)).save(tmp_path / "cat" / "deep.png")
    with pytest.raises(InvalidInput, match="more than 8 bits a pixel"):
        load(tmp_path)


def images_frame(count, start=0):
    images = [{"bytes": encoded(grey(start + i)), "path": None} for i in range(count)]
    return pd.DataFrame({"image": images, "label": np.arange(count) % 2, "note": ["x"] * count})


def written(frame, path, names=None, column="label"):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is in the parquet extra")
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    if names:
        feature = {"names": names, "_type": "ClassLabel"}
        features = {column: feature, "image": {"_type": "Image"}}
        table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def test_parquet_images_as_hugging_face_stores_them(tmp_path):
    written(images_frame(20), tmp_path / "mine" / "data" / "train-00000-of-00002.parquet", ["cat", "dog"])
    written(images_frame(20, 20), tmp_path / "mine" / "data" / "train-00001-of-00002.parquet", ["cat", "dog"])
    written(images_frame(6, 100), tmp_path / "mine" / "data" / "test-00000-of-00001.parquet", ["cat", "dog"])
    data = load(tmp_path / "mine")
    assert (data.name, data.classes, len(data.x), data.test.size) == ("mine", ("cat", "dog"), 40, 6)
    assert (data.x[:, 0, 0, 0] * 255).round().int().tolist() == list(range(40))
    x, y = data.test.open()
    assert ((x[:, 0, 0, 0] * 255).round().int().tolist(), y.tolist()) == (list(range(100, 106)), [0, 1] * 3)


@pytest.mark.parametrize(("column", "target"), [("fine", None), ("fine", "fine"), ("label", None)])
def test_the_targets_classes_have_their_names_whatever_the_column_is_called(tmp_path, column, target):
    frame = images_frame(20).rename(columns={"label": column})[["note", column, "image"]]
    written(frame, tmp_path / "mine.parquet", ["cat", "dog", "owl"], column)
    assert load(tmp_path / "mine.parquet", target=target).classes == ("cat", "dog"), "no owl is there"
    table = frame.drop(columns="image").assign(size=np.arange(20.0))
    written(table, tmp_path / "table.parquet", ["cat", "dog"], column)
    assert load(tmp_path / "table.parquet", target=column).classes == ("cat", "dog")
    assert load(tmp_path / "table.parquet", target=column, task="regression").classes == ()
    written(table, tmp_path / "one.parquet", ["cat"], column)
    assert load(tmp_path / "one.parquet", target=column).classes == ("0", "1"), "not all have a name"
    written(table, tmp_path / "odd.parquet", [3, 4], column)
    assert load(tmp_path / "odd.parquet", target=column).classes == ("0", "1")


def test_named_classes_are_classes_however_many_they_are(tmp_path):
    frame = pd.DataFrame({"a": np.arange(400.0), "kind": np.arange(400) % 40})
    written(frame, tmp_path / "many.parquet", [f"k{i}" for i in range(40)], "kind")
    data = load(tmp_path / "many.parquet")
    assert (data.task, data.outputs, data.classes[39]) == ("classification", 40, "k39")
    written(frame, tmp_path / "plain.parquet")
    assert load(tmp_path / "plain.parquet").task == "regression"


def test_parquet_table_with_text_in_both_parts(tmp_path):
    frame = pd.DataFrame({"size": np.arange(30.0), "kind": ["a", "b", "c"] * 10, "label": ["yes", "no"] * 15})
    written(frame, tmp_path / "train.parquet")
    written(frame[frame.kind != "b"][:6], tmp_path / "test.parquet")
    data = load(tmp_path)
    assert (data.kind, data.input_shape, data.test.size) == ("table", (4,), 6)
    x, _ = data.test.open()
    assert x[:, 2].tolist() == [0.0] * 6, "a value that the test part lacks keeps its column"
    alone = load(tmp_path / "train.parquet", target="size")
    assert alone.task == "regression"


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + bytes(200) + b"PAR1", b"no such thing" * 20])
def test_damaged_parquet_is_refused(tmp_path, content):
    pytest.importorskip("pyarrow", reason="pyarrow is in the parquet extra")
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(InvalidInput, match="is not a Parquet file, or damaged") as refused:
        load(tmp_path / "x.parquet")
    assert "\n" not in str(refused.value)


def test_cifar10_from_its_binary_files(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    records = RNG.integers(0, 256, (60, 3073), dtype=np.uint8)
    records[:, 0] = np.arange(60) % 10
    for i in range(5):
        records[10 * i : 10 * i + 10].tofile(folder / f"data_batch_{i + 1}.bin")
    records[50:].tofile(folder / "test_batch.bin")
    data = load("CIFAR-10", data_dir=tmp_path)
    assert (data.name, data.classes, data.input_shape, data.test.size) == ("cifar10", CLASSES, (3, 32, 32), 10)
    expected = records[:50, 1:].reshape(-1, 3, 32, 32) / np.float32(255)
    np.testing.assert_array_equal(data.x.numpy(), expected.astype(np.float32))
    assert data.y.tolist() == records[:50, 0].tolist()
    (folder / "test_batch.bin").write_bytes(b"\x0b" + bytes(3072))
    with pytest.raises(InvalidInput, match="holds a class above 9"):
        load("cifar10", data_dir=tmp_path)
    (folder / "test_batch.bin").write_bytes(bytes(100))
    with pytest.raises(InvalidInput, match="must hold records of 3073 bytes; it has 100"):
        load("cifar10", data_dir=tmp_path)


def test_cifar10_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInput, match=r"CIFAR-10 needs data_batch_1\.bin .* --data-dir"):
        load("cifar10", data_dir=tmp_path)


class Items(torch.utils.data.Dataset):
    classes = ("night", "day")

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def test_a_torch_dataset(tmp_path):
    data = as_dataset(Items([(torch.full((2, 3, 3), float(i)), torch.tensor(i % 2)) for i in range(30)]))
    assert (data.name, data.classes, data.kind, len(data.x) + data.test.size) == (
        "Items",
        ("night", "day"),
        "image",
        30,
    )
    pictures = Items([(Image.fromarray(grey(i, (6, 6))), i % 2) for i in range(30)])
    with_test = as_dataset({"train": pictures, "test": Items(pictures.items[:4])})
    assert (len(with_test.x), with_test.test.size) == (30, 4)
    assert (with_test.x[:, 0, 0, 0] * 255).round().int().tolist() == list(range(30))


class Endless(torch.utils.data.IterableDataset):
    def __len__(self):
        return 30

    def __iter__(self):
        return iter([(np.zeros(2), 0)] * 30)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "must be a name, a path, a pair .* got int"),
        ({"tset": 1}, "must have one named 'train'; got tset"),
        (Items([(np.zeros(2), 0, 1)] * 30), r"pair \(input, target\); item 0 of the train part is a tuple of 3"),
        (Items([(np.zeros(2 + i // 29), i % 2) for i in range(30)]), r"must have one shape; got \(2,\), \(3,\)"),
        (Items([]), "the train part is empty"),
        (pd.DataFrame({"a": range(30), "label": [0, 1] * 15}), r"\(frame\[inputs\], frame\[target\]\)"),
        (Items([(np.zeros(2), [0] * (1 + i % 3)) for i in range(30)]), "the targets of the train part must be a dense"),
        (Items([(np.zeros(2), None)] * 30), "the targets of the train part must be an array of numbers or text"),
        (Items([({"a": 1}, 0)] * 30), "the input of item 0 of the train part must be an array of numbers"),
        (Items([("text", 0)] * 30), "the input of item 0 of the train part must be an array of numbers; got text"),
        (Endless(), "Endless, an IterableDataset, lacks"),
    ],
)
def test_what_is_no_data(data, message):
    with pytest.raises(InvalidInput, match=message):
        as_dataset(data)


def test_a_hugging_face_datasets_classes_have_their_names_in_any_column(monkeypatch):
    """With what as_dataset asks of one, where the package is not installed."""
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(Image=type("Image", (), {})))
    frame = pd.DataFrame({"a": range(40), "outcome": [i % 2 for i in range(40)]})
    features = {"a": SimpleNamespace(), "outcome": SimpleNamespace(names=["no", "yes"])}
    data = as_dataset(SimpleNamespace(features=features, info=SimpleNamespace(), to_pandas=lambda: frame))
    assert (data.classes, data.predicted) == (("no", "yes"), "outcome")


def test_a_hugging_face_dataset():
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    table = {"a": list(range(40)), "label": [i % 2 for i in range(40)]}
    features = datasets.Features({"a": datasets.Value("int64"), "label": datasets.ClassLabel(names=["no", "yes"])})
    whole = datasets.Dataset.from_dict(table, features=features)
    data = as_dataset(whole)
    assert (data.classes, data.kind, len(data.x) + data.test.size) == (("no", "yes"), "table", 40)
    renamed = as_dataset(whole.rename_column("label", "outcome"))
    assert (renamed.classes, renamed.predicted) == (("no", "yes"), "outcome")
    images = [Image.fromarray(grey(i)) for i in range(40)]
    kinds = datasets.Features({"image": datasets.Image(), "label": features["label"]})
    pictures = datasets.Dataset.from_dict({"image": images, "label": table["label"]}, features=kinds)
    parts = datasets.DatasetDict({"train": pictures, "test": pictures.select(range(6))})
    data = as_dataset(parts)
    assert (data.input_shape, data.test.size) == ((1, 4, 4), 6)
    assert (data.x[:, 0, 0, 0] * 255).round().int().tolist() == list(range(40))


def test_hidden_folders_inside_a_class_are_passed_over(tmp_path):
    classes_in(tmp_path)
    put(tmp_path / "cat" / ".ipynb_checkpoints" / "00-checkpoint.png", grey(0))
    assert len(load(tmp_path).x) + load(tmp_path).test.size == 24


def test_a_size_for_pictures_is_refused_of_a_parquet_table(tmp_path):
    written(pd.DataFrame({"a": np.arange(30.0), "label": ["yes", "no"] * 15}), tmp_path / "t.parquet")
    with pytest.raises(InvalidInput, match=r"an image size is for encoded pictures only; .* holds a table"):
        load(tmp_path / "t.parquet", image_size=8)


@pytest.mark.parametrize("several", [[[1.0, 2.0]] * 30, [{"a": 1}] * 30])
def test_columns_of_several_values_in_a_row_are_refused_as_that(tmp_path, several):
    written(pd.DataFrame({"embedding": several, "label": ["yes", "no"] * 15}), tmp_path / "t.parquet")
    with pytest.raises(InvalidInput, match="the column 'embedding' holds several values in a row"):
        load(tmp_path / "t.parquet")


def test_a_picture_with_a_palette_has_its_colours():
    colours = RNG.integers(0, 256, (30, 6, 6, 3), dtype=np.uint8) // 64 * 64
    pictures = [Image.fromarray(c).quantize(64) for c in colours]
    data = as_dataset(Items([(p, i % 2) for i, p in enumerate(pictures)]))
    wanted = np.stack([np.asarray(p.convert("RGB")) for p in pictures]).transpose(0, 3, 1, 2) / np.float32(255)
    found = torch.cat([data.x, data.test.open()[0]]).numpy()
    assert data.input_shape == (3, 6, 6)
    assert sorted(map(bytes, found)) == sorted(map(bytes, wanted.astype(np.float32)))


def test_items_may_be_tensors_of_any_kind():
    x = torch.randn(30, 3)
    for items in (x.bfloat16().float(), x.clone().requires_grad_(), x.bfloat16()):
        data = as_dataset(Items([(row, torch.tensor(i % 2)) for i, row in enumerate(items)]))
        assert torch.equal(torch.cat([data.x, data.test.open()[0]]).sum(0).round(decimals=3),
                           items.detach().float().sum(0).round(decimals=3))  # fmt: skip
