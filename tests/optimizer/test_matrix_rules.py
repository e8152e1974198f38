"""The rules that look at a whole parameter, against their papers, against torch, and against what must hold."""

import numpy as np
import pytest
import torch
from torch import nn

from each_technique import each
from optimizer_path import START, bowl, path_of
from reference import optimizer_matrix as paper
from trainsmith.optimizer import LAMB, LARS, SOAP, Adafactor, AdamW, Muon, eigenbasis
from trainsmith.optimizer.orthogonalized import orthogonalize

STEPS = 23
"""Beyond SOAP's second refresh."""
DRAWS = np.random.default_rng(5)
MATRIX = DRAWS.normal(size=(5, 3))
LEFT, RIGHT = DRAWS.normal(size=(5, 5)), DRAWS.normal(size=(3, 3))
TARGET = DRAWS.normal(size=(5, 3))
BETAS = {"beta1": 0.7, "beta2": 0.95, "eps": 1e-3}
CASES = [
    (LARS, paper.lars, {"momentum": 0.8, "trust": 0.01, "weight_decay": 1e-2}),
    (LAMB, paper.lamb, {**BETAS, "weight_decay": 1e-2}),
    (
        Adafactor,
        paper.adafactor,
        {"decay": 0.7, "clip": 0.9, "eps1": 1e-20, "eps2": 1e-3, "weight_decay": 1e-2},
    ),
    (Muon, paper.muon, {"momentum": 0.9, "weight_decay": 1e-2}),
]
SQUARE, AIM, FLAT = (DRAWS.normal(size=(5, 5)) for _ in range(3))


def valley(w):
    """A gradient for 5 x 3 that couples everything and bends."""
    return LEFT @ LEFT.T @ (w - TARGET) @ RIGHT @ RIGHT.T + np.tanh(w)


def bowl_of_squares(w):
    """A gradient for 5 x 5, of full rank."""
    return LEFT @ (w - AIM) + (w - AIM) @ FLAT + np.tanh(w)


@pytest.mark.parametrize(("rule", "reference", "numbers"), CASES)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("lr", [1e-9, 0.003, 0.4])
def test_the_path_of_a_matrix_is_the_papers(rule, reference, numbers, turned, lr):
    start = MATRIX.T if turned else MATRIX

    def gradient(w):
        return valley(w.T).T if turned else valley(w)

    expected = reference(start, gradient, STEPS, lr, **numbers)
    actual = path_of(rule, gradient, STEPS, start, lr=lr, **numbers)
    np.testing.assert_allclose(actual, expected, rtol=1e-8)


@pytest.mark.parametrize("lr", [1e-9, 0.003, 0.2])
def test_soaps_path_is_the_papers(lr, monkeypatch):
    numbers = {**BETAS, "weight_decay": 1e-2}
    expected = paper.soap(SQUARE, bowl_of_squares, STEPS, lr, **numbers)
    if lr < 0.1:  # where the ties' ten millionth does not grow
        near = path_of(SOAP, bowl_of_squares, STEPS, SQUARE, lr=lr, **numbers)
        np.testing.assert_allclose(near, expected, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(eigenbasis, "TIE", 0.0)
    exact = path_of(SOAP, bowl_of_squares, STEPS, SQUARE, lr=lr, **numbers)
    np.testing.assert_allclose(exact, expected, rtol=1e-7)


@pytest.mark.parametrize(("rule", "reference", "numbers"), CASES[:3])
def test_the_path_of_a_vector_is_the_papers(rule, reference, numbers):
    np.testing.assert_allclose(
        path_of(rule, bowl, lr=0.03, **numbers), reference(START, bowl, 15, 0.03, **numbers), rtol=1e-9
    )


def defaults(rule):
    return rule([nn.Parameter(torch.ones(1))]).defaults


def test_the_defaults():
    assert defaults(LARS) == {"lr": 1.0, "momentum": 0.9, "trust": 1e-3, "weight_decay": 5e-4}
    assert defaults(LAMB) == {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.01}
    assert defaults(Adafactor) == {
        "lr": 1e-2, "decay": 0.8, "clip": 1.0, "eps1": 1e-30, "eps2": 1e-3, "weight_decay": 0.0,
    }  # fmt: skip
    assert defaults(Muon) == {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.01, "rest": 0.015}
    assert defaults(SOAP) == {"lr": 3e-3, "betas": (0.95, 0.95), "eps": 1e-8, "weight_decay": 0.01}


# ---- norms ----


@pytest.mark.parametrize("scale", [1e-6, 1e4])
@pytest.mark.parametrize(("rule", "numbers"), [(LARS, {"weight_decay": 0.0}), (LAMB, {"eps": 0.0}), (Muon, {})])
def test_the_scale_of_a_matrix_gradient_does_not_matter(rule, numbers, scale):
    plain = path_of(rule, valley, 10, MATRIX, lr=0.01, **numbers)
    scaled = path_of(rule, lambda w: scale * valley(w), 10, MATRIX, lr=0.01, **numbers)
    np.testing.assert_allclose(scaled, plain, rtol=1e-6)


def test_lambs_step_is_adamws_in_direction_and_the_weights_in_length():
    numbers = {"lr": 0.01, **BETAS, "weight_decay": 0.1}
    lamb, adamw = (path_of(rule, valley, 1, MATRIX, **numbers) for rule in (LAMB, AdamW))
    step = (adamw[1] - adamw[0]) / 0.01
    np.testing.assert_allclose(lamb[1] - lamb[0], 0.01 * np.linalg.norm(MATRIX) / np.linalg.norm(step) * step)


def test_lambs_first_step_is_adamws_where_the_ratio_is_1():
    numbers = {"lr": 0.01, **BETAS, "weight_decay": 0.0}
    step = path_of(AdamW, np.cos, 1, MATRIX, **numbers)
    size = np.linalg.norm(np.diff(step, axis=0)) / 0.01
    start = MATRIX / np.linalg.norm(MATRIX) * size
    gradients = np.cos(MATRIX)
    lamb, adamw = (path_of(rule, lambda w: gradients, 1, start, **numbers) for rule in (LAMB, AdamW))
    np.testing.assert_allclose(lamb, adamw, rtol=1e-9)


@pytest.mark.parametrize("rule", [LARS, LAMB])
def test_weights_at_0_move_by_the_plain_step(rule):
    theta = nn.Parameter(torch.zeros(3))
    theta.grad = torch.tensor([1.0, -1.0, 0.0])
    rule([theta], lr=0.5, weight_decay=0.0).step()
    torch.testing.assert_close(theta.detach(), torch.tensor([-0.5, 0.5, 0.0]), rtol=1e-5, atol=0)


@pytest.mark.parametrize("rule", [LARS, LAMB])
def test_a_gradient_of_0_without_decay_moves_nothing(rule):
    theta = nn.Parameter(torch.ones(3))
    theta.grad = torch.zeros(3)
    rule([theta], lr=0.5, weight_decay=0.0).step()
    assert torch.equal(theta.detach(), torch.ones(3))


@pytest.mark.parametrize("rule", [LARS, LAMB, Adafactor, Muon, SOAP])
def test_a_single_number_moves_as_a_vector_of_one(rule):
    paths = [path_of(rule, lambda w: w + 0.3, 6, np.full(shape, -2.0), lr=0.1).ravel() for shape in ((), (1,))]
    np.testing.assert_allclose(*paths, rtol=1e-12)


# ---- Adafactor ----


@pytest.mark.parametrize("shape", [(3, 4), (5,)])
def test_adafactors_step_of_weights_at_0_is_that_of_weights_of_the_size_eps2(shape):
    paths = []
    for size in (0.0, 0.25, 0.125):
        theta = nn.Parameter(torch.full(shape, size, dtype=torch.float64))
        theta.grad = torch.ones(shape, dtype=torch.float64)
        Adafactor([theta], lr=0.01, eps2=0.25).step()
        paths.append((size - theta.detach()).mean().item())
    assert paths == pytest.approx([0.25 * 0.01] * 3, rel=1e-9)


def test_adafactors_path_is_torchs_for_matrices_and_vectors():
    ours = {"lr": 0.02, "decay": 0.8, "eps1": 1e-30, "eps2": 1e-3, "weight_decay": 0.1}
    torchs = {"lr": 0.02, "beta2_decay": -0.8, "eps": (1e-30, 1e-3), "weight_decay": 0.1}
    for gradient, start in ((valley, MATRIX), (np.tanh, START)):
        actual = path_of(Adafactor, gradient, STEPS, start, **ours)
        expected = path_of(torch.optim.Adafactor, gradient, STEPS, start, **torchs)
        # torch decays before it takes the root mean square, the paper takes that of the weights as they were
        np.testing.assert_allclose(actual, expected, rtol=2e-3)
        ours_0, torchs_0 = {**ours, "weight_decay": 0.0}, {**torchs, "weight_decay": 0.0}
        actual = path_of(Adafactor, gradient, STEPS, start, **ours_0)
        np.testing.assert_allclose(
            actual, path_of(torch.optim.Adafactor, gradient, STEPS, start, **torchs_0), rtol=1e-9
        )


def test_the_factored_second_moment_is_exact_where_the_squares_have_rank_one():
    rows, columns = torch.rand(6, 1).double() + 0.1, torch.rand(1, 4).double() + 0.1
    theta = nn.Parameter(torch.ones(6, 4).double())
    optimizer = Adafactor([theta], clip=1e6)
    theta.grad = rows * columns
    optimizer.step()
    kept = optimizer.state[theta]
    second = kept["row"] * kept["column"] / kept["row"].mean()
    torch.testing.assert_close(second, (rows * columns) ** 2)
    torch.testing.assert_close(theta.detach(), torch.full((6, 4), 0.99).double())


def test_a_convolutions_kernel_is_one_matrix():
    kernel = nn.Parameter(torch.randn(4, 3, 2, 2))
    flat = nn.Parameter(kernel.detach().flatten(1).clone())
    for rule in (Adafactor, Muon, SOAP):
        one, other = rule([kernel]), rule([flat])
        for _ in range(3):
            kernel.grad = torch.sin(7 * kernel.detach())
            flat.grad = kernel.grad.flatten(1).clone()
            one.step()
            other.step()
        torch.testing.assert_close(kernel.detach().flatten(1), flat.detach(), rtol=1e-5, atol=1e-6)


# ---- Muon ----


@pytest.mark.parametrize("shape", [(8, 8), (40, 7), (7, 40), (1, 9), (9, 1), (3, 16, 24)])
def test_the_singular_values_of_a_step_lie_in_the_quintics_band(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    X = orthogonalize(matrices)
    sizes = torch.linalg.svdvals(matrices) / torch.linalg.matrix_norm(matrices)[..., None]
    values = torch.linalg.svdvals(X)
    assert values[sizes > 0.005].min() > 0.68
    assert values.max() < 1.21
    U, _, Vt = torch.linalg.svd(matrices, full_matrices=False)
    inside = U.mT @ X @ Vt.mT
    torch.testing.assert_close(
        inside, values.new_zeros(inside.shape) + inside.diagonal(dim1=-2, dim2=-1).diag_embed(), atol=1e-9, rtol=0
    )


def test_muons_path_is_torchs_within_its_bfloat16():
    numbers = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
    for start, gradient in ((MATRIX, valley), (MATRIX.T, lambda w: valley(w.T).T)):
        actual = path_of(Muon, gradient, 6, start, dtype=torch.float32, **numbers)
        expected = path_of(torch.optim.Muon, gradient, 6, start, dtype=torch.float32, **numbers)
        np.testing.assert_allclose(actual, expected, atol=6 * 0.05 * 0.03)
        assert np.abs(actual - actual[0]).max() > 0.1


def test_muons_vectors_are_adamws_at_their_own_rate():
    adamw = path_of(AdamW, bowl, lr=0.02 * 0.3, beta1=0.9, beta2=0.95, eps=1e-10, weight_decay=0.1)
    np.testing.assert_allclose(path_of(Muon, bowl, lr=0.02, rest=0.3, weight_decay=0.1), adamw, rtol=1e-12)


def test_muons_groups_are_hidden_matrices_and_the_rest():
    network = nn.Sequential(nn.Embedding(9, 4), nn.Conv1d(4, 6, 3), nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2))
    network[3].bias.requires_grad_(False)
    hidden, rest = Muon.groups(network)
    assert [p is q for p, q in zip(hidden["params"], [network[1].weight, network[2].weight], strict=True)] == [True] * 2
    expected = [network[0].weight, network[1].bias, network[2].bias, network[3].weight, *network[4].parameters()]
    assert {id(p) for p in rest["params"]} == {id(p) for p in expected}
    optimizer = Muon([hidden, rest], lr=0.1)
    start = {id(p): p.detach().clone() for p in network.parameters()}
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    last = network[4].weight
    torch.testing.assert_close(last.detach(), start[id(last)] * (1 - 0.1 * 0.015 * 0.01) - 0.1 * 0.015)
    assert set(optimizer.state[last]) == {"step", "m", "v"}
    assert set(optimizer.state[network[2].weight]) == {"step", "m"}
    again = Muon(Muon.groups(network))
    again.load_state_dict(optimizer.state_dict())
    again.step()
    assert set(again.state[last]) == {"step", "m", "v"}


def test_muons_groups_leave_the_first_matrix_out_where_nothing_is_embedded():
    network = nn.Sequential(nn.Linear(9, 4), nn.Conv1d(4, 6, 3), nn.Linear(6, 5), nn.Linear(5, 2))
    hidden, rest = Muon.groups(network)
    assert [id(p) for p in hidden["params"]] == [id(network[1].weight), id(network[2].weight)]
    assert {id(p) for p in (*network[0].parameters(), *network[3].parameters())} < {id(p) for p in rest["params"]}
    late = nn.Sequential(nn.Linear(4, 4), nn.Embedding(9, 4), nn.Linear(4, 2))  # the embedding takes the inputs
    assert [id(p) for p in Muon.groups(late)[0]["params"]] == [id(late[0].weight)]
    (alone,) = Muon.groups(nn.Linear(3, 2))
    assert alone["hidden"] is False


# ---- SOAP ----


def turned_problem(seed):
    draws = np.random.default_rng(seed)
    U, V = np.linalg.qr(draws.normal(size=(5, 5)))[0], np.linalg.qr(draws.normal(size=(5, 5)))[0]
    return U, V, lambda w: U @ bowl_of_squares(U.T @ w @ V) @ V.T


@pytest.mark.parametrize("seed", [0, 1])
def test_soap_does_not_see_how_a_problem_is_turned_and_adamw_does(seed, monkeypatch):
    monkeypatch.setattr(eigenbasis, "TIE", 0.0)
    U, V, turned = turned_problem(seed)
    for rule, sees in ((SOAP, False), (AdamW, True)):
        path = path_of(rule, bowl_of_squares, STEPS, SQUARE, lr=0.02)
        other = U.T @ path_of(rule, turned, STEPS, U @ SQUARE @ V.T, lr=0.02) @ V
        assert (np.abs(path - other).max() > 1e-2) == sees
        if not sees:
            np.testing.assert_allclose(other, path, atol=1e-4)


def test_soap_without_preconditioners_is_adamw_one_step_late(monkeypatch):
    monkeypatch.setattr(eigenbasis, "LARGEST", 0)
    numbers = {"lr": 0.02, **BETAS, "weight_decay": 0.1}
    soap, adamw = (path_of(rule, valley, STEPS, MATRIX, **numbers) for rule in (SOAP, AdamW))
    np.testing.assert_allclose(soap[1:], adamw[:-1], rtol=1e-12)


def test_soaps_vectors_are_adamws_one_step_late():
    numbers = {"lr": 0.02, **BETAS, "weight_decay": 0.1}
    soap, adamw = (path_of(rule, bowl, STEPS, START, **numbers) for rule in (SOAP, AdamW))
    np.testing.assert_allclose(soap[1:], adamw[:-1], rtol=1e-12)


def test_soaps_bases_turn_towards_the_eigenvectors_and_stay_orthogonal():
    draws = np.random.default_rng(0)
    theta = nn.Parameter(torch.zeros(6, 4, dtype=torch.float64))
    optimizer = SOAP([theta], beta2=0.99)
    mix = draws.normal(size=(6, 6)) * [8, 4, 2, 1, 0.5, 0.25]
    for _ in range(401):
        theta.grad = torch.from_numpy(mix @ draws.normal(size=(6, 4)))
        optimizer.step()
    Q, L = optimizer.state[theta]["QL"], optimizer.state[theta]["L"]
    torch.testing.assert_close(Q.T @ Q, torch.eye(6, dtype=torch.float64))
    inside = Q.T @ L @ Q
    apart = inside - inside.diagonal().diag()
    assert apart.norm() < 0.1 * inside.norm()
    assert (inside.diagonal().diff() < 0.05 * inside[0, 0]).all(), "the largest first"


def test_a_first_gradient_of_low_rank_gives_the_same_basis_whatever_the_rounding():
    draws = torch.Generator().manual_seed(0)
    g = torch.randn(30, 3, generator=draws) @ torch.randn(3, 20, generator=draws)
    bases = []
    for noise in (0.0, 3e-7):
        theta = nn.Parameter(torch.zeros(30, 20))
        optimizer = SOAP([theta])
        theta.grad = g * (1 + noise * torch.randn(g.shape, generator=draws))
        optimizer.step()
        bases.append(optimizer.state[theta]["QL"])
    torch.testing.assert_close((bases[0].T @ bases[1]).abs(), torch.eye(30), rtol=0, atol=1e-3)


def test_soap_with_a_first_gradient_of_0_has_the_coordinates_for_its_basis():
    theta = nn.Parameter(torch.zeros(4, 3))
    optimizer = SOAP([theta])
    theta.grad = torch.zeros(4, 3)
    optimizer.step()
    assert torch.equal(optimizer.state[theta]["QL"].abs(), torch.eye(4))


@pytest.mark.parametrize("rule", [LARS, LAMB, Adafactor, Muon, SOAP])
def test_bfloat16_parameters_move_and_stay_so(rule):
    theta = nn.Parameter(torch.ones(4, 3, dtype=torch.bfloat16))
    optimizer = rule([theta], lr=10.0 if rule is LARS else 0.1)
    for k in range(12):
        theta.grad = torch.linspace(1, 2 + k, 12).reshape(4, 3).to(torch.bfloat16)
        optimizer.step()
    assert theta.dtype == torch.bfloat16
    assert theta.isfinite().all()
    assert (theta != 1).any()


def test_a_side_that_is_too_long_for_soap_keeps_its_own_basis(monkeypatch):
    """It is turned by nothing: rotating the other side leaves the path what it was, rotating this one does not."""
    monkeypatch.setattr(eigenbasis, "LARGEST", 4)
    monkeypatch.setattr(eigenbasis, "TIE", 0.0)
    assert set(SOAP.kept(torch.Size([5, 3]))) == {"m", "v", "R", "QR"}
    assert set(SOAP.kept(torch.Size([3, 5]))) == {"m", "v", "L", "QL"}
    draws = np.random.default_rng(3)
    U, V = np.linalg.qr(draws.normal(size=(5, 5)))[0], np.linalg.qr(draws.normal(size=(3, 3)))[0]
    path = path_of(SOAP, valley, STEPS, MATRIX, lr=0.02)
    columns = path_of(SOAP, lambda w: valley(w @ V.T) @ V, STEPS, MATRIX @ V, lr=0.02) @ V.T
    rows = U @ path_of(SOAP, lambda w: U.T @ valley(U @ w), STEPS, U.T @ MATRIX, lr=0.02)
    np.testing.assert_allclose(columns, path, rtol=1e-6, atol=1e-8)
    assert np.abs(rows - path).max() > 1e-3


@pytest.mark.parametrize("shape", [(2, 0), (0, 2), (0,), ()], ids=str)
@each("optimizer")
def test_a_parameter_without_numbers_or_axes_is_stepped_as_any_other(technique, shape):
    theta = torch.nn.Parameter(torch.ones(shape))
    theta.grad = torch.ones(shape)
    optimizer = technique.make([theta, torch.nn.Parameter(torch.ones(3, 3))])
    optimizer.step()
    assert theta.isfinite().all()


@pytest.mark.parametrize("make", [LAMB, LARS, Adafactor])
def test_parameters_in_half_precision_whose_norm_it_cannot_hold_move(make):
    single = torch.nn.Parameter(torch.full((600, 600), 20.0))
    half = torch.nn.Parameter(single.detach().half())
    for theta in single, half:
        theta.grad = torch.full_like(theta, 200.0)
        make([theta]).step()
    assert not torch.equal(half, single.new_full((600, 600), 20.0).half())
    torch.testing.assert_close(half.float() - 20, single - 20, rtol=0.2, atol=0.02)


def test_a_matrix_in_half_precision_whose_norm_it_cannot_hold_is_made_orthogonal():
    g = 200 * torch.randn(400, 300, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalize(g.half()).float(), orthogonalize(g), rtol=0, atol=0.02)
