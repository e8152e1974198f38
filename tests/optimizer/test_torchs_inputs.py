"""Our optimizers on torch's own optimizer test inputs, as far as they apply, beside torch's own optimizers."""

import copy
import inspect
import warnings

import pytest
import torch
from torch import nn

from trainsmith import optimizer as ours

with warnings.catch_warnings():  # it tells that the package hypothesis is not there, which nothing here needs
    warnings.simplefilter("ignore", ImportWarning)
    from torch.testing._internal.common_optimizers import optim_db

OURS = {
    "Adadelta": ours.AdaDelta,
    "Adafactor": ours.Adafactor,
    "Adagrad": ours.AdaGrad,
    "Adam": ours.Adam,
    "AdamW": ours.AdamW,
    "Adamax": ours.Adamax,
    "Muon": ours.Muon,
    "NAdam": ours.NAdam,
    "RAdam": ours.RAdam,
    "RMSprop": ours.RMSprop,
    "SGD": ours.SGD,
}
"""Ours with the rule of torch's, by torch's name."""
NOT_OURS = {"ASGD", "LBFGS", "Rprop", "SparseAdam"}
OTHERWISE = {
    "Adagrad-initial_accumulator_value": "a start that is not 0",
    "Adagrad-lr_decay": "a decay of the rate by the step",
    "AdamW-amsgrad": "AMSGrad with a decay of its own",
    "Muon-passing alternative ns_steps": "another iteration",
    "Muon-passing alternative ns_coefficients": "another iteration",
    "RAdam-decoupled_weight_decay": "RAdam with a decay of its own",
    "RMSprop-momentum": "RMSProp with momentum",
    "RMSprop-maximize, centered, weight_decay, w/ momentum": "RMSProp with momentum",
    "SGD-dampening": "momentum by another share of the gradient",
}
"""Inputs that ask for what no rule here does, and what that is."""
SWITCHES = ("foreach", "fused", "capturable", "differentiable")
BFLOAT16 = 0.03
"""What the bfloat16 of torch's iteration makes of a step of Muon, in units of lr."""


def translated(name, given):
    """Ours, its numbers, the strength of an L2 penalty and the sign of the loss, for torch's name and arguments.

    torch's weight_decay is an L2 penalty, except where it is decoupled: what is asked of the loss here.
    """
    make, numbers = OURS[name], {k: v for k, v in given.items() if k not in SWITCHES}
    sign = -1 if numbers.pop("maximize", False) else 1
    decoupled = numbers.pop("decoupled_weight_decay", name in ("AdamW", "Adafactor", "Muon"))
    penalty = 0.0 if decoupled else numbers.pop("weight_decay", 0.0)
    numbers |= {"weight_decay": 0.0} if penalty and name == "NAdam" else {}
    if numbers.pop("amsgrad", False):
        make = ours.AMSGrad
    if numbers.pop("centered", False):
        make = ours.CentredRMSprop
    if "momentum" in numbers and name == "SGD":
        make = ours.Nesterov if numbers.pop("nesterov", False) else ours.Momentum
    if name == "Adafactor":
        numbers = {"clip": numbers.pop("d", 1.0), "decay": -numbers.pop("beta2_decay", -0.8), **numbers}
    known = inspect.signature(make.coefficients).parameters
    return (make, numbers, penalty, sign) if all(k in known for k in numbers) else None


def cases():
    for info in optim_db:
        name = info.optim_cls.__name__
        for given in info.optim_inputs_func(device="cpu") if name in OURS else ():
            if not any(given.kwargs.get(switch) for switch in SWITCHES):
                yield f"{name}-{given.desc}", info.optim_cls, given.kwargs, translated(name, given.kwargs)


def defaults_of(torchs, make, given):
    """The numbers that torch uses where nothing is given, in our names; those that it does not know, as ours."""
    group = torchs([nn.Parameter(torch.ones(1, 1))], **given).param_groups[0]
    beta1, beta2 = group.get("betas", (None, None))
    eps1, eps2 = group["eps"] if isinstance(group.get("eps"), tuple) else (None, None)
    values = {**group, "beta1": beta1, "beta2": beta2, "eps1": eps1 or 1e-30, "eps2": eps2}
    return {
        k: values[k] for k in list(inspect.signature(make.coefficients).parameters)[1:] if values.get(k) is not None
    }


def network_for(name):
    """torch's Muon takes matrices alone."""
    return nn.Sequential(nn.Linear(3, 4, bias=name != "Muon"), nn.Tanh(), nn.Linear(4, 1, bias=name != "Muon"))


APPLY = [pytest.param(*case[1:3], *case[3], id=case[0]) for case in cases() if case[3]]


@pytest.mark.parametrize(("torchs", "given", "make", "numbers", "penalty", "sign"), APPLY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ours_goes_torchs_way(torchs, given, make, numbers, penalty, sign, dtype):
    torch.manual_seed(0)
    here = network_for(torchs.__name__).to(dtype)
    there, start = copy.deepcopy(here), copy.deepcopy(here)
    numbers = {**defaults_of(torchs, make, given), **numbers}
    mine = make(here.parameters(), **{k: float(v) for k, v in numbers.items()})
    mine.param_groups[0].update((k, v) for k, v in numbers.items() if isinstance(v, torch.Tensor))
    theirs = torchs(there.parameters(), **given)
    x, y = torch.randn(8, 3, dtype=dtype), torch.randn(8, 1, dtype=dtype)
    for _ in range(6):
        for network, optimizer in ((here, mine), (there, theirs)):

            def closure(network=network, optimizer=optimizer):
                optimizer.zero_grad()
                loss = (network(x) - y).square().mean()
                if network is here:
                    loss = sign * loss + penalty / 2 * sum(p.square().sum() for p in network.parameters())
                loss.backward()
                return loss

            optimizer.step(closure)
    rough = {"Muon": {"rtol": 0, "atol": 6 * float(numbers["lr"]) * BFLOAT16}}.get(torchs.__name__, {})
    if torchs.__name__ == "Adafactor" and numbers.get("weight_decay"):
        rough = {"rtol": 2e-3, "atol": 1e-6}  # torch decays before it takes the root mean square
    for ours_, torchs_, before in zip(here.parameters(), there.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(ours_, torchs_, **rough)
        assert not torch.equal(ours_, before)


def test_every_input_of_torchs_applies_or_asks_for_what_no_rule_here_does():
    assert {name for name, *_, found in cases() if found is None} == set(OTHERWISE)
    assert {i.optim_cls.__name__ for i in optim_db} - set(OURS) <= NOT_OURS
    variants = {ours.AMSGrad, ours.CentredRMSprop, ours.Momentum, ours.Nesterov}
    assert {case.values[2] for case in APPLY} == {*OURS.values(), *variants}
