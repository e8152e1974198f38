"""Small networks are looked at on one thread: fewer wait for each other, and numbers do not hang on the machine."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import trainsmith
from trainsmith.inspection.passes.threads import SMALL, fitting_threads, step_operations


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


NOTED = []


class Noting(nn.Module):
    """A linear layer, of which copies too note how many threads there are whenever they are called in training."""

    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x):
        if self.training:
            NOTED.append(torch.get_num_threads())
        return self.layer(x)


def test_operations_of_a_step_are_three_times_those_of_its_products():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 10))
    each = 2 * (4 * 3 * 9 * 64) + 2 * (4 * 64 * 10)
    assert step_operations(network, torch.randn(5, 3, 8, 8), 16) == 3 * 16 * each
    assert step_operations(network, torch.randn(1, 3, 8, 8), 16) == 3 * 16 * each


def test_operations_inside_of_fused_layers_count():
    """Of attention in evaluation torch shows one operation, whose products nobody would see."""
    width, inside, places = 16, 32, 6
    layer = nn.TransformerEncoderLayer(width, 2, inside, batch_first=True)
    weights = 4 * width**2 + 2 * width * inside
    each = 2 * places * weights + 2 * 2 * places**2 * width
    network = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    assert step_operations(network, torch.randn(4, places, width), 8) == 3 * 8 * 3 * each


def test_counting_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())
    before = {name: t.clone() for name, t in network.state_dict().items()}
    state = torch.get_rng_state()
    step_operations(network, torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), 3)
    assert network.training
    assert all(m.training for m in network)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("width", "expected"), [(8, 1), (1024, 2)])
def test_threads_of_an_inspection(width, expected):
    """Of 64 examples a step of the large network has 4e8 operations."""
    NOTED.clear()
    network, x = Noting(width), torch.randn(64, width, generator=torch.Generator().manual_seed(0))
    assert (step_operations(network, x, 64) < SMALL) == (expected == 1)
    inspection = trainsmith.inspect(network, (x, x))
    assert set(NOTED) == {expected}
    assert torch.get_num_threads() == 2
    NOTED.clear()
    inspection.train(steps=2)
    assert set(NOTED) == {expected}
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_remedies_of_a_small_network_are_tried_on_one_thread():
    x = 100 * torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    inspection = trainsmith.inspect(Noting(8), (x, x))
    assert any(f.remedies for f in inspection.findings)
    NOTED.clear()
    inspection.remedies(seeds=2, steps=2)
    assert set(NOTED) == {1}
    assert torch.get_num_threads() == 2


def test_an_inspection_does_not_import_torchs_compiler():
    """That takes longer than to look at a small network."""
    code = (
        "import sys, torch, trainsmith;"
        "trainsmith.inspect(torch.nn.Sequential(torch.nn.Linear(4, 4)), torch.randn(8, 4));"
        "assert 'torch._dynamo' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("two_threads")
def test_what_cannot_run_is_told_by_the_inspection():
    with fitting_threads(nn.Linear(3, 2), torch.ones(4, 5), 4):
        assert torch.get_num_threads() == 2
