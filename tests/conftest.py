"""One thread a process: the tests themselves run in parallel. The shapes that the rooms state are checked."""

import gc
import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start, too

import pytest
import torch
from jaxtyping import config, install_import_hook

from fresh import Server

TRAINING_LAWS = tuple(f"test_laws_{of}" for of in ("regularization", "passes", "ensembles", "schedules", "ways"))
FAMILY_ROOMS = ["initialization", "normalization", "activation", "optimizer", "regularization"]

torch.set_num_threads(1)
install_import_hook([f"trainsmith.{room}" for room in FAMILY_ROOMS], "shape_check.check")


gc.disable()  # while tests are collected, which leaves nothing behind to be freed


def pytest_collection_finish() -> None:
    """What was collected and imported need not be searched for garbage again and again."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The shapes that the rooms state are checked where techniques are tested by themselves; a tenth of all time goes
    into it where networks train."""
    alone = {*FAMILY_ROOMS, "catalogue"} & {item.path.parent.name} and item.path.stem not in TRAINING_LAWS
    config.update("jaxtyping_disable", not alone)


@pytest.fixture(params=["kernel", "formula"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs twice: with torch's kernels where a technique takes them, and with the formulas of populations."""
    if request.param == "formula":
        monkeypatch.setattr("trainsmith.catalogue.kernels.ordinary", lambda: False)


@pytest.fixture
def shapes_unchecked() -> Iterator[None]:
    """The shapes that the rooms state are not checked, as users have it: for what a technique says of wrong ones."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def python() -> Server:
    """Runs programs in processes of their own; see fresh.py."""
    return Server()
