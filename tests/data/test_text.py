"""Texts cut into pieces: what is seen, what comes next, what is locked, what is refused."""

import numpy as np
import pytest
import torch

from trainsmith.data import from_text, load, split
from trainsmith.errors import InvalidInput

TEXT = "the cat sat on the mat and the dog sat on the log\n" * 30


def written(data, indices):
    return "".join(data.classes[int(i)] for i in indices.flatten())


def test_pieces_are_the_text_and_their_targets_the_text_one_character_on():
    data = from_text(TEXT, context=np.int64(7))
    pieces = (len(TEXT) - 1) // 7
    x, y = data.test.open()
    assert len(data.x) + len(x) == pieces
    assert len(x) == round(pieces / 5)
    assert written(data, data.x) + written(data, x) == TEXT[: pieces * 7]
    assert written(data, data.y) + written(data, y) == TEXT[1 : pieces * 7 + 1]
    assert (data.kind, data.task, data.outputs, data.input_shape) == ("text", "language", len(set(TEXT)), (7,))
    assert data.x.dtype == data.y.dtype == torch.int64


def test_a_file_and_what_is_said_of_it(tmp_path):
    (tmp_path / "cats.txt").write_text(TEXT, encoding="utf-8")
    data = load(tmp_path / "cats.txt")
    assert data.describe() == (
        "cats: 46 pieces of 32 characters, 14 different ones, the next one to predict; 9 locked for the test"
    )
    assert load(str(tmp_path / "cats.txt"), context=8, task="Language").input_shape == (8,)
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load(tmp_path / "marked.txt").classes == data.classes, "a byte order mark is no character"


def test_each_seed_splits_the_pieces():
    data = from_text(TEXT)
    train, validation = split(data, 3)
    assert sorted([*train, *validation]) == list(range(len(data.x)))
    assert len(validation) == -(-len(data.x) // 5)


def test_characters_beyond_the_first_plane():
    data = from_text("a\U0001f600b\udc00" * 300, context=3)
    assert data.classes == ("a", "b", "\udc00", "\U0001f600")


def test_the_named_text(tmp_path):
    with pytest.raises(InvalidInput, match="tinyshakespeare needs its text; not found"):
        load("tinyshakespeare", data_dir=tmp_path)
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_text(TEXT)
    data = load("Tiny-Shakespeare", data_dir=tmp_path, context=4)
    assert (data.name, data.input_shape) == ("tinyshakespeare", (4,))


BAD = {
    "too short": (lambda p: p.write_text(TEXT[:500]), {}, "at least 25 pieces of 32 characters are needed; the text"),
    "one character": (lambda p: p.write_text("a" * 5000), {}, "2 to 1,000 different characters; this one has 1"),
    "too many": (lambda p: p.write_text("".join(map(chr, range(300, 2300)))), {}, "this one has 2,000"),
    "no text": (lambda p: p.write_bytes(b"\xff\xfe\x00" * 900), {}, "must be text in UTF-8"),
    "empty": (lambda p: p.write_bytes(b""), {}, "is empty"),
    "context": (lambda p: p.write_text(TEXT), {"context": 0}, "whole number of characters, at least 1; got 0"),
    "target": (lambda p: p.write_text(TEXT), {"target": "y"}, "leave --target and --task out"),
    "task": (lambda p: p.write_text(TEXT), {"task": "regression"}, "leave --target and --task out"),
    "size": (lambda p: p.write_text(TEXT), {"image_size": 8}, "holds text. Leave --image-size out"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(tmp_path, case):
    write, options, words = BAD[case]
    path = tmp_path / "text.txt"
    write(path)
    with pytest.raises(InvalidInput, match=words):
        load(path, **options)


def test_other_data_have_no_context_and_no_language(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((30, 2)), y=np.arange(30) % 2)
    with pytest.raises(InvalidInput, match="a context is for texts only"):
        load(tmp_path / "a.npz", context=4)
    with pytest.raises(InvalidInput, match=r"task language needs a \.txt file"):
        load(tmp_path / "a.npz", task="language")
    with pytest.raises(InvalidInput, match="a context is for texts only; digits is none"):
        load("digits", context=4)
