"""The command as a person uses it: what they type, what they see, and what a mistake says."""

import html
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from markupsafe import escape

from trainsmith import api, examine
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.cli import main
from trainsmith.data import load
from trainsmith.errors import InvalidInput
from trainsmith.inspection.passes import costs
from trainsmith.population import make_member
from trainsmith.question import Question
from trainsmith.rows import Rows
from trainsmith.store import Store


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAINSMITH_DATA", raising=False)

    def call(*arguments):
        return CliRunner().invoke(main, list(arguments))

    return call


SMALL = ("--trials", "2", "--seeds", "3", "--steps", "20", "--processes", "1")


def test_compare_prints_tables_and_writes_a_study_that_can_be_reported_and_exported(run, tmp_path):
    done = run("compare", "wine", "--techniques", "sgd,batch", *SMALL)
    assert done.exit_code == 0, done.output
    for word in ("sgd", "batch", "baseline", "receipt", "accuracy"):
        assert word in done.output.lower()
    folder = tmp_path / "trainsmith-studies" / "wine-1"
    assert (folder / "report.html").read_text().startswith("<!")
    assert json.loads((folder / "study.json").read_text())["data"] == "wine"
    again = run("report", str(folder))
    assert again.exit_code == 0, again.output
    exported = run("export", str(folder), "--to", "won")
    assert exported.exit_code == 0, exported.output
    assert {"model.py", "weights.safetensors", "evaluate.py"} <= {p.name for p in (tmp_path / "won").iterdir()}


def test_a_design_prints_what_each_technique_adds_and_which_belong_together(run):
    done = run("compare", "wine", "--techniques", "tanh,sgd", "--design", "grid", *SMALL)
    assert done.exit_code == 0, done.output
    for said in ("tanh + sgd", "main effects", "interactions"):
        assert said in done.output
    refused = run("compare", "wine", "--techniques", "tanh,elu", "--design", "pairs", *SMALL)
    assert refused.exit_code == 2
    assert "all of these are of one" in refused.output
    assert run("compare", "wine", "--design", "latin-square").exit_code == 2


def test_compare_prints_json_for_machines(run):
    done = run("compare", "diabetes", "--techniques", "momentum", "--json", *SMALL)
    assert done.exit_code == 0, done.output
    study = json.loads(done.stdout)
    assert study["metric"] == "R²"
    assert {row["technique"] for row in study["rows"]} == {"adam", "momentum"}
    tried = 2 + study["plan"]["extension"]
    assert study["plan"]["runs"] == 2 * (tried + 2 * 2 + 3), (
        "two trials or more, the best two tried again with two seeds, three fresh seeds"
    )


def test_a_factory_in_the_folder_one_stands_in_is_found_also_by_the_workers(run, tmp_path):
    (tmp_path / "my_own_net.py").write_text(
        "from torch import nn\n\n\ndef build(shape, outputs):\n"
        "    return nn.Sequential(nn.Linear(shape[0], 9), nn.ReLU(), nn.Linear(9, outputs))\n"
    )
    small = (*SMALL[:-1], "2")
    done = run("compare", "wine", "--network", "my_own_net:build", "--techniques", "sgd,tanh", *small)
    assert done.exit_code == 0, done.output
    assert "my_own_net:build" in (tmp_path / "trainsmith-studies" / "wine-1" / "report.html").read_text()


def test_inspect_prints_layers_and_draws_them(run, tmp_path):
    done = run("inspect", "digits")
    assert done.exit_code == 0, done.output
    assert "healthy" in done.output
    assert (tmp_path / "inspect-digits.png").stat().st_size > 10_000
    numbers = json.loads(run("inspect", "digits", "--json").stdout)
    assert len(numbers["layers"]) >= 11


NET = """from torch import nn


def build(shape, outputs):
    layers = [m for _ in range(6) for m in (nn.LazyLinear(12), nn.Sigmoid())]
    return nn.Sequential(nn.Flatten(), *layers, nn.LazyLinear(outputs))
"""


def test_a_network_of_ones_own_is_inspected_as_it_is_and_the_page_is_written(run, tmp_path):
    net = NET.replace("nn.LazyLinear(12)", "nn.Linear(13 if _ == 0 else 12, 12)").replace("LazyLinear(", "Linear(12, ")
    (tmp_path / "my_sigmoids.py").write_text(net)
    done = run("inspect", "my_sigmoids.py:build", "--data", "wine", "--out", "why.html")
    assert done.exit_code == 0, done.output
    for word in ("unscaled inputs", "gradient vanishes", "Remedies: 100 steps", "page: why.html"):
        assert word in " ".join(done.output.split()), word
    assert "<svg" in (tmp_path / "why.html").read_text()
    again = run("inspect", "my_sigmoids:build", "--data", "wine", "--no-remedies", "--json")
    numbers = json.loads(again.stdout)
    assert "remedies" not in numbers
    assert {f["short"] for f in numbers["findings"]} >= {"unscaled inputs", "gradient vanishes"}


def test_a_network_that_a_file_holds_is_inspected_with_the_weights_that_it_has(run, tmp_path):
    trained = "from torch import nn\nnetwork = nn.Linear(13, 3)\nnn.init.constant_(network.weight, 0.25)\n"
    (tmp_path / "trained.py").write_text(trained)
    done = run("inspect", "trained.py:network", "--data", "wine", "--no-remedies", "--json")
    assert done.exit_code == 0, done.output
    assert {f["short"] for f in json.loads(done.stdout)["findings"]} >= {"unscaled inputs"}
    assert json.loads(done.stdout)["layers"][0]["similarity"] == pytest.approx(1)


def test_lazy_layers_are_made_by_the_first_example(run, tmp_path):
    (tmp_path / "lazy.py").write_text(NET)
    done = run("inspect", "lazy.py:build", "--data", "wine", "--no-remedies", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["layers"][1]["shape"] == [12]


def test_large_networks_are_inspected_on_fewer_examples(run, monkeypatch):
    monkeypatch.setattr(costs, "MOST_NUMBERS", 40 * 64)
    done = run("inspect", "digits", "--no-remedies", "--json")
    assert json.loads(done.stdout)["examples"] == 32


def test_who_waits_long_is_told_what_is_done(run, monkeypatch):
    module = sys.modules["trainsmith.cli.inspect"]
    monkeypatch.setattr(module, "EVERY", 1e9)
    assert run("inspect", "wine", "--no-remedies", "--json").stderr == ""
    monkeypatch.setattr(module, "EVERY", 0.0)
    said = run("inspect", "wine", "--recipe", "initialization=normal", "--steps", "4", "--json")
    lines = [line.partition(" s: ")[2] for line in said.stderr.splitlines()]
    assert lines[0].startswith("a pass of ")
    for expected in ("learning rate times 0.001, step 1 of 50", "learning rate times 1, step 50 of 50",
                     "the training, step 4 of 4"):  # fmt: skip
        assert expected in lines
    assert any(re.fullmatch(r"remedies: \d and the network as it is, 8 seeds, 100 steps each", s) for s in lines)
    json.loads(said.stdout)


def test_a_followed_training_reads_each_batch_when_it_comes(monkeypatch):
    given = []
    quick = SimpleNamespace(train=lambda *a: given.extend(a), findings=(), to_dict=dict, table=str)
    monkeypatch.setattr(examine, "inspect", lambda *a, **more: quick)
    examine.network("wine", None, None, 0, steps=7, every=2)
    steps, every, (x, y) = given
    data = load("wine")
    assert (steps, every) == (7, 2)
    assert isinstance(x, Rows)
    assert torch.equal(x.x, data.x)
    train = make_member(Run(Trial(Recipe()), 0), "mlp", data).train
    assert list(x.chosen) == list(train)
    assert torch.equal(y, data.y[train])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("inspect", "digits", "--data", "wine"), "the first argument is a network"),
        (("inspect", "nowhere.py:build", "--data", "wine"), "there is no file"),
        (("inspect", "broken.py:build", "--data", "wine"), "ZeroDivisionError"),
        (("inspect", "empty.py:build", "--data", "wine"), "has no 'build'"),
        (("inspect", "wine", "--lr", "-1"), "learning rate must be above 0"),
        (
            ("inspect", "--example", "depth", "--out", "x.html"),
            "drawn as a picture: give a name that ends in .png; got",
        ),
        (("inspect", "wine", "--out", "empty.py/x.png"), "error: File exists: empty.py"),
        (("inspect", "wine", "--out", "x.pdf"), "name that ends in .png, .html or .htm; got 'x.pdf'"),
        (
            ("report", "study", "--out", "x.pdf"),
            "a report is a page: give a name that ends in .html or .htm; got 'x.pdf'",
        ),
    ],
)
def test_mistakes_about_networks_are_one_sentence(run, tmp_path, arguments, words):
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "empty.py").write_text("")
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_depth_example_shows_the_collapse(run, tmp_path):
    done = run("inspect", "--example", "depth", "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["cells"]) == 9
    assert (tmp_path / "inspect-depth.png").stat().st_size > 10_000


def test_techniques_lists_and_shows(run):
    listing = run("techniques")
    assert listing.exit_code == 0
    for name in ("orthogonal", "batch", "leaky-relu", "nesterov", "label-smoothing"):
        assert name in listing.output
    of_family = run("techniques", "Optimizer")
    assert "one-cycle" in of_family.stdout
    assert "dropout" not in of_family.stdout
    assert {t["family"] for t in json.loads(run("techniques", "optimizer", "--json").stdout)} == {"optimizer"}
    page = run("techniques", "adam")
    for part in ("Kingma", "sqrt(v / (1 - b2^t))", "1e-05 to 0.01", "beta1"):
        assert part in page.output
    entry = json.loads(run("techniques", "adam", "--json").stdout)
    assert entry["family"] == "optimizer"
    assert {h["name"] for h in entry["hyperparameters"]} == {"lr", "beta1", "beta2", "eps"}
    assert len(json.loads(run("techniques", "--json").stdout)) >= 26


MISTAKES = [
    (("techniques", "adm"), "unknown technique 'adm': did you mean adam"),
    (("techniques", "none"), "in several families"),
    (("techniques", "optimizr"), "unknown technique 'optimizr': did you mean optimizer?"),
    (("techniques", "regularisation"), "did you mean regularization"),
    (("techniques", "qqqq"), "unknown technique 'qqqq': `trainsmith techniques` lists all."),
    (("compare", "digits", "--techniques", "none,adam"), "say normalization/none or regularization/none"),
    (("compare", "digitz"), "did you mean digits"),
    (("compare", "no/such.csv"), "no/such.csv"),
    (("compare", "digits", "--trials", "-3"), "trials must be a whole number of at least 1; got -3"),
    (("compare", "digits", "--seeds", "1"), "fresh seeds must be a whole number of at least 2; got 1"),
    (("compare", "digits", "--steps", "0"), "steps must be a whole number of at least 1; got 0"),
    (("compare", "digits", "--processes", "0"), "processes must be a whole number of at least 1; got 0"),
    (("compare", "digits", "--batch-size", "100000"), "larger than the"),
    (("compare", "digits", "--vary", "optimiser"), "did you mean optimizer"),
    (("compare", "digits", "--labels", "3"), "labels must be a whole number from 10, one a class, to the 1149"),
    (("compare", "digits", "--class-weights", "7=-1"), "the weight of class '7' must be a number above 0; got -1"),
    (("compare", "diabetes", "--class-weights", "balanced"), "the task of diabetes is regression"),
    (("compare", "digits", "--metric", "balanced-acuracy"), "did you mean balanced-accuracy"),
    (("compare", "digits", "--labels", "9999"), "got 9999"),
    (("compare", "digits", "--schedule", "cosinus"), "did you mean cosine"),
    (("compare", "digits", "--techniques", "adm"), "did you mean adam"),
    (("compare", "digits", "--techniques", "optimizr"), "unknown technique 'optimizr': `trainsmith techniques` lists"),
    (
        ("compare", "diabetes", "--techniques", "label-smoothing"),
        "nothing to compare: label-smoothing was left out: it is defined for classification only.",
    ),
    (("compare", "digits", "--baseline", "optimizer"), "expected family=technique"),
    (("compare", "digits", "--baseline", "optimizer=adm"), "did you mean adam"),
    (("compare", "digits", "--baseline", "optimizer=sgd,optimizer=adam"), "optimizer is said twice in 'optimizer=sgd,"),
    (
        ("compare", "digits", "--baseline", "optimizer=sgd+adam"),
        "a recipe has one optimizer; the baseline names sgd and",
    ),
    (("compare", "digits", "--network", "mpl"), "did you mean mlp"),
    (("compare", "mnist", "--data-dir", "nowhere"), "nowhere"),
    (("inspect", "digits", "--recipe", "activation=relo"), "did you mean relu"),
    (("report", "nowhere"), "not a study's folder"),
    (("export", "nowhere", "--to", "x"), "not a study's folder: it does not exist. `trainsmith studies` lists"),
    (("show", "."), "'.' is not a study's folder: it has no study.sqlite"),
    (("show", ".", "3", "--to", "x.csv"), "--to writes all runs of a study to a file; leave out 3, or --to to see"),
    (("inspect", "no.py:build"), "'no.py:build' names a network (and there is no file 'no.py'), and the data must be"),
    (
        ("compare", "mypkg.net:build"),
        "give both: trainsmith inspect mypkg.net:build --data DATA, or ",
    ),
    (("compare", "digits", "--network", "net.py"), "name a function or class in 'net.py', such as net.py:build"),
    (("compare", "digits", "--techniques", ","), "expected names separated by commas, such as adam,lion; got ','"),
    (("compare", "digits", "--baseline", "optimizer=l2"), "'l2' is no technique of the family optimizer, but of regul"),
    (("compare", "no.toml"), "there is no file 'no.toml' to read the study's question from"),
    (("compare", "https://x.org/y.csv"), "data are read from files on this machine; download 'https://x.org/y.csv'"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_a_mistake_is_one_sentence_and_exit_code_2(run, arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert done.stderr.startswith("trainsmith: error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert isinstance(done.exception, SystemExit)


def test_an_error_without_a_file_ends_like_a_sentence(run, monkeypatch):
    def fail(*given):
        raise OSError("no room here")

    monkeypatch.setattr("trainsmith.studies.all_in", fail)
    done = run("studies")
    assert (done.exit_code, done.stderr) == (2, "trainsmith: error: no room here\n")


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_trained(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("compare", "wine", "--out", "file/study")
    assert done.exit_code == 2
    assert "the folder 'file/study' cannot be written: Not a directory" in done.stderr
    refused = run("compare", "wine", "--out", "study", "--trials", "0")
    assert refused.exit_code == 2
    assert not (tmp_path / "study").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    assert "exists already" in run("compare", "wine", "--out", "full").stderr


@pytest.mark.parametrize(
    "arguments",
    [("inspect",), ("inspect", "digits", "--example", "depth"), ("compare",), ("inspect", "--data", "wine"),
     ("inspect", "net:build", "--data", "wine", "--recipe", "optimizer=sgd")],
)  # fmt: skip
def test_a_malformed_command_explains_its_usage(run, arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Usage" in done.stderr


def test_bad_data_files_are_refused_clearly(run, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    for name, changed, y, message in (
        ("nan", np.where(x == x[5, 1], np.nan, x), np.arange(60) % 2, "NaN"),
        ("single", x, np.zeros(60, int), "single class"),
    ):
        np.savez(tmp_path / f"{name}.npz", x=changed, y=y)
        done = run("compare", f"{name}.npz")
        assert done.exit_code == 2
        assert message.lower() in done.stderr.lower()
        assert "Traceback" not in done.output


def test_a_dry_run_says_what_would_be_trained_and_trains_nothing(run, tmp_path):
    done = run("compare", "wine", "--techniques", "sgd,batch", "--dry-run", *SMALL)
    assert done.exit_code == 0, done.output
    for word in (
        "wine: 178 rows",
        "sgd",
        "batch",
        "27 runs: 3 recipes x (6 to tune + 3 fresh seeds)",
        "Nothing was trained",
    ):
        assert word in " ".join(done.output.split())
    assert not (tmp_path / "trainsmith-studies").exists()
    machine = run("compare", "wine", "--techniques", "sgd", "--dry-run", "--json", *SMALL)
    assert json.loads(machine.stdout)["runs"] == 18


def test_a_study_in_a_file_is_compared_and_what_it_came_to_asks_the_same(run, tmp_path):
    question = 'data = "wine"\ntechniques = ["sgd"]\ntrials = 2\nseeds = 3\nsteps = 20\nmetric = "log-loss"\n'
    (tmp_path / "mine.toml").write_text(question)
    done = run("compare", "mine.toml", "--processes", "1", "--json")
    assert done.exit_code == 0, done.output
    study = json.loads(done.stdout)
    assert study["metric"] == "log loss"
    assert all(row["score"]["mean"] < 0 for row in study["rows"]), "of a cost the score is the negative"
    again = run("compare", str(tmp_path / "trainsmith-studies" / "wine-1" / "study.toml"), "--json")
    assert json.loads(again.stdout)["rows"] == study["rows"]
    mixed = run("compare", "mine.toml", "--trials", "3")
    assert mixed.exit_code == 2
    assert "write trials into 'mine.toml'" in mixed.stderr


def test_the_page_names_own_files_as_they_were_typed(run, tmp_path):
    """Who is sent the page need not learn where they lie; the study.toml beside it has their whole paths."""
    x = np.random.default_rng(0).normal(size=(60, 3))
    (tmp_path / "mine").mkdir()
    np.savez(tmp_path / "mine" / 'a "b".npz', x=x, y=np.arange(60) % 2)
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef build(shape, n):\n    return nn.Sequential(nn.Linear(*shape, 4), nn.ReLU(), "
        "nn.Linear(4, n))\n"
    )
    asked = ('mine/a "b".npz', "--network", "net.py:build", "--techniques", "sgd", *SMALL)
    done = run("compare", *asked, "--out", "one")
    assert done.exit_code == 0, done.output
    typed = (r'data = "mine/a \"b\".npz"', 'network = "net.py:build"')
    whole = (tmp_path / "one" / "study.toml").read_text()
    assert all(line.replace('"', f'"{tmp_path}/', 1) in whole for line in typed)
    for page in (tmp_path / "one" / "report.html", tmp_path / "again.html"):
        text = html.unescape(page.read_text())
        assert all(line in text for line in typed)
        assert str(tmp_path) not in text
        assert run("report", "one", "--out", "again.html").exit_code == 0


def test_a_reader_that_has_seen_enough_is_no_error():
    """As in trainsmith techniques --json | head -1."""
    command = [sys.executable, "-m", "trainsmith", "techniques", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert said == ""


@pytest.mark.parametrize(
    ("arguments", "ignored"),
    [
        (("compare", "--resume", "somewhere", "--seeds", "8", "--out", "x"), "leave out --seeds, --out"),
        (("inspect", "--example", "depth", "--network", "mlp", "--lr", "0.1"), "leave out --network, --lr"),
    ],
)
def test_options_that_would_be_ignored_are_refused(run, arguments, ignored):
    done = run(*arguments)
    assert done.exit_code == 2
    assert ignored in done.output


def test_a_study_begun_beside_one_that_other_versions_began_says_so(run, tmp_path, monkeypatch):
    def answer(network, data, question, processes, announce, folder, file):
        raise InvalidInput(f"begins {folder}.")

    wine = load("wine")
    asks = Question(techniques=["sgd"]).record("mlp", wine)
    Store.create(
        tmp_path / "trainsmith-studies" / "wine-1", {**asks, "versions": {**asks["versions"], "torch": "1.0"}}, wine
    )
    monkeypatch.setattr(api, "answer", answer)
    done = run("compare", "wine", "--techniques", "sgd")
    assert "begins trainsmith-studies/wine-2." in done.output
    said = " ".join(done.output.split())
    assert (
        "the unfinished study in trainsmith-studies/wine-1 asks the same, but was begun with torch 1.0; this is torch "
        in said
    )
    assert "a new one is begun in trainsmith-studies/wine-2. To go on with the other instead" in said
    assert "trainsmith compare --resume trainsmith-studies/wine-1;" in said
    assert "versions" not in run("compare", "wine", "--techniques", "adam,sgd,tanh").output


def test_what_a_table_is_read_as_is_said_before_it_is_inspected(run, tmp_path):
    (tmp_path / "t.csv").write_text("\n".join(["rate,a,y", *(f"{i % 7}%,{i * 37 % 11}.5,{i % 2}" for i in range(60))]))
    said = "the column 'rate' holds percentages, which are read as numbers: 0% as 0."
    done = run("inspect", "t.csv", "--no-remedies")
    assert f"12 locked for the test note: {said}" in " ".join(done.output.split()), done.output
    assert json.loads(run("inspect", "t.csv", "--no-remedies", "--json").stdout)["notes"] == [said]


def test_what_an_inspection_read_and_left_out_is_said_in_the_terminal_for_machines_and_on_the_page(run, tmp_path):
    (tmp_path / "t.csv").write_text(
        "\n".join(["id,rate,a,y", *(f"{i},{i % 7}%,{i * 37 % 11}.5,{i % 2}" for i in range(60))])
    )
    said = "t: 60 rows of 2 columns (left out: id), 2 classes in column 'y'; 12 locked for the test"
    asked = ("inspect", "t.csv", "--no-remedies", "--leave-out", "id")
    assert " ".join(run(*asked, "--out", "p.html").output.split()).startswith(said)
    page = (tmp_path / "p.html").read_text()
    assert f'<p class="about">{escape(said)}</p>' in page
    assert '<p class="about">note: the column &#39;rate&#39; holds percentages' in page
    assert json.loads(run(*asked, "--json").stdout)["data"] == said
