"""The ordinary torch.optim.Optimizer around a rule."""

import copy
import io
import re

import pytest
import torch
from torch import nn

from trainsmith.catalogue import techniques
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import LAMB, LARS, SGD, SOAP, AdaDelta, Adafactor, Adam, AdamW, Lion, Momentum, Muon, Nesterov
from trainsmith.optimizer.rule import BLOCK, JOINED, root


def one_weight(value=1.0, gradient=1.0):
    weight = nn.Parameter(torch.tensor([value]))
    weight.grad = torch.tensor([gradient])
    return weight


def test_each_group_has_its_own_learning_rate():
    slow, fast = one_weight(), one_weight()
    SGD([{"params": [slow], "lr": 0.1}, {"params": [fast]}], lr=0.5).step()
    assert slow.item() == pytest.approx(0.9)
    assert fast.item() == 0.5


def test_a_parameter_without_a_gradient_stays_and_keeps_no_state():
    used, unused = one_weight(), nn.Parameter(torch.ones(2))
    optimizer = Momentum([used, unused], lr=0.5)
    optimizer.step()
    assert used.item() == 0.5
    assert torch.equal(unused, torch.ones(2))
    assert unused not in optimizer.state


def test_a_parameter_that_joins_late_starts_its_own_bias_correction():
    early, late = one_weight(), one_weight()
    late.grad = None
    optimizer = Adam([early, late], lr=0.125, eps=0.0)
    for _ in range(3):
        optimizer.step()
    late.grad = torch.tensor([7.0])
    optimizer.step()
    assert late.item() == pytest.approx(1 - 0.125, rel=1e-5)


def test_a_scheduler_changes_the_learning_rate():
    weight = one_weight(2.0)
    optimizer = SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.25)
    optimizer.step()
    scheduler.step()
    optimizer.step()
    assert weight.item() == 2 - 1 - 0.25


def test_a_closure_is_called_with_gradients_on_and_its_loss_is_returned():
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = SGD([weight], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9
    assert weight.item() == 3 - 0.25 * 6


def test_a_step_records_nothing_for_autograd():
    weight = one_weight()
    Adam([weight]).step()
    assert weight.grad_fn is None
    assert weight.requires_grad


def test_a_refused_learning_rate_is_named():
    with pytest.raises(InvalidInput, match=r"sgd: lr must be a number in \(0, inf\); got -0.1."):
        SGD([one_weight()], lr=-0.1)


def test_the_root_is_the_square_root_except_where_it_would_be_slow():
    v = torch.tensor([4.0, 2.0, 1e-30, torch.inf, torch.nan, 0.0, 1e-42])
    tiny = torch.finfo(torch.float32).tiny
    expected = torch.tensor([2, 2**0.5, 1e-15, torch.inf, torch.nan, tiny**0.5, tiny**0.5])
    torch.testing.assert_close(root(v), expected, rtol=1e-6, atol=0, equal_nan=True)
    assert torch.equal(v[:2], torch.tensor([4.0, 2.0])), "the moment itself must stay"


SHAPES = [(3, 2), (), (5,), (2, 1, 4), (JOINED + 1,), (JOINED,), (1,), (7, 300)]


def network(seed=0, dtypes=(torch.float32,)):
    """Parameters of many shapes, small and large, one laid out by columns, and gradients for four steps."""
    draws = torch.Generator().manual_seed(seed)
    kinds = [dtypes[i % len(dtypes)] for i in range(len(SHAPES))]
    parameters = [nn.Parameter(torch.randn(s, generator=draws).to(d)) for s, d in zip(SHAPES, kinds, strict=True)]
    parameters[-1] = nn.Parameter(parameters[-1].detach().t().contiguous().t())
    gradients = [[torch.randn(p.shape, generator=draws).to(p.dtype) for p in parameters] for _ in range(4)]
    return parameters, gradients


def steps(optimizer, parameters, gradients):
    for now in gradients:
        for p, g in zip(parameters, now, strict=True):
            p.grad = None if g is None else g.clone()
        optimizer.step()


def one_by_one(make, dtypes=(torch.float32,)):
    """Where the parameters end when each has an optimizer of its own, which joins nothing."""
    parameters, gradients = network(dtypes=dtypes)
    for i, p in enumerate(parameters):
        steps(make([p]), [p], [[now[i]] for now in gradients])
    return parameters


@pytest.mark.parametrize("dtypes", [(torch.float32,), (torch.float32, torch.float64, torch.bfloat16)])
def test_parameters_that_move_together_move_as_each_would_alone(dtypes):
    parameters, gradients = network(dtypes=dtypes)
    steps(Adam(parameters, lr=0.1), parameters, gradients)
    for p, alone in zip(parameters, one_by_one(lambda p: Adam(p, lr=0.1), dtypes), strict=True):
        assert p.dtype == alone.dtype
        torch.testing.assert_close(p, alone, rtol=1e-6 if p.dtype != torch.bfloat16 else 1e-2, atol=1e-6)


@pytest.mark.parametrize("rule", [LARS, LAMB, Adafactor, Muon, SOAP])
def test_matrices_of_one_shape_move_together_as_each_would_alone(rule):
    draws = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (3,), (4, 3), (), (4, 3), (3,), (2, 2, 3), ()]
    start = [torch.randn(s, generator=draws) for s in shapes]
    gradients = [[torch.randn(s, generator=draws) for s in shapes] for _ in range(13)]
    together, alone = ([nn.Parameter(t.clone()) for t in start] for _ in range(2))
    optimizer = rule(together, lr=0.1)
    steps(optimizer, together, gradients)
    for i, p in enumerate(alone):
        steps(rule([p], lr=0.1), [p], [[now[i]] for now in gradients])
        torch.testing.assert_close(together[i], p, rtol=1e-4, atol=1e-5)
        assert {n: tuple(t.shape) for n, t in optimizer.state[together[i]].items() if n != "step"} == rule.kept(p.shape)


def test_joined_parameters_keep_moments_of_their_own_shape_and_type():
    parameters, gradients = network()
    optimizer = Adam(parameters, lr=0.1)
    steps(optimizer, parameters, gradients)
    for i, p in enumerate(parameters):
        m = torch.zeros_like(p)
        for now in gradients:
            m = m + 0.1 * (now[i] - m)
        assert list(optimizer.state[p]) == ["step", "m", "v"]
        torch.testing.assert_close(optimizer.state[p]["m"], m, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("how", ["state_dict", "torch.save", "deepcopy", "by hand"])
def test_joined_moments_follow_when_the_state_is_replaced(how):
    whole, gradients = network()
    steps(Adam(whole, lr=0.1), whole, gradients)
    parameters, gradients = network()
    optimizer = Adam(parameters, lr=0.1)
    steps(optimizer, parameters, gradients[:2])
    stored = copy.deepcopy(optimizer.state_dict())
    if how == "deepcopy":
        optimizer = copy.deepcopy(optimizer)
        parameters = optimizer.param_groups[0]["params"]
    else:
        before = [p.detach().clone() for p in parameters]
        steps(optimizer, parameters, gradients[:1])  # leads astray, and is undone
        with torch.no_grad():
            for p, value in zip(parameters, before, strict=True):
                p.copy_(value)
        if how == "torch.save":
            file = io.BytesIO()
            torch.save(stored, file)
            file.seek(0)
            stored = torch.load(file)
        if how == "by hand":
            for p, state in zip(parameters, stored["state"].values(), strict=True):
                optimizer.state[p] = state
        else:
            optimizer.load_state_dict(stored)
    steps(optimizer, parameters, gradients[2:])
    for p, expected in zip(parameters, whole, strict=True):
        assert torch.equal(p, expected)


def test_parameters_whose_gradients_come_and_go_keep_their_own_count():
    parameters, gradients = network()
    holes = [[None if (i + t) % 3 == 0 else g for i, g in enumerate(now)] for t, now in enumerate(gradients)]
    steps(Adam(parameters, lr=0.1), parameters, holes)
    others, _ = network()
    steps(torch.optim.Adam(others, lr=0.1), others, holes)
    for p, expected in zip(parameters, others, strict=True):
        torch.testing.assert_close(p, expected, rtol=1e-5, atol=1e-6)


def test_parameters_whose_gradients_come_and_go_leave_nothing_behind():
    """What is joined in one step and not in the next would be kept for ever, for each choice of parameters."""
    parameters = [nn.Parameter(torch.ones(5, 2)) for _ in range(6)]
    optimizer = Lion(parameters)
    for step in range(1, 40):
        for i, p in enumerate(parameters):
            p.grad = torch.ones_like(p) if step >> i & 1 else None
        optimizer.step()
    kept = sum(flat.numel() for flats, _ in optimizer._flat.values() for flat in flats)
    assert kept <= sum(p.numel() for p in parameters)


def test_each_group_of_joined_parameters_has_its_own_numbers():
    parameters = [one_weight() for _ in range(6)]
    groups = [{"params": parameters[:3], "lr": 0.25}, {"params": parameters[3:]}]
    SGD(groups, lr=0.5).step()
    assert [p.item() for p in parameters] == [0.75] * 3 + [0.5] * 3


def test_a_sparse_gradient_is_refused():
    table = nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1, 3])).sum().backward()
    with pytest.raises(InvalidInput, match="gradients must be dense; got a sparse one: build the layer with sparse"):
        Adam(table.parameters()).step()


@pytest.mark.parametrize("rule", [Adam, Adafactor, LAMB, Muon])
@pytest.mark.parametrize("lr", [torch.tensor(0.05), torch.tensor([0.05], dtype=torch.float64)], ids=["()", "(1,)"])
def test_a_learning_rate_may_be_a_tensor_of_one_number_as_torchs_may(rule, lr):
    parameters, gradients = network()
    optimizer = rule(parameters)
    optimizer.param_groups[0]["lr"] = lr
    steps(optimizer, parameters, gradients)
    others, _ = network()
    steps(rule(others, lr=0.05), others, gradients)
    for p, expected in zip(parameters, others, strict=True):
        torch.testing.assert_close(p, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", [SGD, Momentum])
def test_complex_parameters_are_moved_by_what_is_linear_in_the_gradient_and_refused_by_the_rest(rule):
    z = nn.Parameter(torch.tensor([1 + 2j, 3 - 1j]))
    pairs = nn.Parameter(torch.view_as_real(z.detach().clone()))
    for g in (torch.tensor([0.5 - 1j, 2j]), torch.tensor([1j, 1 - 1j])):
        z.grad, pairs.grad = g.clone(), torch.view_as_real(g).clone()
        for p in (z, pairs):
            steps_of = rule([p], lr=0.5)
            steps_of.step()
    assert torch.equal(torch.view_as_real(z.detach()), pairs.detach())
    with pytest.raises(
        InvalidInput, match=r"Adam needs real parameters; got torch.complex64. Train torch.view_as_real"
    ):
        Adam([z]).step()


@pytest.mark.parametrize("rule", [Adam, Adafactor, LAMB])
@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-6])
def test_small_gradients_in_float16_leave_finite_weights(rule, size):
    """Their squares are 0 there, and so is an eps of 1e-8."""
    for shape in ((6, 4), (5,)):
        p = nn.Parameter(torch.ones(shape, dtype=torch.float16))
        optimizer = rule([p])
        for step in range(10):
            p.grad = torch.full(shape, size * (-1) ** step, dtype=torch.float16)
            optimizer.step()
        assert p.isfinite().all()


@pytest.mark.parametrize(("rule", "rounding"), [(AdaDelta, 0), (Lion, 0), (LAMB, 1e-6)])
def test_a_parameter_that_is_moved_in_pieces_moves_as_a_whole(rule, rounding):
    """LAMB's norms sum what lies in another order in another order."""
    generator = torch.Generator().manual_seed(0)
    threads = torch.get_num_threads()
    start, g = (torch.randn(3, BLOCK * threads + 5, generator=generator) for _ in range(2))
    whole, pieces = nn.Parameter(start.mT.contiguous().mT), nn.Parameter(start.clone())
    whole.grad, pieces.grad = g.mT.contiguous().mT, g.clone()  # what does not lie in order is not cut
    assert not whole.is_contiguous()
    for parameter in (whole, pieces):
        optimizer = rule([parameter], lr=0.1)
        for _ in range(2):
            optimizer.step()
    torch.testing.assert_close(whole.detach(), pieces.detach(), rtol=rounding, atol=rounding)
    assert (pieces != start).all()


@pytest.mark.parametrize("rule", [Momentum, Nesterov])
def test_a_momentum_that_rises_from_0_finds_the_last_gradient_as_velocity(rule):
    """torch's kernel keeps none at momentum 0."""
    paths = []
    for made in (rule, type("ByTheFormula", (rule,), {"fused": None})):
        theta = nn.Parameter(torch.ones(3, dtype=torch.float64))
        optimizer = made([theta], lr=0.1, momentum=0.0)
        for t, momentum in enumerate((0.0, 0.0, 0.9, 0.5)):
            optimizer.param_groups[0]["momentum"] = momentum
            theta.grad = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) * (t + 1)
            optimizer.step()
        paths.append(theta.detach().clone())
    torch.testing.assert_close(*paths)


def test_large_parameters_that_the_single_pass_kernel_cannot_take_are_not_joined():
    """Gradients with gaps between their numbers; all the same it is the rule's own step."""
    shapes = [(4, 3), (JOINED // 2, 4), (2, JOINED), (5,)]
    parameters = [torch.nn.Parameter(torch.ones(s, dtype=torch.float64)) for s in shapes]
    twins = [torch.nn.Parameter(p.detach().clone()) for p in parameters]
    optimizer, plain = Adam(parameters, lr=0.1), Adam(twins, lr=0.1)
    for step in range(3):
        for p, twin in zip(parameters, twins, strict=True):
            wide = torch.randn(*p.shape, 2, generator=torch.Generator().manual_seed(step), dtype=p.dtype)
            p.grad, twin.grad = wide[..., 0], wide[..., 0].contiguous()
        optimizer.step()
        plain.step()
    assert [sum(t.numel() for t in flat) for flat, _ in optimizer._flat.values()] == [2 * 17]
    for p, twin in zip(parameters, twins, strict=True):
        torch.testing.assert_close(p, twin, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("stored", "into", "said"),
    [(Momentum, Adam, "has no beta1"), (Momentum, SGD, "keeps other tensors"), (AdamW, Adafactor, "has no decay")],
)
def test_the_state_of_another_rule_is_refused_and_nothing_is_changed(stored, into, said):
    theta = nn.Parameter(torch.ones(2, 3))
    theta.grad = torch.ones(2, 3)
    first, second = stored([theta]), into([theta])
    first.step()
    second.step()
    before = copy.deepcopy(second.state_dict())
    with pytest.raises(InvalidInput, match=rf"the state is not one of {into.__name__}: it {said}"):
        second.load_state_dict(first.state_dict())
    assert str(second.state_dict()) == str(before)
    second.step()


def test_the_state_of_torchs_adam_is_one_of_adam():
    theta, same = (nn.Parameter(torch.ones(2, 3)) for _ in range(2))
    ours, theirs = Adam([theta]), torch.optim.Adam([same])
    for step in range(4):
        theta.grad, same.grad = torch.full((2, 3), 1.0 + step), torch.full((2, 3), 1.0 + step)
        theirs.step()
        if step == 1:
            theta.data.copy_(same.data)
            ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
        elif step > 1:
            ours.step()
            torch.testing.assert_close(theta, same)


PAIRED = [t for t in techniques("optimizer") if {"beta1", "beta2"} <= {h.name for h in t.hyperparameters}]


@pytest.mark.parametrize("technique", PAIRED, ids=lambda t: t.name)
def test_betas_give_both_as_to_torchs_optimizers(technique):
    theta = [nn.Parameter(torch.ones(2, 3))]
    one, other = technique.make(theta, betas=(0.5, 0.75)), technique.make(theta, beta1=0.5, beta2=0.75)
    assert one.param_groups == other.param_groups
    assert one.param_groups[0]["betas"] == (0.5, 0.75)
    for wrong, said in (
        ((0.5, 1.5), r"beta2 must be a number in \[0, 1\); got 1.5"),
        ((1.0, 0.5), r"beta1 must be a number in \[0, 1\); got 1.0"),
        ((0.5,), r"betas must be \(beta1, beta2\); got \(0.5,\)"),
        (0.5, r"betas must be \(beta1, beta2\); got 0.5"),
    ):
        with pytest.raises(InvalidInput, match=f"^{re.escape(technique.name)}: {said}"):
            technique.make(theta, betas=wrong)
    with pytest.raises(InvalidInput, match="beta2 is given twice, by itself and in betas; leave one of them out"):
        technique.make(theta, betas=(0.5, 0.75), beta2=0.75)


def test_betas_are_no_argument_of_a_rule_that_has_none():
    assert len(PAIRED) > 8
    with pytest.raises(TypeError, match=r"momentum takes params, lr, momentum: .*betas"):
        Momentum([nn.Parameter(torch.ones(2))], betas=(0.5, 0.75))
