"""The list of mutants fits the code as it is, and leaves no technique out."""

import pytest

from each_technique import each
from mutants.run import ROOT, Mutant, apply, read
from trainsmith.catalogue import techniques

MUTANTS = read()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_mutant_replaces_one_place_and_names_tests_that_exist(mutant):
    source = (ROOT / "src" / "trainsmith" / mutant.file).read_text()
    assert source.count(mutant.old) == 1
    assert mutant.new != mutant.old
    assert mutant.tests
    for tests in mutant.tests:
        path, _, test = tests.partition("::")
        assert (ROOT / "tests" / path).exists()
        assert not test or f"def {test.partition('[')[0]}(" in (ROOT / "tests" / path).read_text()


@each()
def test_every_technique_has_wrong_versions_of_its_own(technique):
    """Those of batch-renorm are none of batch."""
    name = f"no-{technique.family}" if technique.role == "nothing" else technique.name
    longer = tuple(f"{t.name}-" for t in techniques() if t.name.startswith(f"{name}-"))
    wrong = [m for m in MUTANTS if m.name.startswith(f"{name}-") and not m.name.startswith(longer)]
    assert len(wrong) >= (1 if technique.role == "nothing" else 3)


def test_a_mutant_whose_text_is_not_there_once_is_refused(tmp_path):
    file = tmp_path / "trainsmith" / "code.py"
    file.parent.mkdir()
    file.write_text("a = 1\nb = 1\n")
    for old, count in (("= 1", 2), ("= 2", 0)):
        with pytest.raises(ValueError, match=f"its text is {count} times in code.py"):
            apply(Mutant("m", "code.py", old, "= 3", ()), tmp_path)
    apply(Mutant("m", "code.py", "a = 1", "a = 3", ()), tmp_path)
    assert file.read_text() == "a = 3\nb = 1\n"
