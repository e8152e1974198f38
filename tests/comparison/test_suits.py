"""A network that does not suit the data is refused in one sentence before anything is trained."""

import pytest
import torch
from torch import nn

from make_runs import blobs, line
from trainsmith.api import plan
from trainsmith.comparison.suits import check_network
from trainsmith.data import load
from trainsmith.errors import InvalidInput


class Given(nn.Module):
    """A network whose outputs are what a function makes of its inputs."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


class OnlyEvaluated(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, x):
        if self.training:
            raise ValueError("not in training")
        return torch.zeros(len(x), 3)


def outputs(*shape):
    return lambda: Given(lambda x: torch.zeros(len(x), *shape))


@pytest.mark.parametrize("shape", [(3,), (7,)])
def test_scores_for_each_class_or_more_suit_classes(shape):
    check_network(outputs(*shape), blobs())


@pytest.mark.parametrize("shape", [(), (2,), (3, 3)])
def test_other_outputs_are_refused_with_the_shape_that_is_needed(shape):
    with pytest.raises(InvalidInput, match=r"gives outputs of shape \(2,.*needs \(examples, 3\), one for each class"):
        check_network(outputs(*shape), blobs())


def test_a_network_that_does_not_take_the_inputs_is_named_with_the_line_of_its_own_code():
    def network():
        convolution = nn.Conv2d(1, 3, 3)
        return Given(lambda x: convolution(x))

    with pytest.raises(InvalidInput, match=r"does not take inputs.*\(examples, \d+\).*\(test_suits\.py, line \d+\)"):
        check_network(network, blobs())


def test_a_network_that_fails_in_training_alone_is_refused_too():
    with pytest.raises(InvalidInput, match="ValueError: not in training"):
        check_network(OnlyEvaluated, blobs())


def test_numbers_to_predict_need_as_many_outputs():
    for shape in ((), (1,)):
        check_network(outputs(*shape), line())
    with pytest.raises(InvalidInput, match=r"needs \(examples, 1\), one for each number"):
        check_network(outputs(2), line())


def test_text_needs_a_score_for_every_next_character(tmp_path):
    (tmp_path / "book.txt").write_text("to be or not to be, that is the question. " * 60)
    data = load(str(tmp_path / "book.txt"))
    context, k = data.input_shape[0], data.outputs
    check_network(outputs(context, k), data)
    for shape in ((k,), (context - 1, k), (context, k - 1)):
        with pytest.raises(InvalidInput, match="a score for each character that may come next"):
            check_network(outputs(*shape), data)


def test_a_network_with_nothing_to_train_is_refused_before_it_trains():
    def frozen():
        return nn.Linear(12, 3).requires_grad_(False)

    for network in (outputs(3), frozen):
        with pytest.raises(InvalidInput, match="has no weights that are trained: nothing to compare"):
            plan(network, blobs(), techniques=["sgd"])
