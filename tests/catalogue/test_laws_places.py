"""What holds for regularizers with places of their own in a network: pooling, branches, layers with activations."""

import numpy as np
import pytest
import torch
from torch import nn

from each_technique import each, settings
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import from_arrays
from trainsmith.population import Alone, Chunk, Training, make_member, train

Y = np.arange(60) % 3
IMAGES = from_arrays(np.random.default_rng(0).normal(size=(60, 1, 6, 6)) + Y[:, None, None, None], Y, "images")
TRAINING = Training(steps=4, batch_size=8, checks=2)
each_place = each("pooling", "branch", "pair")
each_tying = each("tying")
TABLE = from_arrays(IMAGES.x.flatten(1)[:, :9].numpy(), IMAGES.y.numpy(), "table", "autoencoding")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.act, self.second = nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 9)

    def forward(self, x):
        return x + self.second(self.act(self.first(x)))


def network(shape, outputs):
    """With pooling, with branches, with a layer that an activation function follows."""
    return nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), Block(), Block(), nn.Linear(9, outputs)
    )


def members(technique, count=2):
    made = []
    for own in settings(technique, count):
        numbers = {f"{technique.name}.{n}": v for n, v in own.items()}
        made.append(make_member(Run(Trial(Recipe(regularization=(technique.name,)), numbers), 3), network, IMAGES))
        made[-1].objective.double()
    return made


@each_place
def test_members_with_other_numbers_get_together_what_they_get_alone(technique):
    x = IMAGES.x.double()
    assert not members(technique)[0].skipped
    together = train(Chunk(members(technique), x, IMAGES.y), x, IMAGES.y, TRAINING)
    alone = [train(Alone(m), x, IMAGES.y, TRAINING)[0] for m in members(technique)]
    for here, there in zip(alone, together, strict=True):
        np.testing.assert_allclose(np.array(there.curve), np.array(here.curve), rtol=1e-9)
        np.testing.assert_allclose(there.first_losses, here.first_losses, rtol=1e-9)


@each_place
def test_it_draws_in_training_and_keeps_the_mean_in_evaluation(technique):
    module = members(technique, 1)[0].objective.network
    x = IMAGES.x.double()
    torch.manual_seed(0)
    assert not torch.equal(module.train()(x), module(x))
    assert torch.equal(module.eval()(x), module(x))
    inside = [m for m in module.modules() if type(m) is technique.make]
    assert inside
    h = torch.rand(1, 1, 4, 4, dtype=torch.float64) if technique.role != "branch" else torch.rand(1, 9).double()
    if technique.role == "pair":
        inside[0].activation = nn.Identity()  # the mean of others is approximated, by a normal distribution
    draws = torch.cat([inside[0].train()(h) for _ in range(2000)]).detach()
    expected = inside[0].eval()(h).detach()
    torch.testing.assert_close(draws.mean(0, keepdim=True), expected, rtol=0, atol=6 * float(draws.std(0).max()) / 45)


@each_place
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_type_gradient_inputs_and_nan(technique, dtype):
    module = next(m for m in members(technique, 1)[0].objective.network.modules() if type(m) is technique.make)
    module.to(dtype).eval()
    h = (torch.rand(2, 1, 4, 4) if technique.role != "branch" else torch.rand(2, 9)).to(dtype).requires_grad_()
    before = h.detach().clone()
    y = module(h)
    assert y.dtype == dtype
    assert torch.equal(h.detach(), before)
    if dtype == torch.float64:
        assert torch.autograd.gradcheck(module, h)
    bad = before.clone()
    bad[0] = torch.nan
    assert module(bad)[0].isnan().any()
    torch.testing.assert_close(module(bad)[1], y.detach()[1])


@each_place
def test_where_there_is_no_place_for_it_it_says_so(technique):
    def flat(shape, outputs):
        return nn.Sequential(nn.Flatten(), nn.Linear(36, outputs))

    run = Run(Trial(Recipe(regularization=(technique.name,))), 0)
    assert make_member(run, flat, IMAGES).skipped[technique.name]


def autoencoder(shape, outputs):
    layers = [nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, outputs)]
    return nn.Sequential(*layers)


def tied(technique, seeds=(3, 5)):
    trial = Trial(Recipe(regularization=(technique.name,)), {"adam.lr": 1e-2})
    made = [make_member(Run(trial, seed), autoencoder, TABLE) for seed in seeds]
    for member in made:
        assert not member.skipped
        member.objective.double()
        member.centre, member.scale = member.centre.double(), member.scale.double()
    return made


@each_tying
def test_tied_members_get_together_what_they_get_alone_and_stay_tied(technique):
    x, y = TABLE.x.double(), TABLE.y.double()
    together = train(Chunk(tied(technique), x, y), x, y, TRAINING, keep_states=True)
    alone = [train(Alone(m), x, y, TRAINING, keep_states=True)[0] for m in tied(technique)]
    for here, there in zip(alone, together, strict=True):
        np.testing.assert_allclose(there.first_losses, here.first_losses, rtol=1e-9)
        for name, t in there.state.items():
            np.testing.assert_allclose(t, here.state[name], rtol=1e-7, atol=1e-12)
        np.testing.assert_array_equal(there.state["6.weight"], there.state["0.weight"])
    free = make_member(Run(Trial(Recipe()), 3), autoencoder, TABLE).objective
    (member, _) = tied(technique)
    assert len(list(member.objective.parameters())) < len(list(free.parameters()))


@each_tying
def test_where_nothing_mirrors_itself_nothing_is_tied(technique):
    run = Run(Trial(Recipe(regularization=(technique.name,))), 0)
    assert make_member(run, "mlp", IMAGES).skipped[technique.name].startswith("it is for autoencoders")
