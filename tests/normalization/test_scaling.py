"""Min-max and robust scaling of inputs."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler, RobustScaler

from reference import normalization as paper
from trainsmith.normalization import MinMax, Robust

SCALINGS = [(MinMax, paper.min_max, MinMaxScaler), (Robust, paper.robust, RobustScaler)]
each_scaling = pytest.mark.parametrize(("make", "function", "sklearns"), SCALINGS, ids=lambda s: s.__name__)


def columns(n=41, seed=0):
    """Columns of very different units, the fourth constant, the fifth mostly 0."""
    x = torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x * torch.tensor([1.0, 1e6, 1e-9, 0.0, 1.0]).double() + torch.tensor([0.0, 5e6, 1e-9, 0.1, 0.0]).double()
    x[3:, 4] = 0
    return x


@each_scaling
@pytest.mark.parametrize("count", [40, 41, 42, 43])
def test_columns_of_a_table_are_scaled_as_the_textbook_says(make, function, sklearns, count):
    train, x = columns(count), columns(7, 1)
    x[:, 3] = 0.5
    np.testing.assert_allclose(make().fit(train)(x), function(train.numpy(), x.numpy()), rtol=1e-9)


@each_scaling
def test_columns_that_vary_are_scaled_as_scikit_learn_does(make, function, sklearns):
    train, x = columns()[:, :3], columns(7, 1)[:, :3]
    ours = make().fit(train)(x)
    np.testing.assert_allclose(ours, sklearns().fit(train.numpy()).transform(x.numpy()), rtol=1e-9)


@each_scaling
@pytest.mark.parametrize("value", [0.0, 0.1, -1e-12, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_feature_that_was_constant_is_0_whatever_comes_later(make, function, sklearns, value, dtype):
    layer = make().fit(torch.full((99, 1), value, dtype=dtype))
    assert layer(torch.tensor([[value], [3.0], [-1e3]], dtype=dtype)).tolist() == [[0], [0], [0]]


@each_scaling
def test_images_share_their_numbers_unless_asked_otherwise(make, function, sklearns):
    images = 2 + 3 * torch.randn(50, 1, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = function(images.reshape(-1, 1).numpy(), images.reshape(-1, 1).numpy())
    np.testing.assert_allclose(make().fit(images)(images).reshape(-1, 1), together, rtol=1e-9)
    each = function(images.flatten(1).numpy(), images.flatten(1).numpy())
    np.testing.assert_allclose(make().fit(images, per_feature=True)(images).flatten(1), each, rtol=1e-9)


@each_scaling
def test_before_it_is_fitted_it_changes_nothing(make, function, sklearns):
    x = torch.randn(3, 2)
    assert torch.equal(make()(x), x)


def test_one_outlier_moves_robust_scaling_little_and_min_max_scaling_much():
    x = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    spoilt = torch.cat([x, torch.tensor([[1e6]])])
    robust = Robust().fit(spoilt)(x) - Robust().fit(x)(x)
    assert robust.abs().max() < 0.05
    assert MinMax().fit(spoilt)(x).max() < 1e-5


def test_more_numbers_than_torchs_quantile_takes():
    x = torch.arange(2**24 + 2, dtype=torch.float32).view(-1, 1, 2)
    layer = Robust().fit(x)
    assert layer.median.item() == pytest.approx((2**24 + 1) / 2)
    assert layer.middle.item() == pytest.approx((2**24 + 1) / 2)
