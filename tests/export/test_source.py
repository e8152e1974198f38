"""Networks as source that needs torch alone."""

import pytest
import torch
from torch import nn

from trainsmith.catalogue import Recipe, Trial
from trainsmith.errors import InvalidInput
from trainsmith.export.source import write_source
from trainsmith.network import apply, build

X = torch.randn(64, 12, generator=torch.Generator().manual_seed(0))


def rebuilt(source):
    assert "trainsmith" not in source.text
    names: dict[str, object] = {}
    exec(source.text, names)
    network = names["build"]()
    network.load_state_dict(source.network.state_dict())
    return network.eval()


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("rezero", "layer", "prelu"),
        Recipe("fixup", "standardization", "hard-sigmoid", regularization=("dropout",)),
        Recipe("he", "weight-norm", "silu"),
        Recipe("lsuv", "zca-whitening", "elu"),
    ],
    ids=str,
)
def test_residual_networks_are_written_with_their_blocks_and_learned_numbers(recipe):
    network = apply(build("residual", (12,), 3), Trial(recipe), X, lambda n: torch.Generator().manual_seed(n)).module
    with torch.no_grad():
        for n, p in enumerate(network.parameters()):
            p.add_(0.01 * (n + 1))
    again = rebuilt(write_source(network, X[:2]))
    torch.testing.assert_close(again(X), network.eval()(X), rtol=1e-4, atol=1e-4)
    assert sum(type(m).__name__ == "Residual" for m in again.modules()) == 4


def test_sequences_within_sequences_are_written_as_such():
    network = nn.Sequential(nn.Linear(12, 4), nn.Sequential(nn.Tanh(), nn.Sequential(nn.Linear(4, 3))))
    source = write_source(network, X[:2])
    torch.testing.assert_close(rebuilt(source)(X), network(X))
    assert list(source.network.state_dict()) == list(network.state_dict())


class Own(nn.Linear):
    pass


@pytest.mark.parametrize("layer", [Own(12, 3), nn.TransformerEncoderLayer(12, 2, batch_first=True)])
def test_what_cannot_be_written_is_said(layer):
    with pytest.raises(InvalidInput, match=rf"{type(layer).__name__} is no simple layer of torch.nn: it cannot be"):
        write_source(nn.Sequential(layer), X[:2])


def test_a_network_of_another_class_is_refused():
    with pytest.raises(InvalidInput, match=r"only networks that are an nn.Sequential"):
        write_source(Own(12, 3), X[:2])
