"""An augmentation of the user's own, in a population and in a study."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import trainsmith
from trainsmith.catalogue import find, registry
from trainsmith.errors import InvalidInput
from trainsmith.regularization import InputNoise, augmentation, augmentation_elsewhere

X = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
Y = (X[:, 0] > 0).long()


@pytest.fixture(autouse=True)
def a_catalogue_of_our_own(monkeypatch):
    trainsmith.techniques()
    monkeypatch.setattr(registry, "_techniques", dict(registry._techniques))
    monkeypatch.setattr(registry, "_elsewhere", {})


def noisy(x):
    return x + 0.5 * torch.randn_like(x)


def losses(regularizers, seeds=(3, 3, 4)):
    network = lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))  # noqa: E731
    population = trainsmith.Population(network, 3, optimizer="sgd", lr=0.1, regularizers=regularizers, seeds=seeds)
    fit = population.fit(X, Y, 12, 16)
    assert fit.deviation <= fit.tolerance
    return fit.losses


def test_a_module_of_ones_own_is_that_module_with_the_same_luck():
    own, ours = losses([augmentation(InputNoise(0.5), "own").make()]), losses([InputNoise(0.5)])
    torch.testing.assert_close(own, ours, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(own, losses([]))


def test_each_seed_has_its_own_luck():
    found = losses([augmentation(noisy).make()])
    assert torch.equal(found[:, 0], found[:, 1])
    assert not torch.equal(found[:, 0], found[:, 2])


def test_it_acts_in_training_alone():
    module = augmentation(noisy).make()
    assert not torch.equal(module(X), X)
    assert torch.equal(module.eval()(X), X)


def test_members_with_different_ones_are_told_apart():
    zero, plain = augmentation(lambda x: 0 * x, "zero").make(), augmentation(lambda x: 1 * x, "plain").make()
    found = losses([[zero], [plain], [plain]], seeds=(3, 3, 3))
    assert torch.equal(found[:, 1], found[:, 2])
    assert not torch.allclose(found[:, 0], found[:, 1])


@pytest.mark.parametrize(
    ("call", "name", "told"),
    [
        (3, None, "must be a function of a batch; got int"),
        (noisy, "l2", "has a regularization called 'l2' already"),
        (noisy, "ridge", "called 'ridge' already"),
    ],
)
def test_what_cannot_be_one_is_refused(call, name, told):
    with pytest.raises(InvalidInput, match=told):
        augmentation(call, name)


@pytest.mark.parametrize("wrong", [lambda x: x[:, :2], lambda x: 3])
def test_another_shape_is_refused(wrong):
    with pytest.raises(InvalidInput, match=r"must return a batch of the shape it was given, \(64, 6\)"):
        augmentation(wrong, "wrong").make()(X)


class Flip(nn.Module):
    """As torchvision's flips: one draw for all it is given."""

    __module__ = "torchvision.transforms.v2._geometry"

    def forward(self, x):
        return x.flip(-1) if torch.rand(1) < 0.5 else x


class FlipOfOnesOwn(Flip):
    __module__ = "mine"


@pytest.mark.parametrize("call", [Flip(), nn.Sequential(nn.Identity(), Flip()), FlipOfOnesOwn()])
def test_torchvisions_transforms_draw_for_each_example(call):
    torch.manual_seed(0)
    augmented = augmentation(call, "tv").make()(X)
    flipped, left = (augmented == X.flip(-1)).all(1), (augmented == X).all(1)
    assert (flipped | left).all()
    assert 16 <= flipped.sum() <= 48  # of 64, each by itself with chance one half: outside once in 10,000 times
    together = augmentation(call, "tv", each=False).make()(X)
    assert torch.equal(together, X) or torch.equal(together, X.flip(-1))


def test_any_call_may_get_one_example_at_a_time_and_gives_one():
    shapes = []
    one = augmentation(lambda x: shapes.append(x.shape) or 2 * x, "twice", each=True).make()
    assert torch.equal(one(X), 2 * X)
    assert set(shapes) == {torch.Size([6])}
    assert len(shapes) == 64
    with pytest.raises(InvalidInput, match=r"must return an example of the shape it was given, \(6,\); got \(3,\)"):
        augmentation(lambda x: x[:3], "half", each=True).make()(X)


def test_one_that_draws_once_for_each_example_is_trained_by_the_loop_with_each_members_own_luck():
    found = losses([augmentation(Flip(), "tv").make()])
    assert torch.equal(found[:, 0], found[:, 1])
    assert not torch.equal(found[:, 0], found[:, 2])


class Sometimes(nn.Module):
    """As torchvision's RandomApply: how often it draws hangs on what it draws."""

    def forward(self, x):
        for _ in range(3):
            if torch.rand(1) < 0.5:
                x = x + 0.1 * torch.randn_like(x) + 0.1 * torch.randn_like(x)
        return x


@pytest.mark.parametrize("each", [False, True])
def test_one_that_draws_more_often_at_some_steps_than_at_others_has_each_members_own_luck(each):
    own = augmentation(Sometimes(), "sometimes", each=each).make()
    found = losses([own])
    assert torch.equal(found[:, 0], found[:, 1])
    assert not torch.equal(found[:, 0], found[:, 2])
    assert torch.equal(found, losses([own]))
    assert torch.equal(found.flip(1), losses([own], seeds=(4, 3, 3)))


def test_one_that_gets_single_examples_has_noise_of_its_own_for_each():
    seen = []

    def noted(x):
        seen.append(torch.rand(1))
        return x

    losses([augmentation(noted, "noted", each=True).make()])
    assert len(seen) > 12 * 16 * 3
    assert len({*map(float, seen[-16:])}) == 16


def test_what_a_record_tells_of_can_be_told_of_and_not_made_until_it_is_entered():
    before = trainsmith.techniques()
    augmentation_elsewhere("noisy")
    assert trainsmith.techniques() == before
    told = find("noisy", "regularization")
    assert (told.name, told.page.title) == ("noisy", "noisy")
    with pytest.raises(InvalidInput, match=r"'noisy' is an augmentation of the user's own, .* enter it first"):
        told.make()
    with pytest.raises(InvalidInput, match="unknown technique 'noisy'"):
        find("noisy")
    entered = augmentation(noisy)
    assert find("noisy", "regularization") is entered


def test_the_same_name_again_replaces_it():
    augmentation(noisy)
    again = augmentation(lambda x: x, "noisy")
    assert find("noisy") is again


def test_a_study_trains_it_in_other_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import torch, trainsmith\nfrom trainsmith.regularization import augmentation\n"
        "def blind(x):\n    return torch.zeros_like(x)\n"
        "study = trainsmith.compare('mlp', 'wine', techniques=[augmentation(blind)], trials=2, seeds=2, steps=40,\n"
        "                           processes=2)\n"
        "print(study.study.receipt.holds, {r.technique: max(r.scores) for r in study.study.rows})\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.startswith("True") and "'blind': 0.3" in done.stdout) or "'blind': 0.4" in done.stdout
