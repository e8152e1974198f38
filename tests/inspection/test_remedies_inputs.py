"""Remedies of networks with several inputs, arguments by name, losses of their own and structured outputs."""

import dataclasses
import functools

import pytest
import torch
from torch import nn
from torch.nn import functional

from inspection.make_network import draws
from trainsmith.catalogue import find
from trainsmith.errors import InvalidInput
from trainsmith.inspection import inspect
from trainsmith.inspection.faults.fault import finding
from trainsmith.inspection.remedies import try_remedies
from trainsmith.inspection.tried.cures import cured
from trainsmith.inspection.tried.trained import is_simple

N, CLASSES = 90, 3


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


class Two(nn.Module):
    """Two inputs, a mask for all examples, and weights that are far too small."""

    def __init__(self, std=0.003, structured=True):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(8, 10), nn.Linear(4, 10)
        self.body = nn.Sequential(*[m for _ in range(4) for m in (nn.Linear(10, 10), nn.Tanh())])
        self.last = nn.Linear(10, CLASSES)
        self.structured = structured
        for layer in self.body:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=std)

    def forward(self, first, second, mask=None, labels=None):
        hidden = self.a(first) + self.b(second)
        logits = self.last(self.body(hidden if mask is None else hidden * mask))
        if not self.structured:
            return logits
        return Output(logits, None if labels is None else 3 * functional.cross_entropy(logits, labels))


class Joined(nn.Module):
    """The same network of one input, both side by side, that gives a tensor."""

    def __init__(self):
        super().__init__()
        self.two = Two(structured=False)

    def forward(self, x):
        return self.two(x[:, :8], x[:, 8:])


def inputs():
    first, second = draws(N, 8), draws(N, 4, seed=3)
    return first, second, first[:, :CLASSES].argmax(1)


def treated(network, batch, loss=None, **more):
    measured = inspect(network, batch, loss)
    assert "signal vanishes" in {f.short for f in measured.findings}
    return try_remedies(network, batch, measured, loss, **{"seeds": 3, "steps": 40, "batch_size": 30, **more})


@functools.cache
def two_inputs():
    """What is tried on the network of two inputs."""
    first, second, y = inputs()
    return treated(Two(), ((first, second), y))


def test_a_pair_of_inputs_and_the_same_by_name_have_the_same_remedies():
    first, second, y = inputs()
    network = Two()
    before = [p.detach().clone() for p in network.parameters()]
    pair = treated(network, ((first, second), y))
    named = treated(network, ({"second": second, "first": first}, y))
    assert [r.loss for r in pair.remedies] == pytest.approx([r.loss for r in named.remedies], rel=1e-5)
    assert pair.remedies[0].verdict == "better"
    assert {"initialization=he", "initialization=xavier", "initialization=lsuv"} <= {r.name for r in pair.remedies}
    assert not pair.skipped
    assert all(torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True))


def test_several_inputs_train_as_one_of_them_does():
    first, second, y = inputs()
    apart = two_inputs()
    together = treated(Joined(), (torch.cat([first, second], 1), y))
    assert is_simple(Joined(), torch.cat([first, second], 1), y, None)
    assert not is_simple(Two(), (first, second), y, None)
    for one, other in zip((apart.as_it_is, *apart.remedies), (together.as_it_is, *together.remedies), strict=True):
        assert (one.name, one.verdict) == (other.name, other.verdict)
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
        assert (one.low, one.high) == pytest.approx((other.low, other.high), rel=0.02)


def test_a_loss_of_its_own_is_what_is_trained_and_told():
    first, second, y = inputs()
    own = treated(Two(), {"first": first, "second": second, "labels": y})
    given = two_inputs()
    assert own.first_loss == pytest.approx(3 * given.first_loss, rel=1e-4)
    assert own.as_it_is.loss == pytest.approx(3 * given.as_it_is.loss, rel=0.05)  # Adam forgets the factor, but for eps
    assert own.remedies[0].verdict == "better"


def test_the_users_loss_gets_what_the_network_gives():
    first, second, y = inputs()

    def loss(output, targets):
        return functional.cross_entropy(output.logits, targets)

    whole = treated(Two(), ((first, second), y), loss)
    assert whole.as_it_is.loss == pytest.approx(two_inputs().as_it_is.loss, rel=1e-5)


def test_what_has_no_row_for_each_example_is_given_whole():
    first, second, y = inputs()
    mask = torch.ones(10)
    mask[5:] = 0
    one, each = (treated(Two(), ({"first": first, "second": second, "mask": m}, y)) for m in (mask, mask.expand(N, 10)))
    assert [r.loss for r in one.remedies] == pytest.approx([r.loss for r in each.remedies], rel=1e-5)


def test_examples_without_a_class_do_not_count():
    """-100 is what cross-entropy ignores: as class 0, these would be a third of all targets."""
    first, second, y = inputs()
    marked = y.clone()
    marked[::2] = -100
    loss = treated(Two(structured=False), ((first, second), marked))

    one = treated(Joined(), (torch.cat([first, second], 1), marked))
    assert one.as_it_is.loss == pytest.approx(loss.as_it_is.loss, rel=1e-3)
    assert one.as_it_is.loss < 1.11
    prior, _ = cured(
        Two(structured=False), find("class-prior", "initialization"), (first, second), torch.where(y == 0, -100, y), 0,
        finding("wrong initial loss", "last", "", 0.0, 0.0, ""),
    )  # fmt: skip
    assert prior.last.bias.softmax(0)[0] < 0.03


def test_each_kind_of_remedy_is_put_into_a_network_of_several_inputs():
    first, second, y = inputs()
    network, x = Two(), (1000 * first + 5, second)

    def cure(family, name, short="signal vanishes", layer="body.1"):
        return cured(network, find(name, family), x, y, 0, finding(short, layer, "", 0.0, 0.0, ""))[0]

    assert any(type(m).__name__ == "LeakyReLU" for m in cure("activation", "leaky-relu").modules())
    kinds = [type(m).__name__ for m in cure("normalization", "layer").modules()]
    assert kinds.count("LayerNormalization") + kinds.count("LayerNorm") == 4
    scaled = cure("normalization", "standardization", "unscaled inputs", "a")
    into = []
    hook = next(m for n, m in scaled.named_modules() if n.endswith("a")).register_forward_pre_hook(
        lambda m, a: into.append(a[0])
    )
    scaled(*x), scaled(first=x[0], second=x[1])
    hook.remove()
    assert [float(t.std()) for t in into] == pytest.approx([1, 1], rel=0.01)


def test_masks_and_whole_numbers_are_not_scaled():
    x = (draws(N, 8).gt(0).float(), torch.arange(4 * N).view(N, 4))
    with pytest.raises(InvalidInput, match="none of its inputs are numbers on a scale"):
        cured(
            Two(), find("standardization", "normalization"), x, None, 0, finding("unscaled inputs", "a", "", 0, 0, "")
        )


class Classifier(nn.Module):
    """A network that makes its own loss, and is told no targets beside its inputs."""

    def __init__(self):
        super().__init__()
        self.two = Two()

    def forward(self, first, second, truth):
        return self.two(first, second, labels=truth)


def test_a_network_that_is_given_its_targets_under_another_name():
    first, second, y = inputs()
    done = treated(Classifier(), {"first": first, "second": second, "truth": y})
    assert done.remedies[0].verdict == "better"


@pytest.mark.parametrize("own_loss", [True, False])
def test_a_small_transformer_of_hugging_face(own_loss):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=12, num_labels=CLASSES, initializer_range=1.5,
    )  # fmt: skip
    network = transformers.BertForSequenceClassification(config)
    ids = torch.randint(1, 30, (48, 8))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids[:, 0] % CLASSES}
    batch["attention_mask"][::2, 6:] = 0
    given = batch if own_loss else ({k: v for k, v in batch.items() if k != "labels"}, batch["labels"])
    measured = inspect(network, given)
    assert measured.findings
    done = try_remedies(network, given, measured, seeds=2, steps=4, batch_size=16)
    assert done.as_it_is.loss > 0
    assert done.remedies
