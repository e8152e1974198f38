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
    "Adagrad": ours.AdaGrad,
    "Adam": ours.Adam,
    "AdamW": ours.AdamW,
    "Adamax": ours.Adamax,
    "NAdam": ours.NAdam,
    "RAdam": ours.RAdam,
    "RMSprop": ours.RMSprop,
    "SGD": ours.SGD,
}
"""Ours with the rule of torch's, by torch's name."""
SWITCHES = ("foreach", "fused", "capturable", "differentiable", "maximize")


def translated(name, given):
    """Ours and its numbers for torch's arguments; None where they ask for what is another technique here, or for none.

    An L2 penalty in the optimizer (weight_decay, but for AdamW), maximizing and a decay of the rate are others.
    """
    make = OURS[name]
    numbers = dict(given)
    if any(numbers.get(switch) for switch in SWITCHES):
        return None
    decoupled = numbers.pop("decoupled_weight_decay", name == "AdamW")
    if numbers.get("weight_decay") and not decoupled:
        return None
    for switch in SWITCHES:
        numbers.pop(switch, None)
    if numbers.pop("amsgrad", False):
        make = ours.AMSGrad
    if numbers.pop("centered", False):
        make = ours.CentredRMSprop
    if "momentum" in numbers and name == "SGD":
        make = ours.Nesterov if numbers.pop("nesterov", False) else ours.Momentum
    beta1, beta2 = numbers.pop("betas", (None, None))
    if beta1 is not None:
        numbers |= {"beta1": beta1, "beta2": beta2}
    known = inspect.signature(make.coefficients).parameters
    if any(k not in known or isinstance(v, (torch.Tensor, tuple)) for k, v in numbers.items()):
        return None
    return make, numbers


def cases():
    for info in optim_db:
        name = info.optim_cls.__name__
        for given in info.optim_inputs_func(device="cpu") if name in OURS else ():
            found = translated(name, given.kwargs)
            if found is not None:
                yield pytest.param(info.optim_cls, given.kwargs, *found, id=f"{name}-{given.desc}")


def defaults_of(torchs, make, given):
    """The numbers that torch uses where nothing is given, in our names."""
    optimizer = torchs([nn.Parameter(torch.ones(1))], **given)
    group = optimizer.param_groups[0]
    values = {**group, **({"beta1": group["betas"][0], "beta2": group["betas"][1]} if "betas" in group else {})}
    return {k: float(values[k]) for k in list(inspect.signature(make.coefficients).parameters)[1:]}


@pytest.mark.parametrize(("torchs", "given", "make", "numbers"), list(cases()))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ours_goes_torchs_way(torchs, given, make, numbers, dtype):
    torch.manual_seed(0)
    here = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype)
    there = copy.deepcopy(here)
    mine = make(here.parameters(), **{**defaults_of(torchs, make, given), **numbers})
    theirs = torchs(there.parameters(), **given)
    x, y = torch.randn(8, 3, dtype=dtype), torch.randn(8, 1, dtype=dtype)
    for _ in range(6):
        for network, optimizer in ((here, mine), (there, theirs)):

            def closure(network=network, optimizer=optimizer):
                optimizer.zero_grad()
                loss = (network(x) - y).square().mean()
                loss.backward()
                return loss

            optimizer.step(closure)
    for ours_, torchs_ in zip(here.parameters(), there.parameters(), strict=True):
        torch.testing.assert_close(ours_, torchs_)


def test_no_rule_of_torchs_that_we_have_is_without_inputs():
    seen = {case.values[2] for case in cases()}
    assert seen >= {*OURS.values(), ours.Momentum}  # Nesterov's all have an L2 penalty
    known = {i.optim_cls.__name__ for i in optim_db}
    elsewhere = {"Adafactor", "ASGD", "LBFGS", "Muon", "Rprop", "SparseAdam"}  # other formulas, or not ours
    assert known - set(OURS) <= elsewhere
