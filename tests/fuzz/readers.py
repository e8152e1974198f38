"""Every reader of files, with files that it reads and the damage that is done to them."""

import contextlib
import gzip
import io
import json
import os
import random
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group

from fuzz import mutate, stored
from make_study import make_study
from trainsmith.comparison import read_study
from trainsmith.data import load
from trainsmith.data.cifar10 import RECORD, cifar10
from trainsmith.data.mnist import read_idx
from trainsmith.report import family_tables, report_html, summary
from trainsmith.store.inputs import ABOUT
from trainsmith.study_file import read_study_file

Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Reader:
    """read(path) reads the file at `path`, called `file`; `seeds` are contents that it reads without complaint."""

    file: str
    seeds: Sequence[bytes]
    damage: Damage
    read: Callable[[Path], Any]


ROWS, DRAWN_ONE_IN = 40, 100


def _arrays() -> dict[str, np.ndarray]:
    luck = np.random.default_rng(0)
    return {"x": luck.normal(size=(ROWS, 4)).astype(np.float32), "y": np.arange(ROWS) % 2}


def _npz() -> list[bytes]:
    tables, pictures = (
        _arrays(),
        {"x": np.zeros((ROWS, 5, 4), np.uint8), "y": np.array(["a", "b"])[np.arange(ROWS) % 2]},
    )
    tables |= {"x_test": tables["x"][:4], "y_test": tables["y"][:4]}
    return [_written(lambda f, a=a: np.savez(f, **a)) for a in (tables, pictures)]  # type: ignore[misc]


def _frame() -> Any:
    import pandas as pd

    made = _arrays()
    columns = {f"c{i}": made["x"][:, i].round(3) for i in range(4)}
    return pd.DataFrame(
        {**columns, "wet": made["y"] == 1, "hue": np.array(["red", "blue"])[made["y"]], "class": made["y"]}
    )


def _written(write: Callable[[Any], Any]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 256, (12, 12, 3), np.uint8)
    return _written(lambda f: Image.fromarray(pixels).convert(mode).save(f, kind, **options))


def _pictures() -> list[bytes]:
    kinds = [("PNG", "RGB"), ("PNG", "P"), ("PNG", "LA"), ("JPEG", "RGB"), ("BMP", "RGB"), ("GIF", "P"), ("PPM", "L"),
             ("WEBP", "RGB"), ("TIFF", "RGB")]  # fmt: skip
    return [_picture(kind, mode) for kind, mode in kinds] + [_picture("TIFF", "RGB", compression="tiff_lzw")]


def _parquet() -> list[bytes]:
    import pandas as pd

    images = pd.DataFrame({"img": [{"bytes": _picture("PNG"), "path": None}] * ROWS, "label": np.arange(ROWS) % 2})
    return [
        _written(lambda f, t=t, c=c: t.to_parquet(f, engine="pyarrow", compression=c))  # type: ignore[misc]
        for t, c in ((_frame(), None), (_frame(), "snappy"), (images, None))
    ]


def _idx() -> bytes:
    return bytes.fromhex("00000803 00000006 00000004 00000003") + bytes(range(72))


def _read_picture(path: Path) -> Any:
    """Beside healthy pictures of two classes, as a user's folder has them."""
    folder = path.parent / "pictures"
    if not folder.exists():
        healthy = _picture("PNG")
        for i in range(24):
            place = folder / "ab"[i % 2] / f"{i:02}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(healthy)
    (folder / "a" / "damaged.png").write_bytes(path.read_bytes())
    return load(folder, image_size=8)


def _read_npy(path: Path) -> Any:
    """Beside healthy targets, as in a user's folder of arrays."""
    np.save(path.parent / "y.npy", np.arange(len(np.load(io.BytesIO(stored.data())))) % 3)
    return load(path.parent)


def _read_cifar(path: Path) -> Any:
    folder = path.parent / "cifar"
    if not folder.exists():
        folder.mkdir()
        for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
            (folder / name).write_bytes(_cifar())
    (folder / "data_batch_3.bin").write_bytes(path.read_bytes())
    return cifar10(folder)


def _folder() -> list[bytes]:
    """What lies in a folder of pictures, as JSON: paths with what they are."""
    plain = {f"{'ab'[i % 2]}/{i:02}.png": "picture" for i in range(24)}
    parts = {f"{part}/{path}": what for part in ("train", "test") for path, what in plain.items()}
    return [json.dumps(files).encode() for files in (plain, parts, {**plain, "notes.txt": "text"})]


def _read_folder(path: Path) -> Any:
    """The folder that the file describes, made inside the case's own."""
    files = json.loads(path.read_bytes())
    root = path.parent / "asked"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    healthy = path.parent / "healthy.png"
    if not healthy.exists():
        healthy.write_bytes(_picture("PNG"))
    for name, what in files.items():
        place = root / name
        with contextlib.suppress(OSError, ValueError):  # names that no file can have
            place.parent.mkdir(parents=True, exist_ok=True)
            if what == "picture":
                os.link(healthy, place)
            elif what == "folder":
                place.mkdir()
            elif what == "link":
                place.symlink_to(place)
            else:
                place.write_bytes(what.encode("utf-8", "surrogatepass"))
    return load(root, image_size=8)


TOML = b"""data = "wine"
network = "mlp"
techniques = ["adam", "sgd"]
trials = 4
seeds = 6
[baseline]
activation = "tanh"
"""
TEXT = "".join(f"Line {i} of a text, with umlauts: äöü.\n" for i in range(60)).encode()


def _read_question(path: Path) -> Any:
    """The file, and the question that it asks."""
    return read_study_file(path).question


def _cifar() -> bytes:
    return b"".join(bytes([i % 10]) + bytes(RECORD - 1) for i in range(30))


def _read_and_tell(path: Path) -> Any:
    """What `trainsmith report` does; the page, which takes a second, is made of one in a hundred."""
    study = read_study(path.read_bytes())
    console = Console(file=io.TextIOWrapper(io.BytesIO(), "utf-8"), width=100)
    console.print(Group(summary(study), *family_tables(study)))
    if zlib.crc32(path.read_bytes()) % DRAWN_ONE_IN == 0:
        report_html(study).encode()
    return study


def _study() -> bytes:
    whole = make_study().to_dict()
    few = {r["family"]: [] for r in whole["rows"]}
    for row in whole["rows"]:
        few[row["family"]].append(row)
    return json.dumps({**whole, "rows": [r for rows in list(few.values())[:2] for r in rows[:4]]}).encode()


def readers() -> dict[str, Reader]:
    """All of them, by name."""
    found = {
        "npz": Reader("mine.npz", _npz(), mutate.of_npz, load),
        "npy": Reader("x.npy", [stored.data()], mutate.of_bytes, _read_npy),
        "csv": Reader("mine.csv", [_frame().to_csv(index=False).encode()], mutate.of_text, load),
        "parquet": Reader("mine.parquet", _parquet(), mutate.of_bytes, load),
        "idx": Reader("images-idx3-ubyte", [_idx()], mutate.of_bytes, lambda p: read_idx(p, 3)),
        "idx-gz": Reader("images-idx3-ubyte.gz", [gzip.compress(_idx())], mutate.of_gzip, lambda p: read_idx(p, 3)),
        "picture": Reader("damaged", _pictures(), mutate.of_bytes, _read_picture),
        "folder": Reader("folder.json", _folder(), mutate.of_folder, _read_folder),
        "text": Reader("book.txt", [TEXT], mutate.of_bytes, load),
        "toml": Reader("study.toml", [TOML], mutate.of_toml, _read_question),
        "cifar": Reader("damaged.bin", [_cifar()], mutate.of_bytes, _read_cifar),
        "study": Reader("study.json", [_study()], mutate.of_json, _read_and_tell),
        "weights": Reader(stored.WEIGHTS_FILE, [stored.weights()], mutate.of_bytes, stored.read_weights),
        "store": Reader(stored.DATABASE, stored.databases(), stored.of_database, stored.read_database),
        "store-on": Reader(stored.DATABASE, stored.databases(), stored.of_database, stored.go_on),
        "store-log": Reader(f"{stored.DATABASE}-wal", stored.logs(), stored.of_log, stored.read_log),
        "stored-data": Reader("x.npy", [stored.data()], mutate.of_bytes, stored.read_data),
        "stored-about": Reader(ABOUT, stored.about(), mutate.of_json, stored.read_about),
    }
    return found
