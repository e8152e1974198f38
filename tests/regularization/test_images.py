"""Augmentations of images, one example at a time against the references, and where they change nothing."""

import numpy as np
import pytest
import torch

from reference import augmentation as paper
from trainsmith.regularization import Cutout, Flip, RandAugment, Rotation, Shift, Zoom
from trainsmith.regularization.images import affine, moved, rotation, warped
from uniform_draws import drawing, seeded_draws

U = torch.tensor([0.0, 0.3, 0.55, 0.999], dtype=torch.float64)
V = torch.tensor([0.7, 0.0, 0.999, 0.4], dtype=torch.float64)


def images(shape=(4, 2, 6, 5)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_flip_mirrors_those_that_are_drawn_and_twice_is_nothing():
    x = images()
    with drawing(U):
        y = Flip(0.5)(x)
    assert torch.equal(y[:2], torch.from_numpy(x.numpy()[:2, :, :, ::-1].copy()))
    assert torch.equal(y[2:], x[2:])
    always = Flip(1.0)
    assert torch.equal(always(always(x)), x)


@pytest.mark.parametrize("reach", [0.0, 0.1, 0.3, 1.0])
def test_shift_moves_each_image_by_its_own_whole_pixels(reach):
    x = images()
    with drawing(U, V):
        y = Shift(reach)(x)
    for k in range(4):
        down, right = (
            int(np.floor(float(u) * (2 * most + 1))) - most
            for u, most in ((U[k], int(reach * 6 + 0.5)), (V[k], int(reach * 5 + 0.5)))
        )
        np.testing.assert_array_equal(y[k], paper.shifted(x[k].numpy(), down, right))


def test_every_shift_within_reach_is_as_likely():
    x = torch.zeros(4000, 1, 9, 9)
    x[:, :, 4, 4] = 1
    with seeded_draws(0):
        y = Shift(2 / 9)(x)
    counts = y.sum(0)[0]
    assert counts[2:7, 2:7].sum() == 4000
    assert counts[2:7, 2:7].min() > 110
    assert counts[2:7, 2:7].max() < 215


def test_a_shift_by_nothing_is_the_image_itself():
    x, zero = images(), torch.zeros(4, dtype=torch.float64)
    assert torch.equal(moved(x, zero, zero), x)


@pytest.mark.parametrize("size", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(4, 2, 9, 5), (4, 1, 5, 7)], ids=str)
def test_cutout_is_the_papers(size, shape):
    x = images(shape)
    with drawing(U, V):
        y = Cutout(size)(x)
    for k in range(4):
        expected = paper.cutout(x[k].numpy(), float(U[k]), float(V[k]), int(size * 5 + 0.5))
        np.testing.assert_array_equal(y[k], expected)


@pytest.mark.parametrize("shape", [(4, 2, 6, 5), (4, 1, 5, 7)], ids=str)
@pytest.mark.parametrize("angle", [5.0, 40.0, 180.0])
def test_rotation_samples_each_image_turned_by_its_own_angle(angle, shape):
    x = images(shape)
    with drawing(U):
        y = Rotation(angle)(x)
    for k in range(4):
        expected = paper.sampled(x[k].numpy(), paper.turn((2 * float(U[k]) - 1) * angle))
        np.testing.assert_allclose(y[k], expected, atol=1e-12)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turn_by_quarters_is_torchs(quarters):
    x = images((2, 3, 6, 6))
    turned = warped(x, rotation(torch.full((2,), quarters * torch.pi / 2, dtype=torch.float64)))
    torch.testing.assert_close(turned, torch.rot90(x, quarters, (2, 3)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [1.25, 2.0])
def test_zoom_samples_each_image_magnified_by_its_own_factor(factor):
    x = images()
    with drawing(U):
        y = Zoom(factor)(x)
    for k in range(4):
        expected = paper.sampled(x[k].numpy(), np.eye(2) * factor ** (2 * float(U[k]) - 1))
        np.testing.assert_allclose(y[k], expected, atol=1e-12)


def test_a_map_is_undone_by_its_inverse_where_nothing_leaves_the_image():
    right, down = torch.meshgrid(torch.arange(21) - 10.0, torch.arange(21) - 10.0, indexing="xy")
    x = (-(right**2 + (down - 2) ** 2) / 18).exp().double()[None, None]
    one = torch.ones(1, dtype=torch.float64)
    shear = affine(one, 0.3 * one, 0 * one, one)
    back = affine(one, -0.3 * one, 0 * one, one)
    assert (warped(x, shear) - x).abs().max() > 0.1
    assert (warped(warped(x, shear), back) - x).abs().max() < 0.03


CHOICES = {"nothing": 0, "rotation": 1, "shear across": 2, "shear down": 3, "zoom": 4, "shift across": 5,
           "shift down": 6, "brightness": 7, "contrast": 8}  # fmt: skip


def augmented(x, first, second="nothing", magnitude=0.5):
    """RandAugment with these changes, the first upwards and the second downwards."""
    draws = ((CHOICES[first] + 0.5) / 9, 0.9, (CHOICES[second] + 0.5) / 9, 0.1)
    with drawing(*draws):
        return RandAugment(magnitude)(x).numpy()


def expected_of(image, name, sign, magnitude=0.5):
    """What one change makes of an image (channels, height, width)."""
    m = sign * magnitude
    if name == "brightness":
        return image * 1.9**m
    if name == "contrast":
        return image.mean() + (image - image.mean()) * 1.9**m
    if name in ("shift across", "shift down"):
        across = name == "shift across"
        pixels = round(0.3 * m * image.shape[2 if across else 1])
        return paper.shifted(image, 0 if across else pixels, pixels if across else 0)
    matrix = {
        "nothing": np.eye(2),
        "rotation": paper.turn(30 * m),
        "shear across": np.array([[1, 0.3 * m], [0, 1]]),
        "shear down": np.array([[1, 0], [0.3 * m, 1]]),
        "zoom": np.eye(2) * 1.35**m,
    }[name]
    return paper.sampled(image, matrix)


@pytest.mark.parametrize("name", CHOICES)
def test_each_change_of_rand_augment_is_what_its_name_says(name):
    x = images((2, 2, 8, 7))
    first, second = augmented(x, name), augmented(x, "nothing", name)
    for k in range(2):
        np.testing.assert_allclose(first[k], expected_of(x[k].numpy(), name, 1), atol=1e-12)
        np.testing.assert_allclose(second[k], expected_of(x[k].numpy(), name, -1), atol=1e-12)


def test_both_changes_of_rand_augment_act():
    x = images((1, 1, 8, 8))
    both = augmented(x, "brightness", "shift down")[0]
    np.testing.assert_allclose(
        both, expected_of(expected_of(x[0].numpy(), "shift down", -1), "brightness", 1), atol=1e-12
    )
    turned = paper.sampled(x[0].numpy(), paper.turn(15) @ (np.eye(2) / 1.35**0.5))
    np.testing.assert_allclose(augmented(x, "rotation", "zoom")[0], turned, atol=1e-12)


def test_all_changes_are_drawn_as_often_and_either_way():
    x = torch.ones(9000, 1, 2, 2)
    with seeded_draws(1):
        values = RandAugment(1.0)(x).mean((1, 2, 3))
    brighter, darker = ((values - 1.9**sign).abs() < 1e-5 for sign in (1, -1))
    once = 2 * (1 / 9) * (2.5 / 9) / 2  # a flat image is not changed by nothing, contrast and magnification
    for drawn in (brighter, darker):
        assert drawn.double().mean().item() == pytest.approx(once, abs=0.004)


def test_defaults():
    assert [m().rate.item() for m in (Flip,)] == [0.5]
    numbers = (Shift().reach, Rotation().angle, Zoom().factor, Cutout().size, RandAugment().magnitude)
    assert [round(n.item(), 4) for n in numbers] == [0.125, 10.0, 1.1, 0.25, 0.3]
