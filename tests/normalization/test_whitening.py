"""PCA and ZCA whitening of inputs."""

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.decomposition import PCA

from trainsmith.normalization import PCAWhitening, ZCAWhitening

both = pytest.mark.parametrize("make", [PCAWhitening, ZCAWhitening])


def mixed(n=60, features=5, rank=None, seed=0):
    """Correlated features of which `rank` (default all) are independent."""
    draws = torch.Generator().manual_seed(seed)
    latent = torch.randn(n, rank or features, generator=draws, dtype=torch.float64)
    return 3 + latent @ torch.randn(rank or features, features, generator=draws, dtype=torch.float64)


def covariance(y):
    return np.cov(y.flatten(1).numpy().T, bias=True)


@both
@pytest.mark.parametrize("per_feature", [True, False])
def test_the_training_data_get_the_covariance_of_the_identity(make, per_feature):
    y = make(0).fit(mixed(), per_feature)(mixed())
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(covariance(y), np.eye(5), atol=1e-9)


@both
def test_units_of_columns_do_not_matter_to_tables(make):
    units = torch.tensor([1.0, 1e6, 1e-9, 1e3, 7.0]).double()
    x = mixed()
    torch.testing.assert_close(make(1e-2).fit(x * units)(x * units), make(1e-2).fit(x)(x), rtol=1e-6, atol=1e-8)


def test_zca_of_pixels_is_the_inverse_root_of_their_covariance_and_symmetric():
    x = mixed()
    layer = ZCAWhitening(0).fit(x.view(-1, 5, 1))
    np.testing.assert_allclose(layer.matrix, layer.matrix.T, atol=1e-12)
    np.testing.assert_allclose(layer.matrix, np.linalg.inv(scipy.linalg.sqrtm(covariance(x))), rtol=1e-7, atol=1e-9)


def test_zca_of_columns_is_that_of_their_correlations():
    x = mixed()
    z = (x - x.mean(0)) / x.std(0, correction=0)
    expected = z.numpy() @ np.linalg.inv(scipy.linalg.sqrtm(np.corrcoef(x.numpy().T)))
    np.testing.assert_allclose(ZCAWhitening(0).fit(x)(x), expected, atol=1e-8)


def test_zca_stays_closer_to_the_data_than_pca():
    z = (mixed() - mixed().mean(0)) / mixed().std(0, correction=0)
    distances = [(make(0).fit(z)(z) - z).square().sum() for make in (ZCAWhitening, PCAWhitening)]
    assert distances[0] < distances[1]


def test_pca_is_scikit_learns_up_to_signs_and_its_divisor():
    x = mixed()
    ours = PCAWhitening(0).fit(x, per_feature=False)(x)
    theirs = PCA(whiten=True).fit_transform(x.numpy()) * (60 / 59) ** 0.5
    signs = np.sign((ours.numpy() * theirs).sum(0))
    np.testing.assert_allclose(ours, theirs * signs, atol=1e-9)


def test_components_come_with_the_widest_first_and_their_largest_entry_positive():
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x * torch.tensor([1.0, 10.0, 100.0]).double()
    matrix = PCAWhitening(0).fit(x, per_feature=False).matrix
    assert matrix.abs().argmax(0).tolist() == [2, 1, 0]
    for seed in range(10):
        matrix = PCAWhitening(0).fit(mixed(seed=seed), per_feature=False).matrix
        assert (matrix.gather(0, matrix.abs().argmax(0, keepdim=True)) > 0).all()


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(60, 5, 3), (4, 6, None)], ids=["dependent columns", "fewer examples than features"])
def test_directions_without_variance_become_0_and_the_others_are_whitened_exactly(make, dtype, shape):
    n, features, rank = shape
    x = mixed(n, features, rank).to(dtype)
    layer = make(0).fit(x)
    y = layer(x).double()
    expected = rank or n - 1
    values = np.linalg.eigvalsh(covariance(y))
    np.testing.assert_allclose(values[-expected:], 1, rtol=1e-4 if dtype == torch.float32 else 1e-9)
    np.testing.assert_allclose(values[:-expected], 0, atol=1e-6)
    assert np.linalg.matrix_rank(layer.matrix.numpy(), tol=1e-6) == expected


@both
def test_a_column_that_was_constant_is_left_out_whatever_comes_later(make):
    x = mixed()
    x[:, 2] = 0.1
    layer = make(0).fit(x)
    later = x.clone()
    later[:, 2] = 1e9
    torch.testing.assert_close(layer(later), layer(x), rtol=0, atol=0)
    assert layer(x).isfinite().all()


@both
@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_the_ridge_is_added_to_each_eigenvalue_as_a_share_of_their_mean(make, ridge):
    x = mixed()
    values = np.linalg.eigvalsh(covariance(x))
    expected = values / (values + np.float32(ridge) * values.mean())
    y = make(ridge).fit(x, per_feature=False)(x)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance(y)), np.sort(expected), rtol=1e-6)


@both
def test_images_keep_their_shape_and_pixels_are_not_standardized_first(make):
    x = mixed(features=6)
    images = x.view(-1, 1, 2, 3)
    y = make(0.01).fit(images)(images)
    assert y.shape == images.shape
    torch.testing.assert_close(y.flatten(1), make(0.01).fit(x, per_feature=False)(x))


@both
def test_what_was_fitted_decides_and_later_data_do_not(make):
    layer = make().fit(mixed())
    later = 5 * mixed(seed=1)
    torch.testing.assert_close(layer(later)[:1], layer(later[:1]))
    again = make()
    again.mean, again.matrix = torch.zeros(5).double(), torch.zeros(5, 5).double()
    again.load_state_dict(layer.state_dict())
    torch.testing.assert_close(again(later), layer(later))


@both
def test_before_it_is_fitted_it_changes_nothing(make):
    x = torch.randn(3, 2)
    assert torch.equal(make()(x), x)
