"""Damage done to a file on purpose: bytes, words of a text, values of JSON, and what lies inside a container."""

import copy
import gzip
import io
import json
import random
import zipfile

NUMBERS = [0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
WORDS = [
    "", " ", "nan", "NaN", "inf", "-inf", "1e999", "-1", "0", "1.5", "0x10", "99999999999999999999", "true", "None",
    "é", "\u202e", "\x00", '"', "'", ",", ";", "\t", "\n", "\r", "=cmd()", "a" * 300, "{", "]", "1,000", "2020-01-01",
    "\ufeff",
]  # fmt: skip
VALUES = [
    None, True, False, 0, -1, 1, 10**400, 1e308, -0.5, "", "x", "<script>", [], {}, [None], [[]], {"a": 1}, [1, "a"],
    float("nan"), float("inf"), "\ud800",
]  # fmt: skip


def of_bytes(data: bytes, luck: random.Random) -> bytes:
    """One to four bites out of the bytes: changed, cut off, put in, taken out, doubled, swapped, or a number on top."""
    changed = bytearray(data)
    for _ in range(luck.choice([1, 1, 1, 2, 4])):
        _bite(changed, luck)
    return bytes(changed)


def _bite(data: bytearray, luck: random.Random) -> None:
    n = len(data)
    at = luck.choice([luck.randrange(n + 1), luck.randrange(min(n, 64) + 1), n - luck.randrange(min(n, 256) + 1)])
    kind = luck.randrange(7)
    length = luck.choice([1, 1, 2, 4, 8, 64, 1024])
    if kind == 0 and at < n:
        data[at] ^= 1 << luck.randrange(8)
    elif kind == 1 and at < n:
        data[at] = luck.randrange(256)
    elif kind == 2:
        del data[luck.choice([at, luck.randrange(n + 1)]) :]
    elif kind == 3:
        data[at:at] = luck.randbytes(length)
    elif kind == 4:
        del data[at : at + length]
    elif kind == 5:
        data[at:at] = data[at : at + length]
    else:
        word = luck.choice(NUMBERS).to_bytes(4, luck.choice(["little", "big"]))  # type: ignore[arg-type]
        data[at : at + 4] = word


def of_text(data: bytes, luck: random.Random, marks: str = ",\n") -> bytes:
    """Words between separators exchanged for nasty ones, lines lost or doubled; at times bytes instead."""
    if luck.random() < 0.3:
        return of_bytes(data, luck)
    lines = [line.split(marks[0]) for line in data.decode().split(marks[1])]
    for _ in range(luck.choice([1, 1, 2, 5])):
        place = luck.choice([0, luck.randrange(len(lines))])
        line = lines[place]
        kind = luck.randrange(5)
        if kind == 0:
            del lines[place : place + luck.choice([1, 5, 1000])]
        elif kind == 1:
            lines.insert(place, list(line))
        elif kind == 2 and line:
            del line[luck.randrange(len(line))]
        elif line:
            column = luck.randrange(len(line))
            word = luck.choice(WORDS)
            for row in [line] if kind == 3 else lines[1:]:
                if column < len(row):
                    row[column] = word
        if not lines:
            break
    return marks[1].join(marks[0].join(line) for line in lines).encode("utf-8", "surrogatepass")


def of_json(data: bytes, luck: random.Random) -> bytes:
    """Values exchanged for others, keys lost, doubled or renamed; at times bytes instead."""
    if luck.random() < 0.2:
        return of_bytes(data, luck)
    root = json.loads(data)
    for _ in range(luck.choice([1, 1, 1, 3])):
        root = _exchange(root, luck)
    return json.dumps(root).encode()


def _exchange(root: object, luck: random.Random) -> object:
    """One value somewhere in the tree exchanged: each level down is a step with a choice."""
    if not isinstance(root, (dict, list)) or not root or luck.random() < 0.08:
        return copy.deepcopy(luck.choice(VALUES))
    key = luck.choice(list(root)) if isinstance(root, dict) else luck.randrange(len(root))
    kind = luck.random()
    if kind < 0.08:
        del root[key]  # type: ignore[arg-type]
    elif kind < 0.12 and isinstance(root, dict):
        root[luck.choice(["", "x", "__class__"])] = root.pop(key)  # type: ignore[arg-type]
    elif kind < 0.16 and isinstance(root, list):
        root.append(root[key])  # type: ignore[index]
    else:
        root[key] = _exchange(root[key], luck)  # type: ignore[index]
    return root


FOLDERS = [
    "",
    ".",
    "..",
    "../..",
    "/tmp",
    "c",
    "train",
    "test",
    "TEST",
    "valid",
    ".hidden",
    "a\nb",
    "\u202e",
    "é" * 60,
    "x" * 255,
]
FILES = ["1.png", "1.PNG", ".png", "1.jpg", "1.parquet", "1.csv", "noend", "a\tb.png", "\x1b[2J.png", "%s.png", "é.png"]
WHATS = ["picture", "picture", "picture", "folder", "link", "", "no picture", "PNG", "\ud800"]


def of_folder(data: bytes, luck: random.Random) -> bytes:
    """What lies in a folder, given as JSON: files lost, moved, of other kinds, with names that nobody expects."""
    files: dict[str, str] = json.loads(data)
    for _ in range(luck.choice([1, 1, 2, 5, 30])):
        name = luck.choice(list(files) or ["a/1.png"])
        folder, _, file = name.rpartition("/")
        kind = luck.randrange(5)
        if kind == 0:
            files = {n: w for n, w in files.items() if n.partition("/")[0] != name.partition("/")[0]}
        elif kind == 1:
            files.pop(name, None)
        elif kind == 2:
            files[name] = luck.choice(WHATS)
        elif kind == 3:
            files[f"{luck.choice(FOLDERS)}/{file}"] = files.pop(name, "picture")
        else:
            files[f"{folder}/{luck.choice(FILES)}"] = luck.choice(WHATS)
    inside = {n: w for n, w in files.items() if ".." not in n and not n.startswith("/")}
    return json.dumps(inside).encode()


def of_toml(data: bytes, luck: random.Random) -> bytes:
    """Keys and values exchanged, lines lost or doubled; at times bytes instead."""
    return of_text(data, luck, "=\n")


def of_npz(data: bytes, luck: random.Random) -> bytes:
    """The archive's bytes, or an array inside it (its header, mostly) with the archive made anew around it."""
    if luck.random() < 0.3:
        return of_bytes(data, luck)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    name = luck.choice(list(inside))
    kind = luck.random()
    if kind < 0.1:
        del inside[name]
    elif kind < 0.2:
        inside[luck.choice(["x.npy", "y.npy", "X.npy", "x", "x_test.npy", "../y.npy"])] = inside.pop(name)
    elif kind < 0.6:
        inside[name] = _header(inside[name], luck)
    else:
        inside[name] = of_bytes(inside[name], luck)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", luck.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, content in inside.items():
            archive.writestr(name, content)
    return made.getvalue()


TYPES = ["<f4", ">f8", "<f2", "|b1", "|u1", "<i8", "|O", "<U3", "|S4", "<c8", "<M8[s]", "<m8[D]", "<f16", "<U0", "|V8"]
SHAPES = ["()", "(0,)", "(40,)", "(-1,)", "(40, 0)", "(40, 1)", "(10, 2, 2)", "(2, 2, 2, 5)", "(99999999999999,)",
          "(2, 2, 2, 5, 1)", "(40, 2**3)", "40", "(40L,)", "(True,)", "(4.0,)"]  # fmt: skip


def _header(array: bytes, luck: random.Random) -> bytes:
    """An .npy file that says another type, shape or order than it has."""
    end = array.index(b"\n") + 1
    text = array[10:end].decode("latin1")
    fields = {"'descr': '" + text.split("'descr': '")[1].split("'")[0]: "'descr': '" + luck.choice(TYPES)}
    fields |= {"'shape': " + text.split("'shape': ")[1].split(")")[0] + ")": "'shape': " + luck.choice(SHAPES)}
    fields |= {"False": "True"}
    for old, new in luck.sample(list(fields.items()), luck.choice([1, 1, 2])):
        text = text.replace(old, new)
    body = text.encode("latin1")
    return array[:8] + len(body).to_bytes(2, "little") + body + array[end:]


def of_gzip(data: bytes, luck: random.Random) -> bytes:
    """The compressed bytes, or those inside."""
    if luck.random() < 0.3:
        return of_bytes(data, luck)
    return gzip.compress(of_bytes(gzip.decompress(data), luck), 1, mtime=0)
