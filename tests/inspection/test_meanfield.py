"""The quadrature and the recursion against a reference from the papers, closed forms and published constants."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from reference import meanfield as reference
from trainsmith.inspection.statistics.meanfield import moments, recursion

OURS = {
    "linear": lambda x: x * 1,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": functional.elu,
    "selu": functional.selu,
    "softplus": functional.softplus,
}


@pytest.mark.parametrize("q", [0.01, 1.0, 7.0])
@pytest.mark.parametrize("name", reference.FUNCTIONS)
def test_moments_are_the_references(name, q):
    ours = moments(OURS[name], q)
    # torch's softplus and selu constants and its linear branches differ from the textbook by less than 1e-7
    assert (ours.mean, ours.second, ours.slope) == pytest.approx(reference.moments(name, q), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("q", [1e-8, 1.0, 300.0])
def test_relu_has_closed_forms(q):
    m = moments(nn.ReLU(), q)
    assert m.mean == pytest.approx(math.sqrt(q / (2 * math.pi)), rel=1e-6)
    assert m.second == pytest.approx(q / 2, rel=1e-6)
    assert m.slope == pytest.approx(0.5, rel=1e-6)
    assert m.std == pytest.approx(math.sqrt(q * (0.5 - 1 / (2 * math.pi))), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [
        ("tanh", 1.5925, 1.4674),
        ("relu", 1.4142, 1.4142),
        ("elu", 1.2452, 1.2234),
        ("selu", 1.0000, 0.9660),
        ("sigmoid", 1.8462, 4.7226),
        ("softplus", 1.0419, 1.8462),
    ],
)
def test_exact_gains_at_unit_input(name, forward, backward):
    m = moments(OURS[name], 1.0)
    assert (m.second**-0.5, m.slope**-0.5) == pytest.approx((forward, backward), abs=1e-4)


def test_tanh_with_xavier_falls_as_published():
    assert [layer.q for layer in recursion(torch.tanh, [1.0] * 5)] == pytest.approx(
        [1, 0.394, 0.236, 0.167, 0.128], abs=5e-4
    )


@pytest.mark.parametrize(
    ("name", "gain", "chi"),
    [("relu", 1, 0.5), ("relu", 2, 1.0), ("relu", 1 / 3, 1 / 6), ("tanh", 2, 1.11), ("tanh", 25 / 9, 1.21),
     ("tanh", 1 / 3, 0.333), ("sigmoid", 1, 0.056), ("sigmoid", 2, 0.10), ("tanh", 100, 5.5)],
)  # fmt: skip
def test_chi_at_depth_is_as_published(name, gain, chi):
    assert recursion(OURS[name], [gain] * 60)[-1].chi == pytest.approx(chi, rel=0.03)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "elu"])
def test_recursion_is_the_references_with_biases_and_another_input(name):
    gains = [0.5, 1.7, 2.3]
    ours = recursion(OURS[name], gains, 3.0, 0.2)
    expected = reference.recursion(name, gains, 3.0, 0.2)
    assert [(o.q, o.activation.std, o.chi) for o in ours] == [pytest.approx(e, rel=1e-6) for e in expected]


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid"])
def test_a_wide_random_network_behaves_as_predicted(name):
    drawn = reference.monte_carlo(name, [1.5] * 4, width=1500, seed=3)
    assert [layer.q for layer in recursion(OURS[name], [1.5] * 4)] == pytest.approx(drawn, rel=0.15)


def test_functions_that_write_over_their_input_are_the_same():
    assert moments(nn.ELU(inplace=True).double(), 2.0) == moments(nn.ELU().double(), 2.0)
