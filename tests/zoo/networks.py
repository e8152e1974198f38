"""The networks of the zoo: perceptrons, convolutions, residual networks, transformers, and those of Hugging Face."""

from typing import Any

import torch
from torch import Tensor, nn

from zoo.examples import Examples

LETTERS = 64
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "elu": nn.ELU, "silu": nn.SiLU}


def initialized(network: nn.Module, how: str) -> nn.Module:
    """Weights drawn anew by He's or Xavier's initialization or with a given spread ("0.01"), biases 0."""
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            if how == "he":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            elif how == "xavier":
                nn.init.xavier_normal_(layer.weight)
            elif how != "torch":
                nn.init.normal_(layer.weight, std=float(how))
            if layer.bias is not None and how != "torch":
                nn.init.zeros_(layer.bias)
    return network


def entrance(data: Examples, width: int) -> list[nn.Module]:
    """What turns examples into rows of numbers, and how many these are at the end of the list."""
    if data.name == "text":
        return [nn.Embedding(LETTERS, 8), nn.Flatten()]
    return [nn.Flatten()]


def mlp(
    data: Examples, depth: int = 3, width: int = 64, activation: str = "relu", how: str = "he", norm: str = "",
    dropout: float = 0.0,
) -> nn.Module:  # fmt: skip
    """`depth` hidden layers of `width` units, drawn by `how`, and a last layer drawn by Xavier's."""
    fan = data.x[0].numel() * (8 if data.name == "text" else 1)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(nn.Linear(fan, width))
        layers += [{"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[norm](width)] if norm else []
        layers.append(ACTIVATIONS[activation]())
        layers += [nn.Dropout(dropout)] if dropout else []
        fan = width
    last = initialized(nn.Linear(fan, data.outputs), "xavier" if how != "torch" else "torch")
    return nn.Sequential(*entrance(data, width), *initialized(nn.Sequential(*layers), how), last)


def cnn(
    data: Examples, channels: int = 8, depth: int = 2, activation: str = "relu", how: str = "he", norm: str = ""
) -> nn.Module:
    """`depth` convolutions of 3x3 and one average over the positions of a 2x2 pool."""
    layers: list[nn.Module] = []
    fan = data.shape[0]
    for _ in range(depth):
        layers.append(nn.Conv2d(fan, channels, 3, padding=1))
        layers += {"batch": [nn.BatchNorm2d(channels)], "group": [nn.GroupNorm(2, channels)], "": []}[norm]
        layers.append(ACTIVATIONS[activation]())
        fan = channels
    side = data.shape[1] // 4
    body = initialized(nn.Sequential(*layers), how)
    last = initialized(nn.Linear(channels * side * side, data.outputs), "xavier")
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(side), nn.Flatten(), last)


class Block(nn.Module):
    """x + f(x)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def residual(data: Examples, blocks: int = 4, width: int = 64, norm: str = "layer", how: str = "he") -> nn.Module:
    """Blocks of normalization, layer, ReLU, layer around which the data pass."""
    stem = initialized(nn.Linear(data.x[0].numel(), width), how)

    def block() -> nn.Module:
        norms: list[nn.Module] = {"layer": [nn.LayerNorm(width)], "batch": [nn.BatchNorm1d(width)], "": []}[norm]
        second = nn.Linear(width, width)
        branch = initialized(nn.Sequential(*norms, nn.Linear(width, width), nn.ReLU(), second), how)
        with torch.no_grad():
            second.weight.mul_(blocks**-0.5)
        return Block(*branch)

    last = initialized(nn.Linear(width, data.outputs), "xavier")
    return nn.Sequential(nn.Flatten(), stem, *[block() for _ in range(blocks)], nn.LayerNorm(width), last)


def resnet(data: Examples, channels: int = 8, blocks: int = 2) -> nn.Module:
    """Convolutional blocks with batch normalization."""

    def block() -> nn.Module:
        def part() -> list[nn.Module]:
            return [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]

        return nn.Sequential(Block(*part(), nn.ReLU(), *part()), nn.ReLU())

    stem = [nn.Conv2d(data.shape[0], channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    body = initialized(nn.Sequential(*stem, *[block() for _ in range(blocks)]), "he")
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, data.outputs))


class Transformer(nn.Module):
    """Embedded characters, or rows of pictures, with places, through encoder layers, averaged and classified."""

    def __init__(
        self, data: Examples, width: int = 32, depth: int = 2, activation: str = "gelu", first: bool = True
    ) -> None:
        super().__init__()
        self.text = data.name == "text"
        if self.text:
            self.embed: nn.Module = nn.Embedding(LETTERS, width)
        else:
            self.embed = nn.Linear(data.shape[0] * data.shape[2], width)
        self.places = nn.Parameter(torch.randn(data.shape[0] if self.text else data.shape[1], width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.1, activation, batch_first=True, norm_first=first)
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, data.outputs)

    def forward(self, x: Tensor) -> Tensor:
        rows = x if self.text else x.permute(0, 2, 1, 3).flatten(2)
        return self.head(self.encoder(self.embed(rows) + self.places).mean(1))


class Causal(nn.Module):
    """Attention to what came before and two linear layers, each behind a layer norm, as in GPT-2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.mixed, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        n, places, width = x.shape
        parts = self.mixed(self.norms[0](x)).view(n, places, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(*parts, is_causal=True)
        x = x + self.joined(seen.transpose(1, 2).reshape(n, places, width))
        return x + self.narrow(nn.functional.gelu(self.wide(self.norms[1](x))))


class SmallEmbeddings(nn.Module):
    """Characters and their places embedded by N(0, 0.02^2), as GPT-2 and BERT do, and every weight matrix likewise.

    normed: a layer norm behind the embeddings, as in BERT. The last place's features, or their mean, are classified.
    """

    def __init__(self, data: Examples, width: int = 32, depth: int = 2, normed: bool = False, mean: bool = False):
        super().__init__()
        self.characters, self.places = nn.Embedding(LETTERS, width), nn.Embedding(data.shape[0], width)
        self.behind = nn.LayerNorm(width) if normed else nn.Identity()
        self.blocks = nn.Sequential(*[Causal(width, 4) for _ in range(depth)])
        self.last, self.mean = nn.LayerNorm(width), mean
        self.head = nn.Linear(width, data.outputs)
        for name, p in self.named_parameters():
            if p.ndim > 1:
                narrow = (2 * depth) ** -0.5 if name.endswith(("joined.weight", "narrow.weight")) else 1.0
                nn.init.normal_(p, std=0.02 * narrow)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, x: Tensor) -> Tensor:
        h = self.behind(self.characters(x) + self.places(torch.arange(x.shape[1], device=x.device)))
        h = self.last(self.blocks(h))
        return self.head(h.mean(1) if self.mean else h[:, -1])


class Functional(nn.Module):
    """A perceptron whose activation functions are calls in forward, as many write it."""

    def __init__(self, data: Examples, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Linear(data.x[0].numel(), width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, data.outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x.flatten(1)))
        return self.last(torch.relu(self.second(h)))


def hugging_face(kind: str, data: Examples) -> nn.Module:
    """A small network of Hugging Face transformers, with its own initialization: vit, resnet, convnext, bert, ..."""
    import transformers as t

    side, classes = data.shape[-1], {"num_labels": data.outputs}
    image: dict[str, Any] = {"num_channels": data.shape[0], **classes}
    words = {"vocab_size": LETTERS, "pad_token_id": 0, **classes}
    if kind == "vit":
        small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        return t.ViTForImageClassification(t.ViTConfig(image_size=side, patch_size=side // 4, **image, **small))
    if kind == "resnet":
        sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
        return t.ResNetForImageClassification(t.ResNetConfig(**image, **sizes))
    if kind == "convnext":
        sizes = {"patch_size": 2, "hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2}
        return t.ConvNextForImageClassification(t.ConvNextConfig(**image, **sizes))
    if kind == "bert":
        small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        return t.BertForSequenceClassification(t.BertConfig(max_position_embeddings=32, **words, **small))
    if kind == "distilbert":
        small = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
        return t.DistilBertForSequenceClassification(t.DistilBertConfig(max_position_embeddings=32, **words, **small))
    small = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}
    return t.GPT2ForSequenceClassification(t.GPT2Config(**words, **small))
