"""Recipe, trial and run: a choice of techniques, with every number fixed, with a seed."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trainsmith.catalogue.hyperparameter import Hyperparameter
from trainsmith.catalogue.registry import BESIDE, FAMILIES, Family, Technique, find
from trainsmith.errors import InvalidInput, integer, unknown_name


@dataclass(frozen=True)
class Recipe:
    """One initialization, normalization, activation and optimizer, and any set of regularizers, by name.

    clipping: what clips the gradients before the optimizer, "none" if nothing does. schedule: the course of the
    learning rate, "none" for that of the training.
    """

    initialization: str = "he"
    normalization: str = "none"
    activation: str = "relu"
    optimizer: str = "adam"
    regularization: tuple[str, ...] = ()
    clipping: str = "none"
    schedule: str = "none"

    def __post_init__(self) -> None:
        for family in FAMILIES:
            given = getattr(self, family)
            names = given if family == "regularization" else (given,)
            found = tuple(n for name in names if (n := find(name, family).name) != "none" or family != "regularization")
            object.__setattr__(self, family, found if family == "regularization" else found[0])
        if self.one("optimizer").role != "optimizer":
            kind = self.one("optimizer").role
            raise InvalidInput(f"{self.optimizer} {BESIDE[kind]} and moves no weights: give it as {kind}.")
        for role, does in BESIDE.items():
            if (given := getattr(self, role)) != "none":
                beside = find(given, "optimizer")
                if beside.role != role:
                    raise InvalidInput(f"{beside.name} is no {role}, which {does}: give it as {beside.role}.")
                object.__setattr__(self, role, beside.name)

    def techniques(self) -> Iterator[Technique]:
        """Every technique of the recipe, in the order of the families."""
        for family in FAMILIES:
            given = getattr(self, family)
            for name in given if family == "regularization" else (given,):
                yield find(name, family)
            if family == "optimizer":
                yield from (find(name, family) for role in BESIDE if (name := getattr(self, role)) != "none")

    def one(self, family: Family) -> Technique:
        """The technique of a family that has exactly one."""
        return find(getattr(self, family), family)

    def having(self, technique: Technique) -> "Recipe":
        """This recipe with `technique` in place of its family's choice (a regularizer replaces all).

        Clipping takes nothing's place but other clipping's, a schedule another's.
        """
        name = (technique.name,) if technique.family == "regularization" else technique.name
        chosen: dict[str, Any] = {technique.place: name}
        return replace(self, **chosen)

    def record(self) -> dict[str, Any]:
        """The fields by name; older records do not say that the schedule is the training's."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("schedule", "none")}

    def hyperparameters(self) -> Iterator[tuple[str, Hyperparameter]]:
        """Each number of the recipe under its full name, such as ("adam.lr", ...)."""
        for technique in self.techniques():
            for number in technique.hyperparameters:
                yield f"{technique.name}.{number.name}", number

    def __str__(self) -> str:
        chosen = [t.name for t in self.techniques()]
        return " + ".join(chosen)


@dataclass(frozen=True)
class Trial:
    """A recipe with every hyper-parameter fixed. `values` needs only those that differ from the default."""

    recipe: Recipe
    values: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = dict(self.recipe.hyperparameters())
        for name, value in self.values.items():
            if name not in numbers:
                raise unknown_name(f"hyper-parameter of {self.recipe}", name, numbers)
            numbers[name].check(value, name.split(".")[0])
        full = {name: float(self.values.get(name, number.default)) for name, number in numbers.items()}
        object.__setattr__(self, "values", full)

    def of(self, technique: Technique) -> dict[str, float]:
        """The values of one technique's hyper-parameters, by their own names."""
        return {h.name: self.values[f"{technique.name}.{h.name}"] for h in technique.hyperparameters}


@dataclass(frozen=True)
class Run:
    """A trial with a seed: one training. The seed draws weights, split, batches and every noise."""

    trial: Trial
    seed: int

    def __post_init__(self) -> None:
        seed = integer(self.seed)
        if seed is None or not 0 <= seed < 2**32:
            raise InvalidInput(f"a seed must be a whole number from 0 to 2**32 - 1; got {self.seed!r}.")
        object.__setattr__(self, "seed", seed)
