"""The straight line and Adam as TorchScript: the same bits as in Python, and Python where TorchScript cannot."""

import math
import threading

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

import trainsmith
from trainsmith.population.program import unlocked as module
from trainsmith.population.program.straighten import straighten
from trainsmith.population.program.stretch import gathered
from trainsmith.population.program.unlocked import Inexpressible, Unlocked, script, unlocked


def line_of(step, *tensors):
    return straighten(make_fx(step)(*tensors))


def everything(x, seen):
    """Types, orders in memory, infinities, several results, a number for a tensor, writing in place."""
    seen.add_(1)
    value, place = x.masked_fill(x > 1, -math.inf).max(1)
    bits = place.to(torch.int32).bitwise_xor(5).to(x.dtype).clone(memory_format=torch.contiguous_format)
    linear = torch.addmm(bits[:4], x[:, :4], x[:4, :4] * torch.scalar_tensor(3.0, device=x.device))
    seen_as = (x.float().view(torch.int32) >> 16).to(x.dtype)
    return (
        value,
        bits,
        seen_as,
        linear,
        torch.zeros(3, dtype=torch.float64, device=x.device) + 1,
        torch.stack([bits, value]),
    )


def test_it_has_words_for_everything_and_gives_the_same_bits():
    x = torch.randn(40, 7)
    line = line_of(everything, x, torch.zeros(3))
    found = unlocked(line, lambda: [x, torch.zeros(3)])
    assert isinstance(found, Unlocked)
    here, there = torch.zeros(3), torch.zeros(3)
    for _ in range(3):
        for a, b in zip(found(x, here), line(x, there), strict=True):
            assert torch.equal(a, b)
    assert torch.equal(here, there)
    assert here[0] == 3


def test_it_goes_on_as_it_is_written():
    """TorchScript rewrites what it has run before: a sum of products is one product, which rounds otherwise."""
    a, b, c, d = torch.randn(4, 40, 40, generator=torch.Generator().manual_seed(0))

    run = script("def step(a, b, c, d):\n    return a.mm(b) + c.mm(d) + a.mm(d) + c.mm(b) + a.mm(c)\n")
    expected = a.mm(b) + c.mm(d) + a.mm(d) + c.mm(b) + a.mm(c)
    assert all(torch.equal(run(a, b, c, d), expected) for _ in range(4))


def test_networks_run_unlocked(monkeypatch):
    """A perceptron, a convolution with batch normalization, attention: none falls back to Python."""
    kinds = []
    monkeypatch.setattr(
        "trainsmith.population.program.program.unlocked", lambda *given: kinds.append(unlocked(*given)) or kinds[-1]
    )
    conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    attention = nn.Sequential(
        nn.TransformerEncoderLayer(8, 2, 8, 0.0, batch_first=True), nn.Flatten(), nn.Linear(64, 3)
    )
    for network, shape in ((nn.Linear(8, 3), (8,)), (conv, (1, 8, 8)), (attention, (8, 8))):
        population = trainsmith.Population([network] * 2, threads=1)
        population.step(torch.randn(6, *shape), torch.randint(3, (6,)))
    assert len(kinds) == 3
    assert all(isinstance(kind, Unlocked) for kind in kinds)


def test_what_it_has_no_word_for_stays_in_python():
    line = line_of(lambda x: (x * 2,), torch.ones(2))
    for node in line.graph.nodes:
        if node.op == "call_function":
            node.target = torch.mul
    line.recompile()
    assert unlocked(line, lambda: [torch.ones(2)]) is line
    for value in (torch.Generator(), 1j):
        with pytest.raises(Inexpressible, match="no word"):
            module._word(value)
    with pytest.raises(Inexpressible):
        script("def step(x):\n    return no_such_function(x)\n")


@pytest.mark.parametrize(
    "wrong", [("add_", "sub_"), ("add_(v_seen", "sub_(v_seen"), ("addmm", "baddbmm"), ("bitwise_xor", "bitwise_or")]
)
def test_a_script_with_other_bits_is_not_used(monkeypatch, wrong):
    x, real = torch.randn(40, 7), module._source
    line = line_of(everything, x, torch.zeros(3))
    monkeypatch.setattr(module, "_source", lambda given: (real(given)[0], real(given)[1].replace(*wrong)))
    assert module._source(line) != real(line)
    assert unlocked(line, lambda: [x, torch.zeros(3)]) is line


def trained(threads=2):
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    population = trainsmith.Population(
        lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), lr=[1e-3, 1e-2, 0.1, 0.3], threads=threads
    )
    schedule = lambda step: 1 / step  # noqa: E731
    fit = population.fit(x, (x[:, 0] > 0).long(), 12, 16, schedule=schedule)
    return fit, [p.detach() for k in range(4) for p in population.member(k).parameters()]


def test_without_torchscript_training_gives_the_same_bits(monkeypatch):
    fit, weights = trained()
    script.cache_clear()
    monkeypatch.setattr(torch.jit, "CompilationUnit", None)
    plain, same = trained()
    script.cache_clear()
    assert torch.equal(fit.losses, plain.losses)
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))


def test_threads_may_run_the_same_line_at_once():
    x = torch.randn(300, 300)
    line = unlocked(line_of(lambda x: (x @ x, (x @ x).sum(0)), x), lambda: [x])
    expected, found = line(x), {}

    def work(i):
        found[i] = [torch.equal(a, b) for _ in range(5) for a, b in zip(line(x), expected, strict=True)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(all(equal) for equal in found.values())
    assert len(found) == 4


def test_gathered_examples_are_those_asked_for():
    x, chosen = torch.randn(20, 2, 3), torch.randint(20, (4, 5))
    assert torch.equal(gathered(x, chosen), x[chosen])
    assert torch.equal(gathered(x, chosen[0]), x[chosen[0]])
