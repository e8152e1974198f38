"""What a program would silently leave out, or hold as it once was: the members get it right, or it is refused."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from trainsmith import Population
from trainsmith.errors import InvalidInput

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(32) % 3
SCALE = 1.0


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


class Two(nn.Module):
    """Two layers, and what is done to the numbers between them."""

    def __init__(self, between=lambda self, h: h):
        super().__init__()
        self.a, self.b, self.between = nn.Linear(6, 8), nn.Linear(8, 3), between

    def forward(self, x):
        return self.b(self.between(self, self.a(x)))


def by_hand(population, steps=3, lr=0.5):
    """The losses of a plain loop over member 0."""
    module, losses = population.member(0), []
    optimizer = torch.optim.SGD(module.parameters(), lr)
    for _ in range(steps):
        loss = functional.cross_entropy(module(X), Y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [False, True])
def test_noise_that_is_drawn_again_in_the_backward_pass_is_refused(reentrant):
    def drop(self, h):
        return checkpoint(functional.dropout, h, 0.5, self.training, use_reentrant=reentrant)

    with pytest.raises(InvalidInput, match=r"backward pass, where no seed reaches it: torch.utils.checkpoint"):
        Population(lambda: Two(drop), 2, lr=0.1).step(X, Y)


class Noisy(torch.autograd.Function):
    """A gradient with noise in it."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g + torch.randn_like(g)


def test_a_gradient_that_draws_noise_is_refused():
    with pytest.raises(InvalidInput, match=r"backward pass.* an autograd\.Function may draw"):
        Population(lambda: Two(lambda self, h: Noisy.apply(h)), 2, lr=0.1).step(X, Y)


def test_a_checkpoint_without_noise_trains():
    def again(self, h):
        return checkpoint(torch.tanh, h, use_reentrant=False)

    population = Population(lambda: Two(again), 2, lr=0.5, optimizer="sgd")
    expected = by_hand(population)
    assert [population.step(X, Y)[0].item() for _ in expected] == pytest.approx(expected)


def test_hooks_on_gradients_of_tensors_and_modules_are_called():
    def turned(self, h):
        if h.requires_grad:
            h.register_hook(lambda g: -g)
        return h

    def hooked():
        network = Two()
        network.b.register_full_backward_hook(lambda m, gi, go: (-gi[0],))
        return network

    for network, kind in ((lambda: Two(turned), "register_hook"), (hooked, "register_full_backward_hook")):
        population = Population(network, 2, lr=0.5, optimizer="sgd")
        expected = by_hand(population)
        assert [population.step(X, Y)[0].item() for _ in expected] == pytest.approx(expected)
        assert f"by the loop: {'the network' if kind == 'register_hook' else 'b'}" in population.plan
        assert kind in population.plan


@pytest.mark.parametrize("hook", ["register_hook", "register_post_accumulate_grad_hook"])
def test_hooks_on_gradients_of_parameters_are_refused(hook):
    def network():
        module = mlp()
        getattr(module[0].weight, hook)(lambda g: None)
        return module

    with pytest.raises(InvalidInput, match=r"the parameter 0\.weight has a hook on its gradient"):
        Population(network, 2, lr=0.1).step(X, Y)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_tensor_of_a_closure_that_is_changed_in_place_is_read_at_every_step(shape):
    beta = torch.zeros(shape)

    def loss(outputs, targets):
        return functional.cross_entropy(outputs, targets) + (beta * outputs.square()).mean()

    population = Population(mlp, 2, lr=0.5, optimizer="sgd", loss=loss)
    module = population.member(0)
    optimizer = torch.optim.SGD(module.parameters(), 0.5)
    for step in range(5):
        beta.fill_(step)
        expected = loss(module(X), Y)
        assert population.step(X, Y)[0].item() == pytest.approx(expected.item(), rel=1e-5)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
    assert population._crew.parts[0].trainers[0].program.unlocked


def test_a_tensor_of_a_closure_that_decides_is_asked_at_every_step():
    late = torch.zeros(())

    def loss(outputs, targets):
        return functional.cross_entropy(outputs, targets) + (1.0 if late > 0 else 0.0)

    population = Population(mlp, 2, lr=1e-9, loss=loss)
    before = population.step(X, Y)
    late.fill_(1)
    assert torch.allclose(population.step(X, Y), before + 1)


class Weighted(nn.Module):
    """A loss with a number of its own."""

    def __init__(self):
        super().__init__()
        self.beta = 0.0
        self.register_buffer("gamma", torch.zeros(()))

    def forward(self, outputs, targets):
        return functional.cross_entropy(outputs, targets) + (self.beta + self.gamma) * outputs.square().mean()


def helped(outputs):
    return SCALE * outputs


class Scaled(nn.Module):
    """A network that reads a global by way of a function."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 3)

    def forward(self, x):
        return helped(self.a(x))


class Settings:
    """A plain object."""

    beta = 0.0


def held(name):
    """A loss, a network, what changes a number that one of them reads, and its name."""
    beta, settings, module = {"v": 0.0}, Settings(), Weighted()
    settings.beta = 0.0

    def of_dict(o, y):
        return functional.cross_entropy(o, y) + beta["v"] * o.square().mean()

    def of_object(o, y):
        return functional.cross_entropy(o, y) + settings.beta * o.square().mean()

    return {
        "beta": (of_dict, mlp, lambda: beta.update(v=1.0)),
        "settings.beta": (of_object, mlp, lambda: setattr(settings, "beta", 1.0)),
        "Weighted.beta": (module, mlp, lambda: setattr(module, "beta", 1.0)),
        "Weighted.gamma": (module, mlp, lambda: module.gamma.fill_(1.0)),
        "SCALE": (None, Scaled, lambda: globals().update(SCALE=2.0)),
    }[name]


def steps(population):
    population.step(X, Y)
    population.step(X, Y)


def fits(population):
    population.fit(X, Y, steps=2, batch_size=8)


@pytest.mark.parametrize("train", [steps, fits])
@pytest.mark.parametrize("name", ["beta", "settings.beta", "Weighted.beta", "Weighted.gamma", "SCALE"])
def test_a_number_that_is_changed_between_two_calls_is_refused(name, train, monkeypatch):
    monkeypatch.setitem(globals(), "SCALE", 1.0)
    loss, network, change = held(name)
    population = Population(network, 2, lr=0.1, loss=loss)
    train(population)
    train(population)
    change()
    with pytest.raises(InvalidInput, match=rf"`{name}` was .*0.* when the members' step was made, and is .* now"):
        population.fit(X, Y, steps=2, batch_size=8)


def test_the_loop_reads_a_number_anew():
    beta = {"v": 0.0}

    def looped(self, h):
        return h * float(h.detach().sum() * 0 + 1)

    def loss(outputs, targets):
        return functional.cross_entropy(outputs, targets) + beta["v"]

    population = Population(lambda: Two(looped), 2, lr=0.0 + 1e-9, loss=loss)
    before = population.step(X, Y)
    beta["v"] = 1.0
    assert torch.allclose(population.step(X, Y), before + 1)


class Several(nn.Module):
    """What a variational autoencoder returns."""

    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(6, 4), nn.Linear(2, 6)

    def forward(self, x):
        mean, log_variance = self.encode(x).chunk(2, -1)
        return self.decode(mean), mean, log_variance


def test_a_loss_of_all_that_a_network_returns_is_told_what_it_would_get():
    def whole(o, y):
        return (o[0] - y).square().mean() + o[1].square().mean()

    with pytest.raises(InvalidInput, match="the network returns 3 things, of which the loss would be given the first"):
        Population(Several, 2, lr=0.1, loss=whole).step(X, X)
    population = Population(Several, 2, lr=0.1, loss=functional.mse_loss)
    expected = functional.mse_loss(population.member(0)(X)[0], X)
    assert population.step(X, X)[0].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("draw", [random.random, np.random.rand])
def test_members_do_not_race_for_the_generators_of_python_and_numpy(draw):
    def scaled(self, h):
        return h * (draw() if self.training else 1.0)

    fits = [Population(lambda: Two(scaled), 4, lr=0.01, seeds=0).fit(X, Y, 60, batch_size=8) for _ in range(2)]
    for fit in fits:
        assert fit.deviation == 0
        assert torch.equal(fit.losses, fits[0].losses[:, :1].expand(-1, 4))


def test_members_to_keep_are_places_in_any_list():
    for which in (torch.tensor([2, 0]), np.array([0, 2]), [0, 2], range(0, 3, 2)):
        population = Population(mlp, 4, lr=0.1)
        population.step(X, Y)
        population.keep(which)
        assert population.active == [0, 2]
        assert population.step(X, Y).isfinite().tolist() == [True, False, True, False]
    for wrong, words in (
        ([False, True, False, True], "not by a mask"), (torch.ones(4) > 0, "not by a mask"), ([], "at least one"),
        (torch.tensor([]), "at least one"), (1, "a list of their places"), ([0.5], "a list of their places"),
        ([4], "there are 4 members"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=words):
            population.keep(wrong)
    assert population.active == [0, 2]


def test_a_member_whose_loss_is_not_finite_is_taken_out_in_steps_too():
    population = Population(lambda: nn.Linear(6, 1), lr=[0.1, 1e30, 0.1], optimizer="sgd")
    targets = torch.randn(32, generator=torch.Generator().manual_seed(1))
    losses = torch.stack([population.step(X, targets) for _ in range(6)])
    assert population.active == [0, 2]
    assert losses[:, [0, 2]].isfinite().all()
    assert not losses[-1, 1].isfinite()
    population = Population(lambda: nn.Linear(6, 1), lr=[1e30, 1e30], optimizer="sgd")
    losses = torch.stack([population.step(X, targets) for _ in range(6)])
    assert (population.active, losses[-1].isnan().all()) == ([], True)


def test_complex_noise_has_two_parts():
    class Complex(nn.Module):
        def __init__(self, draw):
            super().__init__()
            self.a, self.draw = nn.Linear(6, 4), draw

        def forward(self, x):
            z = self.draw(40_000)
            parts = torch.stack([z.real.mean(), z.imag.mean(), z.real.std(), z.imag.std()])
            return self.a(x) * 0 + parts

    def parts(draw):
        population = Population(lambda: Complex(draw), 2, lr=0.1, loss=lambda o, y: o.mean(0)[y[0]])
        return [population.step(X, torch.full((32,), k)).tolist() for k in range(4)]

    normal = parts(lambda n: torch.randn(n, dtype=torch.complex64))
    expected = [0, 0, 0.5**0.5, 0.5**0.5]
    assert normal == [pytest.approx([e, e], abs=0.02) for e in expected]
    filled = parts(lambda n: torch.zeros_like(torch.randn(n, dtype=torch.complex64)).normal_())
    assert filled == [pytest.approx([e, e], abs=0.02) for e in expected]
    like = parts(lambda n: torch.rand_like(torch.zeros(n, dtype=torch.complex64)))
    assert like == [pytest.approx([e, e], abs=0.02) for e in [0.5, 0.5, 12**-0.5, 12**-0.5]]


def test_autocast_trains_as_the_plain_loop_does():
    def network():
        class Cast(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = mlp()

            def forward(self, x):
                with torch.autocast("cpu", torch.bfloat16):
                    return self.inner(x).float()

        return Cast()

    population = Population(network, 2, lr=0.5, optimizer="sgd")
    expected = by_hand(population)
    assert [population.step(X, Y)[0].item() for _ in expected] == pytest.approx(expected, rel=2e-2)
    assert "by the loop" not in population.plan


def test_another_default_type_is_no_hindrance():
    torch.set_default_dtype(torch.float64)
    try:
        population = Population(mlp, 2, lr=0.1)
        assert population.step(X.double(), Y).isfinite().all()
        assert population.fit(X.double(), Y, steps=2, batch_size=8).losses.isfinite().all()
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_network_that_differentiates_is_told_how():
    def slope(self, h):
        h = h.clone().requires_grad_()
        return torch.autograd.grad(h.square().sum(), h, create_graph=True)[0]

    with pytest.raises(InvalidInput, match=r"begin that with torch\.enable_grad\(\)"):
        Population(lambda: Two(slope), 2, lr=0.1).step(X, Y)
