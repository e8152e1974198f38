"""inspect from Python: what it takes, and how what it found is looked at."""

import dataclasses
import html
import json
import math
import re
from html.parser import HTMLParser

import pytest
import torch
from torch import nn

import trainsmith
from inspection.make_network import draws
from trainsmith.report.inspection_table import effect_words, remedy_cells

NONE = "no difference worth having"


def sick():
    torch.manual_seed(0)
    network = nn.Sequential(*[m for _ in range(4) for m in (nn.Linear(10, 10), nn.Tanh())], nn.Linear(10, 3))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
    return network


def examples():
    x = draws(100, 10)
    return x, x[:, :3].argmax(1)


@pytest.fixture(scope="module")
def inspection():
    found = trainsmith.inspect(sick(), examples())
    found.remedies(seeds=2, steps=10, batch_size=20)
    return found


def test_the_table_shows_findings_and_remedies(inspection):
    text = str(inspection.table())
    text += inspection.remedies(seeds=2, steps=10, batch_size=20)._repr_html_()
    for word in ("signal vanishes", "Schoenholz", "Remedies: 10 steps of adam", "initialization he", "as it is"):
        assert word in text, word


def test_frames_for_pandas(inspection):
    layers = inspection.frame()
    assert list(layers.name) == [str(i) for i in range(9)]
    assert layers["std"].iloc[0] == pytest.approx(inspection.layers[0].std)
    findings = inspection.findings_frame()
    assert set(findings.short) == {f.short for f in inspection.findings}
    tried = inspection.remedies(seeds=2, steps=10, batch_size=20).frame()
    assert tried.name.iloc[0] == "as it is"
    assert {"loss", "low", "high", "verdict"} <= set(tried.columns)
    healthy = trainsmith.inspect(nn.Sequential(nn.Linear(10, 3)), examples())
    assert len(healthy.findings_frame()) == 0
    assert healthy.remedies().frame().empty
    assert "No remedy" in str(healthy.remedies())


def test_json_holds_the_remedies(inspection):
    whole = json.loads(json.dumps(inspection.to_dict(), allow_nan=False))
    assert whole["remedies"]["remedies"][0]["verdict"] in ("better", "worse", "cannot tell", NONE)
    assert whole["findings"][0]["remedies"]


class Evil(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("<script>alert(1)</script>$x_{", nn.Linear(10, 3))

    def forward(self, x):
        return next(self.children())(x * 1000)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href") and not v.startswith("#")]


def test_the_page_opens_offline_and_escapes_what_the_user_named(inspection, tmp_path):
    network = trainsmith.inspect(Evil(), examples())
    text = network.report(tmp_path / "new" / "page.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    for page in (text, inspection.html()):
        tags = Tags()
        tags.feed(page)
        assert not tags.links
        assert "script" not in tags.seen
        assert "svg" in tags.seen
    assert "initialization he" in inspection.html()
    assert "unscaled inputs" in text


def test_several_inputs_named_arguments_and_structured_outputs():
    @dataclasses.dataclass
    class Output:
        hidden: torch.Tensor
        logits: torch.Tensor

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.last = nn.Linear(10, 6), nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, first, second=None):
            hidden = torch.tanh(self.a(first) + self.b(second))
            return Output(hidden, self.last(hidden))

    torch.manual_seed(0)
    network, (x, y), other = Two(), examples(), draws(100, 4, seed=3)
    expected = float(nn.functional.cross_entropy(network(x, other).logits, y).detach())
    for inputs in ((x, other), {"first": x, "second": other}):
        found = trainsmith.inspect(network, (inputs, y))
        assert found.measured.loss == pytest.approx(expected)
        assert [m.name for m in found.layers] == ["a", "b", "tanh", "last"]
        assert found.findings == ()


def test_a_network_that_makes_its_own_loss_of_named_arguments():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(10, 3)

        def forward(self, x, labels):
            logits = self.fc(x)
            return type("Output", (), {"logits": logits, "loss": 7 * nn.functional.cross_entropy(logits, labels)})()

    torch.manual_seed(0)
    network, (x, y) = Own(), examples()
    expected = 7 * float(nn.functional.cross_entropy(network.fc(x), y).detach())
    assert trainsmith.inspect(network, {"x": x, "labels": y}).measured.loss == pytest.approx(expected)


def test_the_best_remedy_and_its_effect_stand_in_a_sentence(inspection):
    treatment = inspection.remedies(seeds=2, steps=10, batch_size=20).treatment
    numbers = {"spread_before": 0.0003, "spread": 0.82, "loss": 0.41, "loss_low": 0.36, "loss_high": 0.47}
    sure = {"low": -0.5, "high": -0.1, "diverged": 0, "name": "initialization=he", "layer": "5"}
    best = dataclasses.replace(treatment.remedies[0], **numbers, **sure)
    own = dataclasses.replace(treatment.as_it_is, loss=2.3)
    told = effect_words(dataclasses.replace(treatment, as_it_is=own, remedies=(best,), steps=100, seeds=8))
    assert told == (
        "What helps: initialization he: spread at layer 5 from 3.0e-04 to 0.82; loss after 100 steps from 2.3 to 0.41, "
        "8 seeds, [0.36, 0.47]."
    )
    lost = dataclasses.replace(own, loss=math.inf, diverged=8)
    saves = dataclasses.replace(best, difference=math.nan, low=-math.inf, high=math.inf, saved=8)
    told = effect_words(dataclasses.replace(treatment, as_it_is=lost, remedies=(saves,), steps=100, seeds=8))
    assert told.endswith(
        "loss after 100 steps 0.41, where it does not stay finite with 8 of 8 seeds as it is, [0.36, 0.47]."
    )
    assert remedy_cells(saves)[3] == "saves 8 seeds"
    worse = dataclasses.replace(best, low=-0.5, high=0.1)
    assert effect_words(dataclasses.replace(treatment, remedies=(worse,))) == ""


def test_the_page_of_a_hundred_layers_folds_its_table():
    torch.manual_seed(0)
    deep = nn.Sequential(*[m for _ in range(50) for m in (nn.Linear(10, 10), nn.ReLU())], nn.Linear(10, 3))
    page = trainsmith.inspect(deep, examples()).html()
    assert "<details><summary>all 101 layers" in page
    assert " more" in page.split("</section>")[0]
    assert "<details open><summary>all 9 layers" in trainsmith.inspect(sick(), examples()).html()


def test_in_a_notebook_the_page_keeps_its_styles_to_itself(inspection):
    tags = Tags()
    shown = inspection._repr_html_()
    tags.feed(shown)
    assert tags.seen == ["iframe"]
    assert html.unescape(re.search('srcdoc="([^"]*)"', shown)[1]) == inspection.html()


def test_an_inspection_says_what_it_is(inspection):
    healthy = trainsmith.inspect(nn.Sequential(nn.Linear(10, 3)), examples())
    assert repr(healthy) == "<Inspection of Sequential on 100 examples: no finding>"
    assert repr(inspection).startswith("<Inspection of Sequential on 100 examples: signal vanishes, gradient")


def test_remedies_have_the_batches_of_the_training():
    found = trainsmith.inspect(sick(), examples(), batch_size=16)
    assert found.remedies(seeds=2, steps=2).treatment.batch_size == 16
    assert found.remedies(seeds=2, steps=2, batch_size=8).treatment.batch_size == 8
    assert trainsmith.inspect(sick(), examples()).remedies(seeds=2, steps=2).treatment.batch_size == 64
    assert trainsmith.inspect(sick(), examples(), batch_size=1).remedies(seeds=2, steps=2).treatment.batch_size == 2


def test_a_learning_rate_that_cannot_be_judged_is_told():
    torch.manual_seed(0)
    network, x = nn.Sequential(nn.Linear(10, 3)), draws(600, 10)
    with torch.no_grad():  # it answers best what can be said: labels are drawn by lot
        network[0].weight.zero_()
        network[0].bias.zero_()
    y = torch.randint(0, 3, (600,), generator=torch.Generator().manual_seed(1))
    found = trainsmith.inspect(network, (x, y), optimizer=torch.optim.SGD(network.parameters(), 1e-6), batch_size=64)
    (told,) = found.measured.unjudged
    assert told.startswith("The learning rate 1e-06 is not judged: in 50 steps none from 1e-11 to ")
    assert " ".join(told.split()) in " ".join(str(found.table()).split())
    assert html.escape(told) in found.html()
    assert found.to_dict()["unjudged"] == [told]
    assert trainsmith.inspect(sick(), examples()).measured.unjudged == ()


def test_a_spread_that_stays_is_no_effect_to_tell(inspection):
    treatment = inspection.remedies(seeds=2, steps=10, batch_size=20).treatment
    sure = {"low": -0.5, "high": -0.1, "diverged": 0, "layer": "5", "spread_before": 1.0, "spread": 1.0001}
    best = dataclasses.replace(treatment.remedies[0], **sure)
    assert "spread" not in effect_words(dataclasses.replace(treatment, remedies=(best,)))
