"""Over every module of torch.nn and every constructor argument: members that differ in it are told apart."""

import pytest
import torch

from side_by_side import side_by_side
from torch_modules import CASES, NOT_NETWORKS, Probe, arguments, classes_of_torch, make
from trainsmith.network.signature import structure
from trainsmith.optimizer import SGD
from trainsmith.population import Learner
from trainsmith.population.members.objective import CrossEntropy, Objective

STACKED_ONLY = {"_weight", "init", "dtype"}
"""Arguments that may show in nothing but stacked tensors, whose numbers each member has of its own."""


def test_no_module_of_torch_is_left_out():
    assert set(CASES) | set(NOT_NETWORKS) == set(classes_of_torch())
    assert not set(CASES) & set(NOT_NETWORKS)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of operations that vmap runs member by member
@pytest.mark.parametrize("name", CASES)
def test_modules_that_differ_in_one_argument_are_told_apart_or_train_as_they_do_alone(name):
    plain = structure(Probe(name, make(name)))
    assert plain == structure(Probe(name, make(name))), "nothing differs but the weights"
    for argument, other in arguments(name).items():
        if structure(Probe(name, make(name, **{argument: other}))) == plain:
            assert argument in STACKED_ONLY, f"{argument}={other} would silently become the first member's"
            same_alone_and_together(name, {argument: other})


def same_alone_and_together(name, other):
    def learners():
        kinds = make(name), make(name, **other)
        objectives = [Objective(Probe(name, m), CrossEntropy()) for m in kinds]
        for objective in objectives:
            torch.nn.init.constant_(objective.network.first.weight, 0.1)
        return [Learner(k, objective, SGD, {"lr": 0.1}) for k, objective in enumerate(objectives)]

    with torch.random.fork_rng(devices=[]):
        kept = [learner.objective.state_dict() for learner in learners()]

    def again():
        made = learners()
        for learner, state in zip(made, kept, strict=True):
            learner.objective.load_state_dict(state)
        return made

    x, y = torch.linspace(-1, 1, 96).view(8, 12), torch.arange(8) % 3
    together, alone = side_by_side(again, x, y)
    torch.testing.assert_close(together, alone)
