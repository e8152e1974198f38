"""How findings of a training under watch are told: each kind once, with all the places where it is."""

import html
import warnings

import pytest
import torch
from torch import nn

import trainsmith
from trainsmith.inspection.faults.fault import finding, summed
from trainsmith.inspection.watching.log import Log


class Texts:
    """A SummaryWriter that keeps texts alone."""

    def __init__(self):
        self.texts = []

    def add_scalar(self, *_):
        pass

    add_histogram_raw = add_scalar

    def add_text(self, tag, text, step):
        self.texts.append(text)


def train_on_noise(model, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.randn(64, 30)), torch.arange(64) % 4).backward()
        optimizer.step()


def test_layers_that_show_the_same_at_once_are_told_in_one_sentence():
    torch.manual_seed(0)
    layers = [m for _ in range(6) for m in (nn.Linear(30, 30), nn.Sigmoid())]
    model = nn.Sequential(*layers, nn.Linear(30, 4))
    optimizer, writer = torch.optim.SGD(model.parameters(), 0.01), Texts()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with trainsmith.watch(model, optimizer, every=1).tensorboard(writer) as w:
            train_on_noise(model, optimizer, 3)
    kinds = list(dict.fromkeys(f.short for f in w.findings))
    assert {"signal vanishes", "gradient vanishes"} == set(kinds)
    assert len(w.findings) > 6
    assert len(caught) == len(kinds)
    for kind, warned in zip(["signal vanishes", "gradient vanishes"], caught, strict=True):  # causes first
        places = [f"layer {f.layer}" for f in w.findings if f.short == kind]
        first = next(f for f in w.findings if f.short == kind)
        more = f"{', '.join(places[1:4])} ... {places[-1]}" if len(places) > 5 else ", ".join(places[1:])
        words = f"{first.words} The same in {len(places) - 1} more places: {more}."
        assert str(warned.message) == f"step 1: {words}"
        assert " ".join(words.split()) in " ".join(str(w.table()).split())
        assert words in html.unescape(w._repr_html_())
        assert words in writer.texts[0]
    assert len(writer.texts) == 1, "of a second text of a step nothing is left"


@pytest.mark.parametrize(
    ("places", "told"),
    [(["1"], ""), (["1", "1"], ""), (["1", "b"], " The same in 1 more place: b."),
     (["a", "b", "3", "d", "e"], " The same in 4 more places: b, layer 3, d, e."),
     (["a", "b", "c", "d", "e", "f"], " The same in 5 more places: b, c, d ... f.")],
)  # fmt: skip
def test_further_places_are_named(places, told):
    found = [finding("dead units", place, "share", 1.0, 0.5, f"{place}: all dead.") for place in places]
    assert summed(found) == [(found[0], f"{places[0]}: all dead.{told}")]


def test_members_findings_are_one_a_kind_in_the_table_and_a_notebook():
    torch.manual_seed(0)

    def network():
        return nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(30, 30), nn.Sigmoid())], nn.Linear(30, 4))

    population = trainsmith.Population(network, lr=[0.01, 0.02])
    with trainsmith.watch(population, every=1) as w:
        population.fit(torch.randn(64, 30), torch.arange(64) % 4, steps=3, batch_size=32)
    assert set(w.findings) == {0, 1}
    shown = w._repr_html_()
    for found in w.findings.values():
        for f, words in summed(found):
            assert f"step {f.step}: {words}".replace(" ", "") in "".join(str(w.table()).split()).replace("│", "")
            assert html.unescape(shown).count(words) >= 1
    assert shown.count("<tr") == 1 + sum(len(summed(found)) for found in w.findings.values())


def test_a_finding_is_told_with_the_value_of_the_step_that_it_names():
    """It is told at its second step in a row; the step that it names is the first, and so are value and words."""
    log = Log()
    first = finding("dead units", "2", "share", 0.6, 0.5, "60 % are dead.")
    second = finding("dead units", "2", "share", 0.9, 0.5, "90 % are dead.")
    assert log.tell(5, [first], closely=False) == ()
    (told,) = log.tell(6, [second], closely=False)
    assert (told.step, told.value, told.words) == (5, 0.6, "60 % are dead.")
    assert log.tell(7, [second], closely=False) == (), "it was told before"
    assert log.findings == (told,)
