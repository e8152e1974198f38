"""Exports of networks that users wrote: their source with the techniques put in, which trains as the study did."""

import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data.arrays import from_arrays
from trainsmith.data.text import from_text
from trainsmith.errors import InvalidInput
from trainsmith.export.check import imported
from trainsmith.export.winner import make_export
from trainsmith.population import Training

DRAW = np.random.default_rng(1)
Y = np.arange(90) % 3
IMAGES = from_arrays(DRAW.normal(size=(90, 1, 8, 8)) + Y[:, None, None, None], Y, "images")
TRAINING = Training(steps=10, batch_size=8)

NET = '''
"""A network in two files."""
import torch.nn.functional as F
from torch import nn
from own_blocks import *
from own_blocks import WIDTH

if True:
    from collections import OrderedDict as Ordered


class Net(nn.Module):
    """Has functional calls, a block of another file, layers by name, an embedding of its own and a frozen layer."""

    def __init__(self, input_shape: tuple, outputs: int, width: int = WIDTH):
        super().__init__()
        if width < 1:
            raise ValueError("width")
        layers = {"flat": nn.Flatten(), "linear": nn.Linear(64, width), "act": nn.ReLU()}
        self.stem = nn.Sequential(Ordered(layers))
        self.blocks = nn.ModuleList([Block(width), Block(width)])
        self.place = nn.Parameter(torch_randn(width))
        self.norm, self.head = nn.BatchNorm1d(width), nn.Linear(width, outputs)

    def forward(self, x):
        x = self.stem(x) + self.place
        for block in self.blocks:  # two of them
            x = block(x)
        return self.head(F.relu(self.norm(x)))


class Encoded(nn.Module):
    """An encoder of torch's, a function by a name, a private name, a default of the class, layers called by place."""

    TIMES = 0.5

    def __init__(self, input_shape, outputs):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True)
        self.encoder, self.act, self.__mix = nn.TransformerEncoder(layer, 1), F.gelu, nn.Linear(8, 8)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, outputs))

    def forward(self, x, times=TIMES):
        h = F.relu(times * self.__mix(self.act(self.encoder(x.squeeze(1)).mean(1))))
        return self.head[2](self.head[1](self.head[0](h)))


def given(input_shape, outputs, activation, normalization, regularization):
    return nn.Sequential(nn.Flatten(), Given(activation, normalization, regularization), nn.Linear(8, outputs))


class Given(nn.Module):
    def __init__(self, activation, normalization, regularization):
        super().__init__()
        self.a, self.norm, self.act, self.drop = nn.Linear(64, 8), normalization(8), activation(), regularization()

    def forward(self, x):
        return self.drop(self.act(self.norm(self.a(x))))
'''
BLOCKS = """
from torch import nn
from torch import randn as torch_randn
WIDTH = 12
class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a, self.act, self.b = nn.Linear(n, n), nn.Tanh(), nn.Linear(n, n)
    def forward(self, x):
        return x + self.b(self.act(self.a(x)))
"""
RECIPES = [
    Recipe(),
    Recipe(activation="glu", normalization="layer", regularization=("dropout",)),
    Recipe("lsuv", "weight-norm", "gelu", "sgd", ("activity-l1", "weight-noise")),
    Recipe("glorot-uniform", "standardization", "prelu", "adam", ("alpha-dropout",)),
]


@pytest.fixture
def files(tmp_path, monkeypatch):
    (tmp_path / "own_net.py").write_text(NET)
    (tmp_path / "own_blocks.py").write_text(BLOCKS)
    yield tmp_path
    for name in ("own_net", "own_blocks"):
        sys.modules.pop(name, None)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(tmp_path)])


def stands_alone(export, files):
    """The exported model built where the user's files cannot be imported."""
    assert "trainsmith" not in export.files["model.py"]
    assert "own_blocks" not in export.files["model.py"]
    names: dict[str, object] = {"__name__": "model"}
    exec(export.files["model.py"], names)
    names["build"]().load_state_dict(export.first)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("name", ["Net", "given", "Encoded"])
def test_a_network_in_a_file_is_exported_with_its_source(recipe, name, files):
    export = make_export(Run(Trial(recipe), 1001), f"{files / 'own_net.py'}:{name}", IMAGES, TRAINING)
    assert export.replay.deviation < 1e-5
    assert "copied from own_net.py" in export.about
    stands_alone(export, files)


@pytest.mark.parametrize("recipe", [
    Recipe(activation="gelu", regularization=("deep-ensemble",)),
    Recipe(normalization="batch", regularization=("snapshot-ensemble", "dropout")),
    Recipe("glorot-uniform", regularization=("monte-carlo-dropout",)),
    Recipe(regularization=("bagging", "monte-carlo-dropout"), clipping="adaptive-clipping"),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("name", ["Net", "given"])
def test_an_ensemble_of_networks_of_ones_own_is_exported(recipe, name, files):
    export = make_export(Run(Trial(recipe), 1001), f"{files / 'own_net.py'}:{name}", IMAGES, TRAINING)
    assert export.replay.deviation < 1e-5
    assert "copied from own_net.py" in export.about
    assert export.files["model.py"].count("def one():") == 1
    stands_alone(export, files)


def test_the_source_is_the_users_with_the_changes_behind_it(files):
    recipe = Recipe(activation="gelu", normalization="batch")
    text = make_export(Run(Trial(recipe), 3), f"{files / 'own_net.py'}:Net", IMAGES, TRAINING).files["model.py"]
    assert "for block in self.blocks:  # two of them" in text
    assert 'raise ValueError("width")' in text
    changes = text[text.index("def build():") :]
    assert "network = Net((1, 8, 8), 10)" not in changes
    assert "network = Net((1, 8, 8), 3)" in changes
    assert 'network.blocks[1].act = nn.GELU(approximate="none")' in changes
    assert re.search(r"network\.norm = nn\.BatchNorm1d\(\s*12", changes)
    assert "network.__class__ = NetWithModules" in changes


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_a_network_of_hugging_face_is_exported(name, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    (tmp_path / "of_others.py").write_text(
        "from transformers import ResNetConfig, ResNetForImageClassification, ViTConfig, ViTForImageClassification\n"
        "def resnet(shape, outputs):\n"
        "    sizes = dict(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type='basic')\n"
        "    return ResNetForImageClassification(ResNetConfig(num_channels=1, num_labels=outputs, **sizes))\n"
        "def vit(shape, outputs):\n"
        "    sizes = dict(image_size=8, patch_size=4, hidden_size=8, num_hidden_layers=1, intermediate_size=8)\n"
        "    more = dict(num_attention_heads=2, hidden_dropout_prob=0.2, num_channels=1, num_labels=outputs)\n"
        "    return ViTForImageClassification(ViTConfig(**sizes, **more))\n"
    )
    recipe = Recipe(normalization="layer", activation="elu", regularization=("dropout",))
    export = make_export(Run(Trial(recipe), 1001), f"{tmp_path / 'of_others.py'}:{name}", IMAGES, TRAINING)
    assert export.replay.deviation < 1e-5
    assert "nn.ELU(alpha=1.0)" in export.files["model.py"]
    assert "network(x).logits" in export.files["train.py"]
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(tmp_path)])


def test_the_language_model_is_exported():
    text = from_text("to be, or not to be: that is the question. " * 40)
    recipe = Recipe(normalization="rms", activation="silu")
    export = make_export(Run(Trial(recipe), 1001), "gpt", text, TRAINING)
    assert export.replay.deviation < 1e-5
    assert "class CausalAttention" in export.files["model.py"]
    assert "negative bits per character" in export.files["train.py"]


def test_what_cannot_be_exported_is_said_in_one_sentence():
    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.a = nn.Flatten(), nn.Linear(64, 3)

        def forward(self, x):
            return self.a(self.flat(x)).clamp(min=0)

    with pytest.raises(InvalidInput, match=r"defined inside something else; define it at the top of a file") as caught:
        make_export(Run(Trial(Recipe()), 0), Inside, IMAGES, TRAINING)
    assert "\n" not in str(caught.value)


class Forgetful(nn.Module):
    """Keeps a count in the module of the file, which a copy of its source does not share."""

    calls: list[int] = []  # noqa: RUF012 - the point of it

    def __init__(self):
        super().__init__()
        self.flat, self.a, self.act, self.b = nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3)

    def forward(self, x):
        self.calls.append(1)
        return self.b(self.act(self.a(self.flat(x)))) * (1 + 0.1 * len(self.calls))


def test_a_training_that_is_not_the_same_is_not_said_to_be():
    export = make_export(Run(Trial(Recipe()), 0), Forgetful, IMAGES, TRAINING)
    assert export.replay.deviation > 1e-3


def test_tied_weights_stay_tied():
    export = make_export(Run(Trial(Recipe()), 0), Tied, IMAGES, TRAINING)
    assert export.replay.deviation < 1e-5
    names: dict[str, object] = {"__name__": "model"}
    exec(export.files["model.py"], names)
    (network,) = names["build"]()
    assert network.a is network.b


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.a, self.act, self.c = nn.Linear(64, 6), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)
        self.b = self.a

    def forward(self, x):
        return self.c(self.act(self.b(self.act(self.a(self.act(self.stem(torch.flatten(x, 1))))))))


class Biased(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat, self.a, self.act, self.b = nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 3)

    def forward(self, x):
        return self.b(self.act(self.a(self.flat(x))))


@pytest.mark.parametrize(("recipe", "changed"), [
    (Recipe(normalization="batch"), "nn.Linear(in_features=64, out_features=6, bias=False)"),
    (Recipe(activation="glu"), "nn.Linear(in_features=64, out_features=12, bias=True)"),
])  # fmt: skip
def test_layers_that_lost_a_bias_or_changed_their_width_are_written_anew(recipe, changed):
    export = make_export(Run(Trial(recipe), 0), Biased, IMAGES, TRAINING)
    assert changed in export.files["model.py"]
    assert export.replay.deviation < 1e-5


def held_sequence(input_shape, outputs):
    """Its first layer is pretrained and frozen, its dropout left out by evaluation mode, one bias fixed."""
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, outputs)
    )
    nn.init.constant_(network[1].requires_grad_(False).weight, 0.1)
    nn.init.constant_(network[4].bias.requires_grad_(False), 0.0)
    network[3].eval()
    return network


class Held(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = held_sequence(None, 3)

    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize("recipe", [
    Recipe(optimizer="adamw", regularization=("l2", "weight-noise")),
    Recipe("lsuv", "weight-norm", "gelu", "lion"),
    Recipe(regularization=("weight-ema", "early-stopping"), clipping="adaptive-clipping"),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("factory", [held_sequence, Held])
def test_what_its_owner_froze_stays_frozen(factory, recipe):
    export = make_export(Run(Trial(recipe), 0), factory, IMAGES, TRAINING)
    assert export.replay.deviation < 1e-5
    with imported(export.files) as train:
        network = train.build()
        network.load_state_dict(export.first)
        before = {n: p.clone() for n, p in network.named_parameters()}
        x, y = IMAGES.x, IMAGES.y
        watched = (x[:20], y[:20]) if "early-stopping" in recipe.regularization else ()
        train.train(network, x, y, *watched, steps=40)
    trained = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    held = {n for n, p in network.named_parameters() if not p.requires_grad}
    assert trained == before.keys() - held
    first = next(n for n, p in network.named_parameters() if p.shape[-1] == 64)
    assert first in held
    assert (before[first] == 0.1).all()
    assert [m.training for m in network.modules() if isinstance(m, nn.Dropout)] == [False]


SHARED = """
from torch import nn
def sequence():
    act = nn.ReLU()
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), act, nn.Linear(8, 8), act, nn.Linear(8, 3))
def blocks():
    block = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Sequential(block, block), block, nn.Linear(8, 3))
def ties():
    layer = nn.Linear(8, 8)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(8, 3)
    )
class Attributes(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.first = nn.ReLU()
        self.second = self.first
    def forward(self, x):
        return self.c(self.second(self.b(self.first(self.a(x.flatten(1))))))
def attributes():
    return Attributes()
def build(input_shape, outputs):
    return Attributes()
"""


@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(activation="prelu", normalization="batch", regularization=("dropout",))], ids=str
)
@pytest.mark.parametrize("name", ["sequence", "blocks", "attributes", "build"])
def test_what_stands_in_several_places_is_exported_in_each(recipe, name, tmp_path):
    (tmp_path / "shared_net.py").write_text(SHARED)
    try:
        export = make_export(Run(Trial(recipe), 1001), f"{tmp_path / 'shared_net.py'}:{name}", IMAGES, TRAINING)
    finally:
        sys.modules.pop("shared_net", None)
    assert export.replay.deviation < 1e-5
    names: dict[str, object] = {"__name__": "model"}
    exec(export.files["model.py"], names)
    names["build"]().load_state_dict(export.first)


def test_one_weight_that_a_technique_put_in_several_places_is_not_exported(tmp_path):
    (tmp_path / "shared_net.py").write_text(SHARED)
    recipe = Recipe(normalization="weight-norm")
    try:
        with pytest.raises(InvalidInput, match="in several places of the network with one weight"):
            make_export(Run(Trial(recipe), 1001), f"{tmp_path / 'shared_net.py'}:ties", IMAGES, TRAINING)
    finally:
        sys.modules.pop("shared_net", None)
