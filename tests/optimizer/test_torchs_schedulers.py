"""torch's own schedulers on our optimizers: beside torch's optimizers, which they were made for."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR

from each_technique import each
from trainsmith import optimizer as ours

STEPS = 12
SCHEDULERS = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: 0.9),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 5]),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=5),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, STEPS, 2.0),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 1e-1, 3),
    "CyclicLR, rates alone": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 1e-1, 3, cycle_momentum=False),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 1e-1, total_steps=STEPS + 1),
    "OneCycleLR, rates alone": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=STEPS + 1, cycle_momentum=False),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o, 0.1, 3), lr_scheduler.ExponentialLR(o, 0.9)], [3]
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.1, 3), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    "SWALR": lambda o: SWALR(o, 0.05, 3),
}
MOMENTUM = ("CyclicLR", "OneCycleLR")
"""Those that move a momentum against the rate: rules without one are refused, as torch's are."""
PAIRS = {
    "SGD": (ours.SGD, torch.optim.SGD, {}),
    "Momentum": (ours.Momentum, torch.optim.SGD, {"momentum": 0.9}),
    "Nesterov": (ours.Nesterov, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "Adam": (ours.Adam, torch.optim.Adam, {}),
    "AdamW": (ours.AdamW, torch.optim.AdamW, {}),
    "AMSGrad": (ours.AMSGrad, torch.optim.Adam, {"amsgrad": True}),
    "Adamax": (ours.Adamax, torch.optim.Adamax, {}),
    "RAdam": (ours.RAdam, torch.optim.RAdam, {}),
    "RMSprop": (ours.RMSprop, torch.optim.RMSprop, {}),
    "AdaGrad": (ours.AdaGrad, torch.optim.Adagrad, {}),
    "AdaDelta": (ours.AdaDelta, torch.optim.Adadelta, {}),
}


def trained(network, optimizer, make_scheduler):
    """The rates of some steps, after which the network's parameters are compared."""
    scheduler, draws, rates = make_scheduler(optimizer), torch.Generator().manual_seed(1), []
    for _ in range(STEPS):
        x, y = torch.randn(8, 3, generator=draws), torch.randn(8, 1, generator=draws)
        optimizer.zero_grad()
        loss = (network(x) - y).square().mean()
        loss.backward()
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([loss.item()] if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else []))
    return rates


def networks():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return first, copy.deepcopy(first)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_scheduler_does_to_ours_what_it_does_to_torchs(pair, scheduler):
    make, torchs, numbers = PAIRS[pair]
    here, there = networks()
    mine = make(here.parameters(), lr=0.01)
    theirs = torchs(there.parameters(), lr=0.01, **{k: v for k, v in numbers.items() if k != "momentum" or v})
    if scheduler in MOMENTUM and not {"momentum", "betas"} & set(mine.defaults):
        with pytest.raises(ValueError, match="momentum"):
            SCHEDULERS[scheduler](mine)
        return
    assert trained(here, mine, SCHEDULERS[scheduler]) == trained(there, theirs, SCHEDULERS[scheduler])
    for p, expected in zip(here.parameters(), there.parameters(), strict=True):
        torch.testing.assert_close(p, expected, rtol=1e-4, atol=1e-5)


@each("optimizer")
def test_a_scheduler_that_moves_the_momentum_takes_every_rule_that_has_one(technique):
    """Where torch's would be refused, for want of a momentum, ours is too; the momentum moves what the rule does."""
    names = {h.name for h in technique.hyperparameters}
    paths = []
    for moved in (True, False):
        network, _ = networks()
        optimizer = technique.make(network.parameters())

        def one_cycle(o, moved=moved):
            return lr_scheduler.OneCycleLR(o, 0.01, total_steps=STEPS + 1, cycle_momentum=moved, base_momentum=0.5)

        if moved and not names & {"momentum", "beta1"}:
            with pytest.raises(ValueError, match="must support momentum or beta1"):
                one_cycle(optimizer)
            return
        trained(network, optimizer, one_cycle)
        paths.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert all(path.isfinite().all() for path in paths)
    assert not torch.equal(*paths)


def test_a_group_gives_its_betas_as_torch_has_them_or_one_by_one():
    weights = [nn.Parameter(torch.ones(2)) for _ in range(4)]
    each_group = [{"betas": (0.5, 0.75)}, {"beta1": 0.5, "beta2": 0.75}, {"beta1": 0.5}, {"beta2": 0.75}]
    optimizer = ours.Adam([{"params": [p], **own} for p, own in zip(weights, each_group, strict=True)])
    assert [group["betas"] for group in optimizer.param_groups] == [(0.5, 0.75)] * 2 + [(0.5, 0.999), (0.9, 0.75)]
    assert all(not {"beta1", "beta2"} & set(group) for group in optimizer.param_groups)
    optimizer.param_groups[3]["beta1"] = 0.25  # by hand, between two steps
    for p in weights:
        p.grad = torch.ones(2)
    optimizer.step()
    assert optimizer.param_groups[3]["betas"] == (0.25, 0.75)
    twins = [nn.Parameter(torch.ones(2)) for _ in range(4)]
    betas = [group["betas"] for group in optimizer.param_groups]
    torchs = torch.optim.Adam([{"params": [p], "betas": own} for p, own in zip(twins, betas, strict=True)])
    for g in (1.0, -3.0):
        for p, twin in zip(weights, twins, strict=True):
            p.grad, twin.grad = torch.full((2,), g), torch.full((2,), g)
        if g != 1.0:
            optimizer.step()
        torchs.step()
    for p, twin in zip(weights, twins, strict=True):
        torch.testing.assert_close(p, twin)


def test_a_state_that_was_stored_with_beta1_and_beta2_apart_is_taken():
    weight = nn.Parameter(torch.ones(2))
    state = ours.Adam([weight], beta1=0.5, beta2=0.75).state_dict()
    (group,) = state["param_groups"]
    group["beta1"], group["beta2"] = group.pop("betas")
    other = ours.Adam([weight])
    other.load_state_dict(state)
    assert other.param_groups[0]["betas"] == (0.5, 0.75)
    assert not {"beta1", "beta2"} & set(other.param_groups[0])
