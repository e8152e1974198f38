"""Look-up by name, hyper-parameters, recipes, trials and runs."""

import ast
import importlib
import math
import subprocess
import sys

import pytest
import torch

from trainsmith.catalogue import (
    FAMILIES,
    Hyperparameter,
    Interval,
    Page,
    Recipe,
    Run,
    Trial,
    find,
    find_all,
    number_in,
    registry,
    technique,
    techniques,
)
from trainsmith.errors import InvalidInput


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("he", "initialization/he"),
        ("Kaiming", "initialization/he"),
        ("GLOROT", "initialization/glorot-uniform"),
        ("glorot_normal", "initialization/glorot-normal"),
        (" Leaky ReLU ", "activation/leaky-relu"),
        ("LeakyReLU", "activation/leaky-relu"),
        ("label smoothing", "regularization/label-smoothing"),
        ("normalization/none", "normalization/none"),
        ("regularization/none", "regularization/none"),
        ("optimizer/Adam", "optimizer/adam"),
    ],
)
def test_a_technique_is_found_however_it_is_written(name, found):
    entry = find(name)
    assert f"{entry.family}/{entry.name}" == found


def test_a_name_of_two_families_has_to_be_said_in_full():
    with pytest.raises(
        InvalidInput, match="'none' is in several families: say normalization/none or regularization/none"
    ):
        find("none")
    assert find("none", "normalization").family == "normalization"


@pytest.mark.parametrize(
    ("names", "families", "family"),
    [
        (["batch", "layer", "none"], (), "normalization"),
        (["none", "dropout"], (), "regularization"),
        (["regularization/dropout", "NONE"], (), "regularization"),
        (["none", "adam"], ("optimizer", "normalization"), "normalization"),
        (["none", "batch", "dropout"], ("regularization",), "regularization"),
        (["none", "batch"], ("regularization",), "regularization"),
        (["none", "ema", "adam", "batch"], ("normalization", "regularization", "optimizer"), "normalization"),
    ],
)
def test_a_name_of_two_families_is_of_the_one_that_varies_or_that_the_other_names_are_of(names, families, family):
    assert [t.family for t in find_all(names, families) if t.name == "none"] == [family]


def test_where_nothing_settles_the_family_the_error_says_what_to_type():
    for names, families in ((["none", "batch", "dropout"], ()), (["none", "adam"], ()), (["none"], ("optimizer",))):
        with pytest.raises(InvalidInput, match="say normalization/none or regularization/none"):
            find_all(names, families)
    with pytest.raises(
        InvalidInput, match=r"'ema' is in several families: say optimizer/.* or regularization/weight-ema"
    ):
        find_all(["ema"])


@pytest.mark.parametrize(
    ("name", "family", "message"),
    [
        ("adm", None, "unknown technique 'adm': did you mean adam or "),
        ("drop-out", "regularization", "unknown regularization 'drop-out': did you mean dropout or "),
        ("adam", "activation", "'adam' is no technique of the family activation, but of optimizer."),
        ("activations/relu", None, "unknown family 'activations': did you mean activation?"),
    ],
)
def test_a_misspelling_gives_the_nearest_names(name, family, message):
    with pytest.raises(InvalidInput) as error:
        find(name, family)
    assert str(error.value).startswith(message)


def test_techniques_come_by_family_in_the_order_of_the_families():
    assert [t.family for t in techniques("optimizer")] == ["optimizer"] * len(techniques("optimizer"))
    assert len(techniques("optimizer")) >= 5
    order = [t.family for t in techniques()]
    assert order == sorted(order, key=list(dict.fromkeys(order)).index)
    assert list(dict.fromkeys(order)) == [
        "initialization",
        "normalization",
        "activation",
        "optimizer",
        "regularization",
    ]


def test_the_catalogue_fills_itself_without_any_import_of_a_room():
    code = "from trainsmith.catalogue import techniques; print(len(techniques()))"
    seen = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert int(seen) == len(techniques())


@pytest.fixture
def empty_catalogue(monkeypatch):
    monkeypatch.setattr(registry, "_techniques", {})
    return registry._techniques


def test_a_new_technique_is_entered_by_its_own_name_and_signature(empty_catalogue):
    @technique("activation", "activation", aliases=("cut",), top=Hyperparameter("limit", (1.0, 8.0), "log", tuned=True))
    def clipped_line(x, top: float = 6):
        """Clipped line: a line with a limit.

            f(x) = min(x, top)

        Paper: none.
        """
        return x.clamp(max=top)

    entry = empty_catalogue["activation", "clipped-line"]
    assert (entry.name, entry.role, entry.aliases) == ("clipped-line", "activation", ("cut",))
    assert entry.defaults == {"top": 6.0}
    assert (entry.page.title, entry.page.summary) == ("Clipped line", "a line with a limit.")
    assert entry.page.formula == "f(x) = min(x, top)"
    assert clipped_line(torch.tensor(9.0), top=torch.tensor(7.0)) == 7, "tensors pass, one value a member"
    with pytest.raises(InvalidInput, match="clipped-line: top must be a number"):
        clipped_line(torch.tensor(9.0), math.inf)


def test_a_page_has_its_parts():
    page = Page.of(find("momentum").make)
    assert page.title == "Momentum"
    assert page.formula.splitlines() == ["v     = momentum * v + g", "theta = theta - lr * v"]
    assert page.paper.startswith("Polyak 1964")
    assert page.pitfall == "at momentum 0.9 a step is up to ten times as long as SGD's at the same lr."
    assert page.example.startswith(">>> import torch")


@pytest.mark.parametrize(
    ("scale", "search", "low", "middle", "high"),
    [
        ("linear", (-1.0, 3.0), -1, 1, 3),
        ("log", (1e-4, 1e-2), 1e-4, 1e-3, 1e-2),
        ("logit", (0.1, 0.9), 0.1, 0.5, 0.9),
        ("logit", (0.9, 0.999), 0.9, math.sqrt(9 * 999) / (1 + math.sqrt(9 * 999)), 0.999),
    ],
)
def test_quantiles_of_a_search_range(scale, search, low, middle, high):
    number = Hyperparameter("of a test", search, scale)
    assert [number.at(q) for q in (0.0, 0.5, 1.0)] == pytest.approx([low, middle, high], rel=1e-12)
    assert all(search[0] <= number.at(q) <= search[1] for q in (0.0, 1.0))


@pytest.mark.parametrize(
    ("interval", "inside", "outside", "text"),
    [
        (Interval(0, 1), (0, 0.5, 1), (-1e-9, 1 + 1e-9, math.nan), "[0, 1]"),
        (Interval(0, 1, True, True), (1e-9, 0.5), (0, 1, math.inf), "(0, 1)"),
        (Interval(-math.inf, 2, True), (-1e300, 2), (-math.inf, 2.5), "(-inf, 2]"),
    ],
)
def test_an_interval_knows_its_ends(interval, inside, outside, text):
    assert all(v in interval for v in inside)
    assert not any(v in interval for v in outside)
    assert str(interval) == text


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.1, 1e-5, 0.9999, 3.0, 1e-42])
def test_the_number_in_a_buffer_is_the_one_that_was_given(value, dtype):
    assert number_in(torch.tensor(value, dtype=dtype)) == pytest.approx(value, rel=1e-15 if value > 1e-38 else 0.01)


def test_a_recipe_has_the_catalogues_names_whatever_was_written():
    recipe = Recipe("Kaiming", "BatchNorm", "Leaky ReLU", "ADAM", ("none", "Drop-Out".replace("-", ""), "ridge"))
    assert recipe == Recipe("he", "batch", "leaky-relu", "adam", ("dropout", "l2"))
    assert str(recipe) == "he + batch + leaky-relu + adam + dropout + l2"
    assert hash(recipe) == hash(Recipe("he", "batch", "leaky-relu", "adam", ("dropout", "l2")))


def test_a_recipe_with_another_technique():
    recipe = Recipe(regularization=("dropout",))
    assert recipe.having(find("elu")).activation == "elu"
    assert recipe.having(find("l2")).regularization == ("l2",)
    assert recipe.having(find("none", "regularization")).regularization == ()
    assert recipe.one("optimizer") is find("adam")


def test_a_recipe_with_an_unknown_technique_is_refused():
    with pytest.raises(InvalidInput, match="unknown optimizer 'sdg': did you mean wsd or sgd"):
        Recipe(optimizer="sdg")
    with pytest.raises(InvalidInput, match="'adam' is no technique of the family regularization, but of optimizer"):
        Recipe(regularization=("adam",))


def test_clipping_is_a_choice_beside_the_optimizer():
    recipe = Recipe(optimizer="sgd").having(find("gradient-clipping"))
    assert recipe == Recipe(optimizer="sgd", clipping="Clip by norm")
    assert str(recipe) == "he + none + relu + sgd + clip-by-norm"
    assert recipe.having(find("adam")).clipping == "clip-by-norm"
    assert recipe.having(find("agc")).clipping == "adaptive-clipping"
    assert [t.name for t in recipe.techniques()] == ["he", "none", "relu", "sgd", "clip-by-norm"]
    assert Trial(recipe, {"clip-by-norm.max_norm": 2.0}).values == {"sgd.lr": 0.01, "clip-by-norm.max_norm": 2.0}
    with pytest.raises(InvalidInput, match="clip-by-norm clips gradients and moves no weights: give it as clipping"):
        Recipe(optimizer="clip-by-norm")
    with pytest.raises(InvalidInput, match="adam is no clipping, which clips gradients: give it as optimizer"):
        Recipe(clipping="adam")


def test_a_trial_fixes_every_number():
    trial = Trial(Recipe(activation="elu", regularization=("l2",)), {"adam.lr": 0.01, "l2.strength": 0})
    assert trial.values == {
        "elu.alpha": 1.0, "adam.lr": 0.01, "adam.beta1": 0.9, "adam.beta2": 0.999, "adam.eps": 1e-8, "l2.strength": 0.0,
    }  # fmt: skip
    assert trial.of(find("elu")) == {"alpha": 1.0}
    assert trial.of(find("l2")) == {"strength": 0.0}


def test_a_trial_with_a_number_the_recipe_lacks_is_refused():
    with pytest.raises(
        InvalidInput, match=r"unknown hyper-parameter of .*adam.* 'adam.momentum': (did you mean|choose)"
    ):
        Trial(Recipe(), {"adam.momentum": 0.9})


@pytest.mark.parametrize("value", [-1.0, 0, math.nan, math.inf, "0.1", None, True])
def test_a_trial_with_a_number_without_meaning_is_refused(value):
    with pytest.raises(InvalidInput, match=r"adam: lr must be a number in \(0, inf\); got "):
        Trial(Recipe(), {"adam.lr": value})


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "1"])
def test_a_run_with_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(InvalidInput, match=r"a seed must be a whole number from 0 to 2\*\*32 - 1; got "):
        Run(Trial(Recipe()), seed)


def test_runs_at_the_ends_of_the_seeds():
    assert Run(Trial(Recipe()), 0).seed == 0
    assert Run(Trial(Recipe()), 2**32 - 1).seed == 2**32 - 1


@pytest.mark.parametrize("first", ["regularization.confidence_penalty", "optimizer.orthogonalized"])
def test_the_order_is_that_of_the_files_whichever_was_imported_first(first):
    program = (
        f"import trainsmith.{first}; from trainsmith.catalogue import techniques; "
        "print([(t.family, t.make.__module__, t.name) for t in techniques()])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = ast.literal_eval(done.stdout)
    for family in {family for family, *_ in found}:
        files = [file for of, file, _ in found if of == family]
        assert files == sorted(files), family


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "adam",
            {"beta": 0.9},
            r"adam takes params, lr, beta1, beta2, eps: got an unexpected keyword argument 'beta'",
        ),
        ("dropout", {"p": 0.5}, r"dropout takes rate: got an unexpected keyword argument 'p'"),
        (
            "he",
            {"weight": 1, "mode": "fan_out"},
            r"he takes weight, generator: got an unexpected keyword argument 'mode'",
        ),
    ],
)
def test_an_argument_that_a_technique_does_not_have_is_answered_by_those_it_has(name, given, said):
    first = ([torch.ones(1)],) if name == "adam" else ()
    with pytest.raises(TypeError, match=said):
        find(name).make(*first, **given)


def test_a_name_goes_before_an_alias_of_another_family_unless_its_company_says_otherwise():
    assert find("constant").family == "initialization"
    assert find("constant", "optimizer").name == "constant-rate"
    assert [t.name for t in find_all(["constant", "cosine"])] == ["constant-rate", "cosine"]
    assert [t.name for t in find_all(["zeros", "constant"])] == ["zeros", "constant"]
    with pytest.raises(InvalidInput, match="'linear' is in several families"):
        find("linear")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_put_into_a_room_is_in_the_catalogue_by_being_there(family, tmp_path, monkeypatch):
    techniques()
    (tmp_path / "put_there.py").write_text(
        f"from trainsmith.catalogue import technique\n\n\n@technique({family!r}, 'nothing')\n"
        "def put_there():\n    return None\n"
    )
    room = importlib.import_module(f"trainsmith.{family}")
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "_techniques", dict(registry._techniques))
    registry._import_rooms.cache_clear()
    try:
        assert find("put-there").family == family
    finally:
        sys.modules.pop(f"trainsmith.{family}.put_there")
        del room.put_there
