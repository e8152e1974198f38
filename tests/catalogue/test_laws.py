"""What holds for every entry of the catalogue: its page, its numbers, its place."""

import doctest
import inspect
import itertools
import math
import re

import pytest
import torch
from torch import nn

from each_technique import BARE, each, each_number, made, weight_of
from trainsmith.catalogue import Role, find
from trainsmith.errors import InvalidInput

LAWFUL_ROLES = {
    "weights": "test_laws_weights.py",
    "network": "test_laws_networks.py",
    "input": "test_laws_modules.py",
    "layer": "test_laws_modules.py",
    "parametrization": "test_laws_modules.py",
    "activation": "test_laws_modules.py",
    "augmentation": "test_laws_augmentation.py",
    "mixing": "test_laws_augmentation.py",
    "perturbation": "test_laws_augmentation.py",
    "gradient": "test_laws_augmentation.py",
    "constraint": "test_laws_regularization.py",
    "pooling": "test_laws_places.py",
    "branch": "test_laws_places.py",
    "pair": "test_laws_places.py",
    "tying": "test_laws_places.py",
    "ensemble": "test_laws_ensembles.py",
    "average": "test_laws_averages.py",
    "penalty": "test_laws_modules.py",
    "loss": "test_laws_modules.py",
    "pass": "test_laws_passes.py",
    "optimizer": "test_laws_optimizers.py",
    "clipping": "test_laws_clipping.py",
    "schedule": "test_laws_schedules.py",
    "stopping": "test_laws_stopping.py",
    "nothing": "this file",
}


def test_every_role_has_its_laws():
    assert set(LAWFUL_ROLES) == set(Role.__args__)


@each()
def test_the_page_is_complete(technique):
    page = technique.page
    for part in ("title", "summary", "formula", "paper", "differs", "pitfall", "helps", "example"):
        assert getattr(page, part), f"the page of {technique.name} has no {part}"
    assert page.title[0].isupper()
    assert page.summary.endswith(".")


@each()
def test_the_page_says_when_it_helps_and_when_not(technique):
    helps = technique.page.helps
    assert re.search(r"[.] Not [a-z].*[.]$", helps) or helps.startswith("nowhere "), helps


NUMBERED = re.compile(r"\b(equation|algorithm|definition|rule|figure|slide)s? \d", re.I)
UNNUMBERED = re.compile(r"\bsections? (\d|\")[^;]*\bunnumbered\b")
SECTION = re.compile(r"\b(section|appendix|chapter) [\dA-Z\"]")
BY_SECTION = {
    "orthogonal", "truncated-normal", "instance", "robust", "zca-whitening", "silu", "muon", "k-winners", "weight-ema",
    "orthogonality", "auxiliary-reconstruction", "entropy-minimization", "mean-teacher",
}  # fmt: skip
"""Whether their papers number the formula is not known for certain. A wrong number would be worse than none."""


@each()
def test_the_page_gives_the_number_in_the_paper_or_says_that_there_is_none(technique):
    paper = technique.page.paper
    if technique.role == "nothing":
        assert paper == "none."
    elif technique.name in BY_SECTION:
        assert SECTION.search(paper)
        assert not NUMBERED.search(paper), f"{technique.name} has its number: take it out of BY_SECTION"
    else:
        assert NUMBERED.search(paper) or UNNUMBERED.search(paper)


@each()
def test_the_page_numbers_what_differs(technique):
    differs = technique.page.differs
    numbers = [int(n) for n in re.findall(r"(?:^|[.)\"] |and: )(\d+)\. (?=\S)", differs)]
    if differs.startswith("as of "):
        assert re.match(r"as of [a-z0-9-]+(\.|, and: \d+\. )", differs)
    else:
        assert differs.startswith(("nothing known", "1. "))
    assert all(b - a == 1 for a, b in itertools.pairwise(numbers))


@each()
def test_the_example_on_the_page_runs(technique):
    test = doctest.DocTestParser().get_doctest(technique.page.example, {}, technique.name, None, None)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=report.append)
    assert result.attempted > 1
    assert result.failed == 0, "".join(report)


@each()
def test_it_is_found_by_all_its_names_and_is_public_in_its_room(technique):
    for name in (technique.name, *technique.aliases):
        assert find(name, technique.family) is technique
        assert find(f"{technique.family}/{name}") is technique
    room = __import__(f"trainsmith.{technique.family}", fromlist=["*"])
    assert any(getattr(room, public) is technique.make for public in room.__all__)


@each_number()
def test_default_and_search_range_lie_where_the_technique_is_defined(technique, number):
    low, high = number.search
    assert low < high
    assert all(value in number.domain for value in (number.default, low, high))
    assert low > 0 or number.scale == "linear"
    assert high < 1 or number.scale != "logit"
    assert number.meaning


@each_number()
def test_default_is_that_of_the_argument(technique, number):
    assert inspect.signature(technique.make).parameters[number.name].default == number.default
    assert technique.defaults[number.name] == number.default


def outside(domain):
    """Numbers at which a hyper-parameter has no meaning."""
    yield math.nan
    if domain.low_open and math.isfinite(domain.low):
        yield domain.low
    if math.isfinite(domain.low):
        yield domain.low - 1e-3
    if domain.high_open and math.isfinite(domain.high):
        yield domain.high
    if math.isfinite(domain.high):
        yield domain.high + 1e-3


def make_with(technique, **numbers):
    if technique.role == "weights":
        return technique.make(weight_of(), **numbers)
    if technique.role == "optimizer":
        return technique.make([nn.Parameter(torch.ones(2))], **numbers)
    if technique.role == "pair":
        return technique.make(nn.Linear(2, 2), nn.ReLU(), **numbers)
    if technique.role == "schedule" and not inspect.isclass(technique.make):
        return technique.make(1, 10, **numbers)
    return technique.make(**numbers) if technique.role in BARE else made(technique, **numbers)


@each_number()
def test_a_number_without_meaning_is_refused_by_name(technique, number):
    for value in [*outside(number.domain), "1", None, True]:
        with pytest.raises(InvalidInput) as error:
            make_with(technique, **{number.name: value})
        text = str(error.value)
        assert text.startswith(f"{technique.name}: {number.name} must be a number in ")
        assert text.endswith(f"got {value!r}.")
    for quantile in (0.0, 0.5, 1.0):
        make_with(technique, **{number.name: number.at(quantile)})
    if technique.role == "optimizer":  # which takes tensors of one number, as torch's do
        for value in outside(number.domain):
            with pytest.raises(InvalidInput, match=rf"^{technique.name}: {number.name} must be a number in "):
                make_with(technique, **{number.name: torch.tensor(value, dtype=torch.float64)})


@each("optimizer")
def test_every_optimizer_has_a_learning_rate_that_is_tuned(technique):
    (lr,) = [h for h in technique.hyperparameters if h.name == "lr"]
    assert lr.tuned
    assert lr.scale == "log"


@each("nothing")
def test_nothing_does_nothing(technique):
    x = torch.randn(2, 3)
    assert technique.name == "none"
    assert technique.make()(x) is x
    assert not technique.hyperparameters
