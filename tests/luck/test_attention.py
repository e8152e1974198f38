"""Attention written out: torch's own results and gradients, and no member by member under vmap."""

import pytest
import torch
from torch import nn
from torch.func import vmap
from torch.nn import functional

from trainsmith.errors import InvalidInput
from trainsmith.luck.attention import written_out
from trainsmith.luck.written_out import WrittenOut
from trainsmith.population import Population

MASK = torch.tensor([[True, False, True, True], [False, False, True, False], [False, False, False, False]])
BIAS = torch.tensor([[0.5, -1.0, 2.0, 0.0], [0.0, -torch.inf, 0.0, 1.0], [1.0, 2.0, -torch.inf, 0.0]])
OPTIONS = {
    "plain": {},
    "causal": {"is_causal": True},
    "boolean mask with a query that sees nothing": {"attn_mask": MASK},
    "added mask": {"attn_mask": BIAS.double()},
    "scale": {"scale": 0.7},
}


def inputs(heads=2, groups=2):
    luck = torch.Generator().manual_seed(0)
    shapes = [(2, heads, 3, 5), (2, groups, 4, 5), (2, groups, 4, 6)]
    return [torch.randn(s, generator=luck, dtype=torch.float64, requires_grad=True) for s in shapes]


@pytest.mark.parametrize("name", OPTIONS)
def test_values_and_gradients_are_torchs(name):
    found = []
    for attend in (written_out, functional.scaled_dot_product_attention):
        tensors = inputs()
        out = attend(*tensors, **OPTIONS[name])
        found.append([out, *torch.autograd.grad(out.square().sum(), tensors)])
    for own, torchs in zip(*found, strict=True):
        torch.testing.assert_close(own, torchs, rtol=1e-10, atol=1e-10)


def test_heads_in_groups():
    tensors = inputs(heads=4, groups=2)
    expected = functional.scaled_dot_product_attention(*tensors, enable_gqa=True)
    torch.testing.assert_close(written_out(*tensors, enable_gqa=True), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.filterwarnings("error:There is a performance drop")
def test_members_attend_in_one_operation():
    q, k, v = (torch.randn(3, 2, 2, 4, 5, generator=torch.Generator().manual_seed(i)) for i in range(3))
    expected = functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    def attend(q, k, v):
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    with WrittenOut():
        found = vmap(attend)(q, k, v)
    torch.testing.assert_close(found, expected)


class Padded(nn.Module):
    """Two layers of attention that see no padding, and a mean over all places, padded ones too."""

    def __init__(self, mask_check=True):
        super().__init__()
        self.table = nn.Embedding(9, 8, padding_idx=0)
        layer = nn.TransformerEncoderLayer(8, 2, 8, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, mask_check=mask_check)
        self.last = nn.Linear(8, 3)

    def forward(self, tokens):
        seen = self.encoder(self.table(tokens), src_key_padding_mask=tokens == 0)
        return self.last(seen.mean(1))


@pytest.mark.parametrize("mask_check", [True, False])  # which looks at numbers, as vmap does not allow
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_torch_gives_padded_places_in_evaluation(mask_check):
    """torch gives them 0 there, and in training what comes out: outputs of all members are those of each alone."""
    luck = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 9, (12, 6), generator=luck)
    tokens[:, 4:] *= torch.arange(12)[:, None] % 2
    population = Population(lambda: Padded(mask_check), seeds=range(3))
    population.fit(tokens, torch.arange(12) % 3, steps=2, batch_size=4)
    with torch.no_grad():
        alone = torch.stack([population.member(k).eval()(tokens) for k in range(3)])
    torch.testing.assert_close(population.outputs(tokens), alone)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_noise_in_evaluation_is_refused_there_too():
    class Noisy(Padded):
        def forward(self, tokens):
            return functional.dropout(super().forward(tokens), 0.5)

    tokens = torch.randint(1, 9, (12, 6), generator=torch.Generator().manual_seed(0))
    population = Population(Noisy, seeds=range(3))
    population.fit(tokens, torch.arange(12) % 3, steps=2, batch_size=4)
    with pytest.raises(InvalidInput, match="draws noise in evaluation mode"):
        population.outputs(tokens)
