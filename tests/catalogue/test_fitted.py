"""What is fitted to training data: its state goes into one that was not fitted, and no data are refused."""

import io

import pytest
import torch
from torch import nn

from each_technique import each, name_of
from trainsmith.catalogue import techniques
from trainsmith.errors import InvalidInput
from trainsmith.normalization import PCAWhitening, Standardization, ZCAWhitening

FITTED = [t for t in techniques() if hasattr(t.make, "fit")]


def rows(n=30, columns=4):
    return torch.randn(n, columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("technique", FITTED, ids=name_of)
@pytest.mark.parametrize("before", [None, 3], ids=["fresh", "fitted"])
def test_its_state_is_loaded_into_one_that_was_not_fitted_to_these_data(technique, before):
    fitted, other = technique.make().fit(rows()), technique.make()
    if before is not None:
        other.fit(rows(columns=before))
    file = io.BytesIO()
    torch.save(nn.Sequential(fitted).state_dict(), file)
    file.seek(0)
    nn.Sequential(other).load_state_dict(torch.load(file, weights_only=True))
    for (name, ours), (again, theirs) in zip(fitted.named_buffers(), other.named_buffers(), strict=True):
        assert name == again
        assert torch.equal(ours, theirs)


def test_a_state_of_other_layers_is_still_refused_where_it_has_other_shapes():
    state = nn.Sequential(Standardization().fit(rows()), nn.Linear(4, 2)).state_dict()
    with pytest.raises(RuntimeError, match=r"size mismatch for 1\.weight"):
        nn.Sequential(Standardization(), nn.Linear(3, 2)).load_state_dict(state)


@each("input")
def test_no_examples_are_refused(technique):
    with pytest.raises(InvalidInput, match=r"fitting needs at least one example, x \(n, \.\.\.\); got shape \(0, 4\)"):
        technique.make().fit(torch.zeros(0, 4))


@pytest.mark.parametrize("make", [PCAWhitening, ZCAWhitening])
def test_whitening_that_was_fitted_in_single_precision_takes_inputs_in_double(make):
    layer, x = make().fit(rows()), rows()
    y = layer(x.double())
    assert y.dtype == torch.float64
    torch.testing.assert_close(y.float(), layer(x))
