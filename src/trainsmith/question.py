"""What a study is asked besides its network and data: the arguments of compare, understood and written down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from trainsmith import __version__
from trainsmith.catalogue import FAMILIES, PLACES, Recipe, Technique, find, find_all, spelt, techniques
from trainsmith.comparison import ONE_AT_A_TIME, Budget, check_design, default_baseline, limit
from trainsmith.data import ClassWeights, Dataset, as_dataset, with_class_weights, with_labels
from trainsmith.errors import InvalidInput, shown, unknown_name
from trainsmith.network import Factory, fingerprint, named_augmentation
from trainsmith.population import Training, judged_by, rules_of
from trainsmith.regularization import OwnAugmentation
from trainsmith.store import CODE, SIGNATURE, digest, known_again, network_name, recipe_of, recorded, source_digest


@dataclass(frozen=True)
class Question:
    """The arguments of `trainsmith.compare` of the same names, whose docstring says what they mean, and their defaults.

    A further argument is a field here, and stands in that signature, in study_file.py and among the command's options.
    """

    baseline: Recipe | Mapping[str, str] | None = None
    vary: Sequence[str] | None = None
    techniques: Sequence[str | Technique] | None = None
    trials: int = Budget.trials
    seeds: int = Budget.fresh_seeds
    steps: int = Training.steps
    batch_size: int = Training.batch_size
    schedule: str = Training.schedule
    budget: str | None = None
    design: str = ONE_AT_A_TIME
    metric: str | None = None
    fast: bool = False
    labels: int | None = None
    class_weights: ClassWeights | None = None

    def dataset(self, data: Any) -> Dataset:
        """The data as they are judged, and with the labels that are seen."""
        dataset = as_dataset(data)
        if not isinstance(self.metric, str | None):
            raise InvalidInput(f"a metric is a name, such as 'log loss'; got {self.metric!r}.")
        dataset = dataset if self.metric is None else judged_by(dataset, self.metric)
        dataset = dataset if self.class_weights is None else with_class_weights(dataset, self.class_weights)
        return dataset if self.labels is None else with_labels(dataset, self.labels)

    def understood(self, network: str | Factory, dataset: Dataset) -> dict[str, Any]:
        """The arguments of comparison's compare and prepare. Raises InvalidInput for what cannot be asked."""
        if self.budget is not None and (self.trials, self.seeds) != (Budget.trials, Budget.fresh_seeds):
            raise InvalidInput("a budget chooses trials and seeds itself; give either the budget or them.")
        _check_names("vary", self.vary, str, "optimizer")
        return {
            "baseline": make_baseline(self.baseline, dataset, network),
            "vary": self.vary,
            "techniques": make_techniques(self.techniques, self.vary),
            "budget": Budget(trials=self.trials, fresh_seeds=self.seeds, fast=self.fast),
            "training": Training(steps=self.steps, batch_size=self.batch_size, schedule=self.schedule),
            "within": None if self.budget is None else limit(self.budget),
            "design": check_design(self.design),
        }

    def record(self, network: str | Factory, dataset: Dataset) -> dict[str, Any]:
        """What is asked, as values that JSON knows: equal questions have equal records. dataset: as they are judged."""
        asked = self.understood(network, dataset)
        chosen = asked["techniques"]
        content = {
            "data": {"name": dataset.name, "task": dataset.task, "digest": digest(dataset)},
            **({"labels": dataset.labels} if dataset.labels else {}),  # older questions do not say that all are seen
            **({"class weights": dataset.class_weights} if dataset.class_weights else {}),
            "metric": rules_of(dataset).metric,
            "network": network_name(network),
            "network's source": source_digest(network),
            SIGNATURE: fingerprint(network, dataset.x[:2], dataset.outputs),
            "baseline": asked["baseline"].record(),
            "vary": None if asked["vary"] is None else list(asked["vary"]),
            "techniques": None if chosen is None else [[t.family, t.name] for t in chosen],
            "budget": {k: v for k, v in asdict(asked["budget"]).items() if k != "fast" or v},
            "training": asdict(asked["training"]),
            "within": None if asked["within"] is None else str(asked["within"]),
            "design": asked["design"],
            **_own_code(asked),
            "versions": {"trainsmith": __version__, "torch": torch.__version__, "numpy": np.__version__},
        }
        return json.loads(json.dumps(content))

    @staticmethod
    def of(record: Mapping[str, Any]) -> Question:
        """The question of this record, but for metric, labels and class weights, which the data have.

        Raises KeyError, TypeError if it is damaged, InvalidInput where an augmentation of the user's own is not known.
        """
        techniques = record["techniques"]
        known_again(record)
        return Question(
            baseline=recipe_of(record["baseline"]),
            vary=record["vary"],
            techniques=None if techniques is None else [find(name, family) for family, name in techniques],
            trials=record["budget"]["trials"],
            seeds=record["budget"]["fresh_seeds"],
            steps=record["training"]["steps"],
            batch_size=record["training"]["batch_size"],
            schedule=record["training"]["schedule"],
            budget=record["within"],
            design=record["design"],
            fast=record["budget"].get("fast", False),
        )


def _own_code(asked: Mapping[str, Any]) -> dict[str, Any]:
    """By what the user's own augmentations are known again, where there are any among what is compared."""
    chosen, vary = asked["techniques"], asked["vary"]
    varied = techniques("regularization") if vary is None or "regularization" in vary else ()
    among = {t.name: t.make for t in (*(varied if chosen is None else chosen), *asked["baseline"].techniques())}
    own = [name for name, make in among.items() if isinstance(make, type) and issubclass(make, OwnAugmentation)]
    return {CODE: {name: recorded(among[name]()) for name in own}} if own else {}


def make_techniques(given: Sequence[str | Technique] | None, vary: Sequence[str] | None) -> list[Technique] | None:
    """The techniques of these names. One that several families have is of that which varies, or the others are of."""
    _check_names("techniques", given, (str, Technique), "adam")
    if given is None:
        return None
    found = [named_augmentation(t) if isinstance(t, str) and ":" in t else t for t in given]
    return find_all([t if isinstance(t, str) else f"{t.family}/{t.name}" for t in found], vary or ())


def _check_names(argument: str, given: object, kinds: Any, such: str) -> None:
    """That they are a list of names, one at least, or None."""
    listed = isinstance(given, Sequence) and not isinstance(given, str) and len(given) > 0
    if given is not None and not (listed and all(isinstance(name, kinds) for name in given)):  # type: ignore[attr-defined]
        raise InvalidInput(f"{argument} must be a list of names, such as ['{such}']; got {shown(repr(given))}.")


def make_baseline(given: Recipe | Mapping[str, str] | None, dataset: Dataset, network: str | Factory) -> Recipe:
    """The default baseline for data and network with what `given` names replaced: families, clipping, schedule."""
    if isinstance(given, Recipe):
        return given
    if not isinstance(given, Mapping | None) or not all(isinstance(names, str) for names in (given or {}).values()):
        raise InvalidInput(
            "a baseline is a Recipe, or techniques' names by their families, such as {'optimizer': 'sgd'}; got "
            f"{shown(repr(given))}."
        )
    recipe, chosen = default_baseline(dataset, network), list[Technique]()
    for place, names in (given or {}).items():
        named = _of_place(place, names)
        chosen += named
        if place == "regularization":
            recipe = replace(recipe, regularization=tuple(t.name for t in named))
        elif not named:
            emptied: dict[str, Any] = {place: "none"}
            recipe = replace(recipe, **emptied)
        for technique in named if place != "regularization" else ():
            recipe = recipe.having(technique)
    if replaced := [t for t in chosen if t not in recipe.techniques() and t.role != "nothing"]:
        place = replaced[0].place
        none = ["none"] if spelt((given or {}).get(place, "")) == "none" else []
        said = " and ".join([*(t.name for t in chosen if t.place == place), *none])
        raise InvalidInput(f"a recipe has one {place}; the baseline names {said}.")
    return recipe


def _of_place(place: str, names: str) -> list[Technique]:
    """The techniques of these names, joined by +, of a family or of what may stand beside an optimizer, which may be
    none."""
    if place in FAMILIES:
        own = ":" if place == "regularization" else None
        return [named_augmentation(n) if own and own in n else find(n, place) for n in names.split("+")]
    if place not in PLACES:
        raise unknown_name("family", place, PLACES)
    known = {n: t for t in techniques("optimizer") if t.role == place for n in (t.name, *t.aliases)}
    wanted = [spelt(name) for name in names.split("+")]
    if unknown := [name for name in wanted if name not in known and wanted != ["none"]]:
        raise unknown_name(place, unknown[0], [*known, "none"])
    return [known[name] for name in wanted if name != "none"]
