"""What a network's output predicts with."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from trainsmith.errors import InvalidInput
from trainsmith.population.members.objective import CrossEntropy, Objective, predictions

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    "output", [LOGITS, SimpleNamespace(logits=LOGITS, loss=None), (LOGITS, LOGITS[:1]), [LOGITS]], ids=str
)
def test_predictions_are_the_tensor_its_logits_or_the_first_of_a_tuple(output):
    assert predictions(output) is LOGITS

    class Returns(nn.Module):
        def forward(self, x):
            return output

    targets = torch.tensor([0, 1])
    loss = Objective(Returns(), CrossEntropy())(LOGITS, targets)
    torch.testing.assert_close(loss, nn.functional.cross_entropy(LOGITS, targets))


@pytest.mark.parametrize("output", [None, {"scores": LOGITS}, ()], ids=str)
def test_an_output_without_predictions_is_refused_in_a_sentence(output):
    with pytest.raises(InvalidInput, match=r"must return a tensor.*it returned (NoneType|dict|tuple)\. Wrap it"):
        predictions(output)
