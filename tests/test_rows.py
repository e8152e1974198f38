"""Rows read by pieces, and their summary beside NumPy's numbers in float64."""

import numpy as np
import pytest
import torch

from trainsmith import rows
from trainsmith.catalogue import techniques
from trainsmith.rows import Rows, Summary, pieces

X = np.random.default_rng(0).normal(1000.0, 1.0, (501, 3)).astype(np.float32) * [1, 10, 0.1]
X = torch.from_numpy(X.astype(np.float32))


@pytest.mark.parametrize("most", [1, 7, 300, 10_000])
def test_pieces_are_all_of_it_in_order(most):
    found = list(pieces(X, most))
    assert torch.equal(torch.cat(found), X)
    assert max(p.numel() for p in found) <= max(most, 3)


def test_rows_are_those_chosen():
    chosen = np.array([5, 2, 2, 400])
    some = Rows(X, chosen)
    assert (some.shape, len(some), some.ndim, some.dtype) == (X[chosen].shape, 4, 2, X.dtype)
    for which in (slice(1, 3), np.array([3, 0]), torch.tensor([1, 1])):
        assert torch.equal(some[which], X[chosen][which])


@pytest.mark.parametrize("each", [True, False])
def test_a_summary_is_numpys(monkeypatch, each):
    monkeypatch.setattr(rows.pieces, "__defaults__", (100,))
    wide, axis = X.double().numpy(), 0 if each else None
    s = Summary.of(X, each)
    for name, wanted in (("mean", wide.mean(axis)), ("std", wide.std(axis)), ("low", wide.min(axis))):
        np.testing.assert_allclose(getattr(s, name), wanted, rtol=1e-13)
    np.testing.assert_array_equal(s.high, wide.max(axis))


TO_SUMMARIES = [t for t in techniques() if hasattr(t.make, "fit_to")]


@pytest.mark.parametrize("x", [X, X[:, :2].reshape(-1, 1, 2, 1)], ids=["table", "images"])
@pytest.mark.parametrize("technique", TO_SUMMARIES, ids=lambda t: t.name)
def test_whoever_fits_to_a_summary_fits_as_to_all(monkeypatch, technique, x):
    if x.ndim > 2 and "image" not in getattr(technique.make, "kinds", ("image",)):
        pytest.skip("it is for tables")
    whole = technique.make().fit(x)
    monkeypatch.setattr(rows, "PIECE", 10)
    monkeypatch.setattr(rows.pieces, "__defaults__", (100,))
    by_pieces = rows.fit(technique.make(), Rows(x, np.arange(len(x))))
    assert len(TO_SUMMARIES) >= 10
    for name, t in whole.state_dict().items():
        torch.testing.assert_close(by_pieces.state_dict()[name], t, rtol=3e-5, atol=0)
