"""The data's part of an export: a module that reads them where they came from, or else from arrays beside it."""

import contextlib
import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainsmith.data import Dataset
from trainsmith.data.csv_table import read_table
from trainsmith.data.examples import CHANNELS
from trainsmith.data.mapped import map_of, put_file
from trainsmith.data.mnist import data_folder
from trainsmith.data.split import SHARE
from trainsmith.errors import InvalidInput
from trainsmith.export.readable import readable
from trainsmith.export.template import filled

TABLES = {"wine": "load_wine()", "breast-cancer": "load_breast_cancer()", "diabetes": "load_diabetes(scaled=False)"}
ARRAYS, FURTHER = "data.npz", "unlabelled.npz"
NAMES = {"x": None, "y": None, "x_test": None, "y_test": None}
IMPORTS = "import gzip\nimport pandas as pd\nfrom sklearn import datasets\n"


def write_data(dataset: Dataset, folder: Path) -> str:
    """Write data.py into `folder`, which reads the data set from its source, or from data.npz; where that is, in words.

    The source is used only if reading it with data.py gives the same numbers, each and all.
    """
    if map_of(dataset.x) is not None:
        return _write_files(dataset, folder)
    if dataset.unlabelled is not None:
        np.savez_compressed(folder / FURTHER, x=dataset.unlabelled.numpy())
    either = (True, False) if dataset.task == "autoencoding" else (dataset.classifies,)
    sources: list[dict[str, Any]] = []
    with contextlib.suppress(Exception):  # of a source that was changed since it was read, in whatever way
        sources = _sources(dataset)
    for found, in_classes in itertools.product(sources, either):
        found["classes"] = in_classes
        text = _text(dataset, found)
        if _reads_the_same(text, dataset):
            (folder / "data.py").write_text(text, encoding="utf-8")
            return str(found["words"])
    (folder / "data.py").write_text(_text(dataset, {"kind": "arrays"}), encoding="utf-8")
    x, y = dataset.test.open()
    arrays = {"x": dataset.x, "y": dataset.y, "x_test": x, "y_test": y}
    np.savez_compressed(folder / ARRAYS, **{n: t.numpy() for n, t in arrays.items()})  # type: ignore[arg-type]
    return f"the arrays in {ARRAYS}"


def _write_files(dataset: Dataset, folder: Path) -> str:
    """Arrays too large for memory as files beside data.py, other names of the files that they are maps of if it can."""
    if dataset.unlabelled is not None:
        np.savez(folder / FURTHER, x=dataset.unlabelled.numpy())
    x, y = dataset.test.open()
    for name, tensor in (("x", dataset.x), ("y", dataset.y), ("x_test", x), ("y_test", y)):
        (folder / f"{name}.npy").unlink(missing_ok=True)
        put_file(tensor, folder / f"{name}.npy")
    (folder / "data.py").write_text(_text(dataset, {"kind": "files"}), encoding="utf-8")
    return "the arrays x.npy, y.npy, x_test.npy and y_test.npy"


def _text(dataset: Dataset, found: Mapping[str, Any]) -> str:
    about = dataset.describe().replace("\\", "/").replace('"', "'")
    fixed = {"about": f"{about}.", "classes": dataset.classifies, "text": False, "share": SHARE, "names": NAMES}
    fixed["autoencoding"] = dataset.task == "autoencoding"
    fixed["further"] = None if dataset.unlabelled is None else FURTHER
    source = filled("data.py.jinja", **{**fixed, **found})
    head, _, rest = source.partition("\nimport hashlib")
    return readable(f"{head}\n{IMPORTS}import hashlib{rest}")


def _sources(dataset: Dataset) -> list[dict[str, Any]]:
    """How the data can be read from where they came from, for the template."""
    origin = dataset.origin or {}
    given = origin.get("given", "")
    if given == "digits":
        return [{"kind": "digits", "words": "scikit-learn's load_digits"}]
    if given in TABLES:
        return [{"kind": "table", "place": TABLES[given], "words": f"scikit-learn's {TABLES[given].split('(')[0]}"}]
    if given == "mnist":
        folder = data_folder(origin.get("data_dir")).resolve()
        places = [p for p in (folder / "mnist", folder) if any(p.glob("train-images*"))]
        return [{"kind": "mnist", "place": repr(str(p)), "words": f"MNIST's files in {p}"} for p in places]
    path = Path(given)
    if path.suffix.lower() == ".npz" and path.is_file():
        return [{"kind": "npz", "place": repr(given), "words": str(path), **_arrays(path)}]
    if path.suffix.lower() == ".csv" and path.is_file():
        table = _table(path, origin.get("target"), dataset.left_out)
        return [{"kind": "csv", "place": repr(given), "words": str(path), **table}]
    return []


def _arrays(path: Path) -> dict[str, Any]:
    """The names in a file of arrays, and what makes its inputs (n, channels, height, width) from 0 to 1."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        x, text = None, False
        names = NAMES | {name.lower(): repr(name) for name in stored.files}
        for name in stored.files:
            if name.lower() == "x":
                x = stored[name]
            text = text or (name.lower() == "y" and stored[name].dtype.kind == "U")
    layout = []
    if x is not None and x.ndim == 3:
        layout.append("ARRAY[:, None]")
    if x is not None and x.ndim == 4 and x.shape[3] in CHANNELS and x.shape[1] not in CHANNELS:
        layout.append("ARRAY.transpose(0, 3, 1, 2)")
    of_bytes = x is not None and x.ndim > 2 and x.dtype == np.uint8
    layout.append("ARRAY / np.float32(255)" if of_bytes else "ARRAY.astype(np.float32)")
    return {"names": names, "layout": layout, "text": text}


def _table(path: Path, target: str | None, left_out: tuple[str, ...]) -> dict[str, Any]:
    import pandas as pd

    table = read_table(path, target, left_out)
    first = pd.read_csv(path, nrows=0, index_col=False, skipinitialspace=True).columns[0].strip()
    return {
        "target": repr(table.target),
        "text": table.y.dtype.kind == "U",
        "counter": first.startswith("Unnamed: ") and first not in left_out,
        "left_out": list(left_out),
    }


def _reads_the_same(text: str, dataset: Dataset) -> bool:
    """Whether the module reads exactly the data set's numbers."""
    names: dict[str, Any] = {"__name__": "data", "__file__": str(Path(tempfile.gettempdir()) / "data.py")}
    try:
        exec(compile(text, "data.py", "exec"), names)
        read = names["load"]()
    except (Exception, InvalidInput):  # whatever a file brings about, its arrays can still be stored
        return False
    wanted = (dataset.x, dataset.y, *dataset.test.open())
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(read, wanted, strict=True))
