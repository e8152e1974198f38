"""L1, elastic net and orthogonality, against their papers and each other."""

import numpy as np
import pytest
import torch

from reference import regularization as paper
from trainsmith.errors import InvalidInput
from trainsmith.regularization import L1, L2, ElasticNet, Orthogonality, SoftWeightSharing, soft_tying

PENALTIES = [L1, L2, ElasticNet, Orthogonality]


def weights():
    draws = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=draws, dtype=torch.float64) for shape in ((3, 4), (5, 3, 2, 2), (4, 2), (1, 1))
    ]


@pytest.mark.parametrize("strength", [0.0, 2.0**-13, 3.0])
def test_l1_is_the_strength_times_the_sum_of_sizes(strength):
    assert L1(strength)(weights()).item() == pytest.approx(paper.elastic_net(weights(), strength, 0), rel=1e-12)


def test_the_gradient_of_l1_is_the_strength_with_the_sign_of_the_weight_and_0_at_0():
    w = torch.tensor([[2.0, -3.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(L1(0.25)([w]), w)
    assert gradient.tolist() == [[0.25, -0.25, 0.0]]


@pytest.mark.parametrize(("strength", "ratio"), [(0.5, 0.25), (2.0, 1.0), (2.0, 0.0), (0.0, 0.5)])
def test_elastic_net_is_the_papers(strength, ratio):
    expected = paper.elastic_net(weights(), strength * ratio, strength * (1 - ratio) / 2)
    assert ElasticNet(strength, ratio)(weights()).item() == pytest.approx(expected, rel=1e-12)


def test_elastic_net_is_l1_at_ratio_1_and_l2_at_ratio_0():
    assert torch.equal(ElasticNet(0.5, 1.0)(weights()), L1(0.5)(weights()))
    assert torch.equal(ElasticNet(0.5, 0.0)(weights()), L2(0.5)(weights()))


def test_elastic_net_finds_scikit_learns_regression():
    from sklearn.linear_model import ElasticNet as Theirs

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)), rng.normal(size=50)
    theirs = Theirs(alpha=0.1, l1_ratio=0.4, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y).coef_
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

    def cost(w):
        w = torch.as_tensor(w)[None]
        return ((inputs @ w[0] - targets).square().mean() / 2 + ElasticNet(0.1, 0.4)([w])).item()

    nearby = [cost(theirs + rng.normal(size=6) * 10.0**-e) for e in range(1, 5) for _ in range(20)]
    assert cost(theirs) < min(nearby)


@pytest.mark.parametrize("strength", [0.0, 0.5, 3.0])
def test_orthogonality_is_the_papers(strength):
    assert Orthogonality(strength)(weights()).item() == pytest.approx(paper.orthogonality(weights(), strength))


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)], ids=str)
def test_orthonormal_rows_or_columns_cost_nothing_and_all_others_cost(shape):
    w = torch.nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64))
    assert Orthogonality(1.0)([w]).item() == pytest.approx(0, abs=1e-12)
    assert Orthogonality(1.0)([1.1 * w]).item() == pytest.approx(min(shape) * (1.21 - 1) ** 2)
    assert Orthogonality(1.0)([w + 0.1]).item() > 1e-3


def test_defaults():
    ones = [torch.ones(2, 1, dtype=torch.float64)]
    assert L1()(ones).item() == pytest.approx(2e-5)
    assert ElasticNet()(ones).item() == pytest.approx(1e-5 * (0.5 * 2 + 0.25 * 2))
    assert Orthogonality()(ones).item() == pytest.approx(1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("make", PENALTIES)
def test_weights_in_half_precision_whose_sum_half_precision_cannot_hold_cost_what_they_cost_in_single(make, dtype):
    w = (2 * torch.ones(300, 400)).to(dtype).requires_grad_()
    single = w.detach().float().requires_grad_()
    cost, expected = make(0.5)([w]), make(0.5)([single])
    assert torch.equal(cost, expected)
    cost.backward()
    expected.backward()
    assert torch.equal(w.grad, single.grad.to(dtype))


def test_ties_and_shared_weights_in_half_precision_are_summed_in_single():
    far, near = torch.full((300, 400), 3.0, dtype=torch.float16), torch.ones(300, 400, dtype=torch.float16)
    assert soft_tying([(far, near)], 0.5) == 0.5 * 4 * 120_000
    sharing = SoftWeightSharing().half()
    torch.testing.assert_close(sharing([near]).float(), sharing.float()([near]), rtol=1e-2, atol=0)


@pytest.mark.parametrize("make", PENALTIES)
def test_weights_may_come_as_any_iterable_of_tensors_or_as_one_and_none_cost_nothing(make):
    penalty, tensors = make(0.5), weights()
    assert torch.equal(penalty(w for w in tensors), penalty(tensors))
    assert torch.equal(penalty(torch.nn.Parameter(tensors[1])), penalty([tensors[1]]))
    assert penalty([]) == 0


@pytest.mark.parametrize("make", PENALTIES)
def test_complex_weights_cost_a_real_number_by_their_absolute_values(make):
    w = torch.randn(4, 3, dtype=torch.complex128, generator=torch.Generator().manual_seed(0)).requires_grad_()
    turned = w.detach() * torch.tensor(0.6 + 0.8j, dtype=torch.complex128)
    torch.testing.assert_close(make(0.5)([w]), make(0.5)([turned]))
    real = make(0.5)([torch.ones(2, 3).double()])
    torch.testing.assert_close(make(0.5)([torch.ones(2, 3, dtype=torch.complex128)]), real)
    assert torch.autograd.gradcheck(lambda w: make(0.5)([w]), w)


def test_a_weight_without_rows_and_columns_is_no_matter_of_orthogonality():
    with pytest.raises(InvalidInput, match=r"at least two axes .* got shape \(3,\): leave biases and gains out"):
        Orthogonality()(torch.nn.Linear(2, 3).parameters())
