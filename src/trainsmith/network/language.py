"""A small language model: the network for texts."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalAttention(nn.Module):
    """Self-attention of `heads` heads in which a position sees itself and those before it: (n, t, width) to the same.

        softmax(Q K' / sqrt(width / heads)) V, positions to come left out

    Paper: Vaswani et al. 2017, Attention is all you need, section 3.2.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        q, k, v = self.project(x).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(n, t, width))


class Block(nn.Module):
    """Attention and a perceptron of `hidden` units at each position, each behind a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(width), CausalAttention(width, heads))
        self.think = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        return x + self.think(x)


class LanguageModel(nn.Module):
    """Characters (n, t), t <= context, to scores of the next one at every position (n, t, characters)."""

    def __init__(self, context: int, characters: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(characters, width)
        self.place = nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks = nn.Sequential(*(Block(width, heads, 4 * width) for _ in range(depth)))
        self.finish = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.finish(self.blocks(self.embed(x) + self.place[: x.shape[1]])))


def gpt(input_shape: tuple[int, ...], outputs: int, width: int = 32, depth: int = 2, heads: int = 4) -> nn.Module:
    """A transformer that predicts the next character, small enough to be compared in minutes on two cores.

    input_shape is (context,), outputs the number of different characters. Layer norms stand before attention and
    perceptron (Radford et al. 2019, Language models are unsupervised multitask learners, section 2.3).
    """
    return LanguageModel(input_shape[0], outputs, width, depth, heads)
