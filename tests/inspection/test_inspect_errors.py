"""What cannot be inspected is refused in one sentence that says what came."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from inspection.make_network import draws
from trainsmith import watch
from trainsmith.errors import InvalidInput
from trainsmith.inspection import inspect
from trainsmith.inspection.course import follow


class Words(nn.Module):
    def forward(self, x):
        return "no tensor"


X, FC = draws(20, 4), nn.Linear(4, 3)


class Bare(nn.Module):
    def forward(self, x):
        raise ValueError


class Careful(nn.Module):
    def forward(self, x):
        assert x.shape[1] == 5, "five are needed"


def absent(outputs, targets):
    return {}["weight"]


MISTAKES = {
    "an assertion": (Careful(), X, None, r": AssertionError: five are needed.* \(test_.*, line \d+\)\."),
    "a key": (FC, (X, X), absent, r"the loss cannot take .*: KeyError: 'weight' \(test_.*, line \d+\)\."),
    "lazy layers": (nn.Sequential(nn.LazyLinear(3)), X, None, r"0 \(LazyLinear\) is not made before"),
    "words": (FC, np.array(["a", "b"]), None, "must hold numbers; got an array of <U1"),
    "an error without words": (Bare(), X, None, "cannot take this batch .*: ValueError"),
    "wrong width": (FC, draws(20, 5), None, r"cannot take this batch \(inputs \(20, 5\)\).*20x5"),
    "no examples": (FC, X[:0], None, r"the batch is empty \(inputs \(0, 4\)\)"),
    "a number": (FC, torch.tensor(1.0), None, r"the batch is empty \(inputs \(\)\)"),
    "nothing": (FC, (), None, "got nothing"),
    "three things": (FC, (X, X, X), None, "got Tensor, Tensor, Tensor"),
    "a list of words": (FC, ["a", "b"], None, "got str, str"),
    "no tensor out": (Words(), X, None, "must return a tensor; it returned str"),
    "targets too few": (FC, (X, torch.zeros(7).long()), None, r"outputs \(20, 3\) and targets \(7,\)"),
    "no such class": (FC, (X, torch.full((20,), 9)), None, "Target 9 is out of bounds"),
    "targets of another shape": (FC, (X, draws(20, 2)), None, "outputs of the same shape"),
    "loss fails": (FC, (X, X), lambda o, y: o @ y, "the loss cannot take"),
    "loss is no scalar": (FC, (X, X), lambda o, y: o, r"one number in a tensor; got shape \(20, 3\)"),
    "loss is no tensor": (FC, (X, X), lambda o, y: 1.0, "got float"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_sentence(name):
    module, given, loss, words = MISTAKES[name]
    with pytest.raises(InvalidInput, match=words) as caught:
        inspect(module, given, loss)
    assert "\n" not in str(caught.value)


def test_an_optimizer_that_wants_a_closure_is_refused_for_tries_and_can_be_watched():
    network, y = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), torch.arange(20) % 3
    optimizer = torch.optim.LBFGS(network.parameters(), lr=0.1, max_iter=3)
    words = "LBFGS wants a closure at each step, and cannot be tried on copies"
    for call, more in ((inspect, {}), (inspect, {"steps": 3}), (follow, {"steps": 3})):
        with pytest.raises(InvalidInput, match=words) as caught:
            call(network, (X, y), None, optimizer=optimizer, **more)
        assert "\n" not in str(caught.value)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(X), y)
        loss.backward()
        return loss

    with watch(network, optimizer, every=1, warn=False) as seen:
        for _ in range(2):
            optimizer.step(closure)
    assert [m.step for m in seen.measurements] == [0, 1]


def test_a_gradient_that_cannot_be_taken_is_said():
    class Recomputed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(checkpoint(self.inner, x, use_reentrant=True))

    with pytest.raises(InvalidInput, match="gradient cannot be taken: When use_reentrant=True"):
        inspect(Recomputed(), (X, torch.arange(20) % 3))


@pytest.mark.parametrize(
    ("given", "words"),
    [({"optimizer": "adam"}, "optimizer must be one that was made .*; got str"),
     ({"optimizer": torch.optim.Adam}, "got the class Adam"), ({"batch_size": 2.5}, "batch_size must be .*; got 2.5"),
     ({"batch_size": "64"}, "batch_size must be .*; got '64'"), ({"steps": 0}, "steps must be .*; got 0"),
     ({"steps": 5, "every": True}, "every must be .*; got True")],
)  # fmt: skip
def test_arguments_of_the_wrong_kind_are_one_sentence(given, words):
    with pytest.raises(InvalidInput, match=words):
        inspect(FC, (X, torch.arange(20) % 3), **given)


def test_a_step_on_some_of_the_examples_that_fails_is_said():
    normed = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    optimizer = torch.optim.Adam(normed.parameters())
    with pytest.raises(InvalidInput, match="a training step on 1 of the examples fails: Expected more than 1 value"):
        inspect(normed, (X, torch.arange(20) % 3), optimizer=optimizer, batch_size=1)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_scripted_network_hides_its_layers():
    with pytest.raises(InvalidInput, match=r"the network is scripted: give the nn\.Module that it was made of"):
        inspect(torch.jit.script(nn.Sequential(FC)), X)
