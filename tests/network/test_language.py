"""The language model: nothing from the future, attention as written in the paper, and any technique in it."""

import numpy as np
import pytest
import torch

from trainsmith.catalogue import Recipe, Run, Trial, find
from trainsmith.data import from_text
from trainsmith.network import build, default_network
from trainsmith.network.language import CausalAttention
from trainsmith.population import Job, Training, make_member, work

DATA = from_text("the cat sat on the mat and the dog sat on the log\n" * 40, context=8)


def test_outputs_look_at_no_later_character():
    torch.manual_seed(0)
    network = build("gpt", DATA.input_shape, DATA.outputs)
    x = DATA.x[:3].clone()
    before = network(x)
    assert before.shape == (3, 8, DATA.outputs)
    x[:, 5] = (x[:, 5] + 1) % DATA.outputs
    changed = (network(x) - before).abs().amax(-1) > 0
    assert not changed[:, :5].any()
    assert changed[:, 5:].any(0).all()


def test_attention_against_float64_numpy():
    torch.manual_seed(1)
    attend = CausalAttention(6, heads=2).double()
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    w, b = (p.detach().numpy() for p in (attend.project.weight, attend.project.bias))
    expected = np.zeros((2, 4, 6))
    for n in range(2):
        q, k, v = np.split(x[n].numpy() @ w.T + b, 3, axis=1)
        for head in (slice(0, 3), slice(3, 6)):
            for t in range(4):
                scores = np.exp(q[t, head] @ k[: t + 1, head].T / np.sqrt(3))
                expected[n, t, head] = scores / scores.sum() @ v[: t + 1, head]
    expected = expected @ attend.out.weight.detach().numpy().T + attend.out.bias.detach().numpy()
    np.testing.assert_allclose(attend(x).detach().numpy(), expected, rtol=1e-12)


def test_it_is_the_default_for_texts():
    assert (default_network("text"), default_network("image"), default_network("table")) == ("gpt", "mlp", "mlp")


@pytest.mark.parametrize("name", ["batch", "layer", "rms", "group", "weight-norm", "maxout", "dropout"])
def test_techniques_train_in_it_together_as_alone(name):
    trial = Trial(Recipe().having(find(name)), {"adam.lr": 3e-3})
    runs = tuple(Run(trial, seed) for seed in range(2))
    assert name not in make_member(runs[0], "gpt", DATA).skipped
    record = work(Job("gpt", Training(steps=6, batch_size=8, checks=1), runs, replay=(1,)), DATA)
    assert [r.status for r in record.results] == ["finished"] * 2
    assert max(record.deviations) < 1e-4
    assert not record.loops


def test_each_position_is_normalized_as_an_example():
    trial = Trial(Recipe().having(find("layer")))
    network = make_member(Run(trial, 0), "gpt", DATA).objective.network
    outputs = []
    for module in network.modules():
        if type(module).__name__ == "LayerNorm":
            module.register_forward_hook(lambda m, args, out: outputs.append(out))
    network(DATA.x[:4])
    assert len(outputs) == 5, "in the places of the network's own: two a block, and the last"
    for out in outputs:
        assert out.shape == (32, 32), "4 examples of 8 positions"
        torch.testing.assert_close(out.mean(1), torch.zeros(32), rtol=0, atol=1e-5)


def test_it_learns_more_than_the_frequencies():
    trial = Trial(Recipe(), {"adam.lr": 1e-2})
    record = work(Job("gpt", Training(steps=120, batch_size=8, checks=1), (Run(trial, 0),)), DATA)
    bits = -record.results[0].score
    assert bits < 2.5, "characters alone have 3.5 bits, the repeated sentence none"


def test_what_is_for_numbers_is_left_out_with_a_reason():
    for name, words in (("standardization", "inputs that are numbers"), ("mixup", "for images and tables")):
        member = make_member(Run(Trial(Recipe().having(find(name))), 0), "gpt", DATA)
        assert words in member.skipped[name]
