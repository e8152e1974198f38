"""What is tidied or replaced in a program leaves every step of every member as a plain loop has it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import trainsmith
from trainsmith import luck
from trainsmith.luck.written_out import WrittenOut

WORDS = torch.randint(0, 9, (40, 6), generator=torch.Generator().manual_seed(1))
WORDS[:, 0] = 5  # attention to what came before always sees something
IMAGES = torch.randn(40, 3, 6, 6, generator=torch.Generator().manual_seed(2))
LABELS = torch.arange(40) % 2
STEPS, RATES = 8, [3e-3, 1e-2, 3e-2]


class Padded(nn.Module):
    """Embeddings of which one row is padding, with nn.Embedding or a call."""

    def __init__(self, padding, call=None):
        super().__init__()
        self.table, self.head, self.call = nn.Embedding(9, 4, padding), nn.Linear(4, 2), call

    def forward(self, x):
        found = self.table(x) if self.call is None else self.call(self.table.weight, x, self.table.padding_idx)
        return self.head(found.mean(1))


class Masked(nn.Module):
    """Attention with masks of truth values, which torch turns into numbers in place."""

    def __init__(self, need_weights):
        super().__init__()
        self.table, self.head = nn.Embedding(9, 4), nn.Linear(4, 2)
        self.attention, self.need_weights = nn.MultiheadAttention(4, 2, batch_first=True), need_weights
        self.register_buffer("later", torch.ones(6, 6, dtype=torch.bool).triu(1))

    def forward(self, x):
        h = self.table(x)
        masks = {"attn_mask": self.later, "key_padding_mask": x == 0, "need_weights": self.need_weights}
        return self.head(self.attention(h, h, h, **masks)[0].mean(1))


class Writes(nn.Module):
    """It writes into what it makes of ones and zeros, whole or by a view, depending on the inputs or not."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(108, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = torch.tanh(self.first(x.flatten(1)))
        mask = torch.ones_like(h).masked_fill_(h > 0, 0.5)
        scale = torch.tensor([0.5, 0.5, 0.5, 0.5])
        scale.view(2, 2)[0].add_(1.0)
        scale.mul_(2.0)
        return self.last(h * mask * scale)


def channels_last():
    convolution = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*convolution, nn.Linear(4, 2)).to(memory_format=torch.channels_last)


def from_the_end(weight, x, padding):
    return functional.embedding(x, weight, -1)


def table_first(weight, x, padding):
    return torch.embedding(weight, x, padding)


NETWORKS = {
    "padding": (lambda: Padded(0), WORDS),
    "last row is padding": (lambda: Padded(None, from_the_end), WORDS),
    "padding of a call": (lambda: Padded(3, table_first), WORDS),
    "attention that gives its weights": (lambda: Masked(True), WORDS),
    "attention that does not": (lambda: Masked(False), WORDS),
    "written constants": (Writes, IMAGES),
    "weights with the channels last": (channels_last, IMAGES),
}


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", NETWORKS)
def test_each_step_is_that_of_a_plain_loop(name):
    make, x = NETWORKS[name]
    population = trainsmith.Population(make, lr=RATES, threads=1)
    expected = []
    for k, lr in enumerate(RATES):
        module, own = population.member(k), []
        optimizer = torch.optim.Adam(module.parameters(), lr=lr)
        for chosen in luck.batches(k, np.arange(40), 8, STEPS):
            loss = functional.cross_entropy(module(x[chosen]), LABELS[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            own.append(loss.item())
        expected.append(own)
    fit = population.fit(x, LABELS, steps=STEPS, batch_size=8)
    assert "by the loop" not in population.plan
    assert np.allclose(fit.losses.T, expected, rtol=1e-4)
    assert fit.deviation < fit.tolerance


@pytest.mark.filterwarnings("error:There is a performance drop")
def test_attention_inside_of_torchs_own_functions_is_one_operation_for_all_members():
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    x = torch.randn(3, 5, 6, 4, generator=torch.Generator().manual_seed(3))
    with WrittenOut():
        found = torch.func.vmap(lambda x: layer(x, x, x, need_weights=False)[0])(x)
    expected = torch.stack([layer(own, own, own, need_weights=False)[0] for own in x])
    torch.testing.assert_close(found, expected)
