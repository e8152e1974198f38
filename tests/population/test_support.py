"""docs/support.md says of every module of torch.nn how it trains in a population; each line is tried out here.

SUPPORT=write rewrites the page (`make support`).
"""

import os
import re
from pathlib import Path

import pytest
import torch

from networks_of_others import NETWORKS, build, examples, library
from side_by_side import side_by_side
from torch_modules import CASES, NOT_NETWORKS, Probe, make
from trainsmith.optimizer import SGD
from trainsmith.population import Alone, Chunk, Learner, Unbatchable
from trainsmith.population.members.objective import CrossEntropy, Objective

PAGE = Path(__file__).parents[2] / "docs" / "support.md"
INTRODUCTION = """# Which networks train as a population

Any `nn.Module` can be given to trainsmith. Many members of it train as one batched program where torch can batch
what the module does over weights; where it cannot, that is found out before training, said in a sentence, and the
members are trained one after another by the plain loop, with the same results and the same luck.

Each line below was tried by the tests: two members with their own weights, seeds and learning rates trained together
and each by the plain loop, and the losses were equal. *Batched* and *loop* are what `trainsmith` found by itself.

What does not depend on the module: dropout and other noise are drawn from each member's own seed (see
[architecture](architecture.md), luck); members that differ in any attribute never share a program; layers made lazily
need one pass before, in the factory; noise in evaluation mode, and random functions that cannot be drawn from a seed
(`torch.poisson`, `dropout=` of several recurrent layers, generators of the network's own), are refused in a sentence.
A population is found not to be one program, too, where a network counts or caches in its own attributes, puts new
tensors into its buffers, reaches its weights through lists or functions, or draws from Python's or NumPy's generators.
"""
LOOPS = {
    "AdaptiveLogSoftmaxWithLoss",
    "CrossMapLRN2d",
    "GRU",
    "GaussianNLLLoss",
    "LSTM",
    "LSTMCell",
    "RNN",
}
"""What torch cannot batch over weights, as of the version in constraints.txt."""

X, Y = torch.linspace(-1, 1, 144).sin().view(12, 12), torch.arange(12) % 3


def learners(objective):
    def make_them():
        made = []
        for k, rate in enumerate((0.1, 0.03)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(k)
                made.append(Learner(k, Objective(objective(k), CrossEntropy()), SGD, {"lr": rate}))
        return made

    return make_them


def of_module(name):
    """(whether it was batched, why not), after its losses were found equal to those of the loop."""
    return tried(learners(lambda k: Probe(name, make(name))), X, Y)


def tried(make_them, x, y):
    try:
        together, alone = side_by_side(make_them, x, y)
    except (Unbatchable, UnequalCalls):
        assert Alone(make_them()[0]).step(1, 1.0, x[None], y[None]).isfinite().all()
        return False, why_not(make_them, x, y)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert together[0, 0] != together[0, 1], "members differ"
    return True, ""


UnequalCalls = ValueError
"""What Chunk raises for members whose operations depend on their numbers."""


def why_not(make_them, x, y):
    """Why a member cannot be a program, as the engine says it; "" if it can."""
    try:
        Chunk(make_them()[:1], x, y)
    except Unbatchable as reason:
        return str(reason).removesuffix("; the loop trains each member by itself, with the same results")
    return ""


@pytest.fixture(scope="module")
def page():
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)) if PAGE.exists() else {}


def line(name, batched, reason):
    said = re.sub(r"^inner(\.\w+)* \((\w+)\) |^[\w.]+ \((\w+)\) ", lambda m: f"{m[2] or m[3]} ", reason)
    return "batched" if batched else f"loop: {said}"


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of operations that vmap runs member by member
@pytest.mark.filterwarnings("ignore:`NLLLoss2d` has been deprecated")
@pytest.mark.parametrize("name", CASES)
def test_a_module_trains_together_as_alone_and_as_the_page_says(name, page):
    batched, reason = of_module(name)
    assert batched == (name not in LOOPS), reason
    note(page, name, line(name, batched, reason))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_others_trains_as_the_page_says(name, page):
    pytest.importorskip(library(name), reason=f"{library(name)} is in the test extra")
    reason = why_not(learners(lambda k: build(name, k)), *examples(name, 12))  # test_networks_of_others trains them
    note(page, name, line(name, not reason, reason))


WRITTEN = {}


def note(page, name, said):
    if os.environ.get("SUPPORT") == "write":
        WRITTEN[name] = said
    else:
        assert page.get(name) == said, "docs/support.md says otherwise; `make support` rewrites it"


def test_the_page_is_complete(page):
    if os.environ.get("SUPPORT") == "write":
        PAGE.write_text(render(WRITTEN))
        return
    assert PAGE.read_text() == render(page)


def render(lines):
    """The page, from what is said of each module and network."""

    def table(title, names, said):
        rows = "\n".join(f"| `{n}` | {said[n]} |" for n in names)
        return f"## {title}\n\n| class | in a population |\n|---|---|\n{rows}\n"

    none = {n: f"not a network: {why}" for n, why in NOT_NETWORKS.items()}
    modules = table("torch.nn", sorted([*CASES, *NOT_NETWORKS], key=str.lower), {**lines, **none})
    others = [
        table(f"Networks of {title}, small, with random weights", [n for n in NETWORKS if library(n) == package], lines)
        for package, title in (("transformers", "Hugging Face transformers"), ("monai", "MONAI"))
    ]
    return "\n".join([INTRODUCTION, modules, *others])
