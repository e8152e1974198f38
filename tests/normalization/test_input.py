"""Input standardization."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from each_technique import each
from reference import normalization as paper
from trainsmith.normalization import Standardization


def columns(n=40, seed=0):
    """Columns of very different units, the fourth constant."""
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x * torch.tensor([1.0, 1e6, 1e-9, 0.0]).double() + torch.tensor([0.0, 5e6, 1e-9, 0.1]).double()
    return x


def test_columns_of_a_table_are_standardized_as_the_textbook_says():
    train, x = columns(), columns(7, 1)
    x[:, 3] = 0.5
    layer = Standardization().fit(train)
    np.testing.assert_allclose(layer(x), paper.standardized(train.numpy(), x.numpy()), rtol=1e-9)


def test_columns_of_a_table_are_standardized_as_scikit_learn_does():
    train = columns()
    ours = Standardization().fit(train)(train)
    np.testing.assert_allclose(ours, StandardScaler().fit_transform(train.numpy()), rtol=1e-9, atol=1e-9)


def test_the_training_data_get_mean_0_and_spread_1_in_single_precision():
    train = columns().float()
    y = Standardization().fit(train)(train)[:, :3].double()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(0, correction=0), 1, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e-12, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_feature_that_was_constant_is_0_whatever_comes_later(value, dtype):
    layer = Standardization().fit(torch.full((999, 1), value, dtype=dtype))
    assert layer(torch.tensor([[value], [3.0], [-1e3]], dtype=dtype)).tolist() == [[0], [0], [0]]


def test_a_small_feature_is_not_taken_for_a_constant_one():
    layer = Standardization().fit(torch.tensor([[1e-12], [3e-12]]))
    torch.testing.assert_close(layer(torch.tensor([[3e-12]])), torch.ones(1, 1))


def test_images_share_one_mean_and_spread():
    train = 2 + 3 * torch.randn(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    layer = Standardization().fit(train)
    assert layer.mean.shape == layer.std.shape == ()
    assert layer.mean.item() == pytest.approx(train.mean().item(), rel=1e-5)
    assert layer.std.item() == pytest.approx(train.numpy().std(), rel=1e-5)


def test_one_number_or_one_for_each_feature_can_be_asked_for():
    images, table = torch.randn(9, 2, 3), torch.randn(9, 4)
    assert Standardization().fit(images, per_feature=True).mean.shape == (2, 3)
    assert Standardization().fit(table, per_feature=False).mean.shape == ()
    each = Standardization().fit(images, per_feature=True)(images)
    torch.testing.assert_close(each.mean(0), torch.zeros(2, 3), atol=1e-6, rtol=0)


@each("input")
@pytest.mark.parametrize("shape", [(20, 4), (20, 1, 2, 2)], ids=str)
def test_whole_numbers_are_normalized_as_the_same_decimals(technique, shape):
    x = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    whole, decimal = technique.make().fit(x), technique.make().fit(x.float())
    assert torch.equal(whole(x), decimal(x.float()))
    assert all(torch.equal(b, dict(decimal.named_buffers())[n]) for n, b in whole.named_buffers())


def test_before_it_is_fitted_it_changes_nothing():
    x = torch.randn(3, 2)
    assert torch.equal(Standardization()(x), x)


def test_what_was_fitted_is_part_of_the_state():
    layer = Standardization().fit(torch.tensor([[1.0], [3.0]]))
    assert {n: t.tolist() for n, t in layer.state_dict().items()} == {"mean": [2.0], "std": [1.0]}
