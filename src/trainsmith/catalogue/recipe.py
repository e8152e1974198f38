"""Recipe, trial and run: a choice of techniques, with every number fixed, with a seed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trainsmith.catalogue.hyperparameter import Hyperparameter
from trainsmith.catalogue.registry import FAMILIES, Family, Technique, find
from trainsmith.errors import InvalidInput, unknown_name


@dataclass(frozen=True)
class Recipe:
    """One initialization, normalization, activation and optimizer, and any set of regularizers, by name.

    clipping: what clips the gradients before the optimizer, "none" if nothing does.
    """

    initialization: str = "he"
    normalization: str = "none"
    activation: str = "relu"
    optimizer: str = "adam"
    regularization: tuple[str, ...] = ()
    clipping: str = "none"

    def __post_init__(self) -> None:
        for family in FAMILIES:
            given = getattr(self, family)
            names = given if family == "regularization" else (given,)
            found = tuple(n for name in names if (n := find(name, family).name) != "none" or family != "regularization")
            object.__setattr__(self, family, found if family == "regularization" else found[0])
        if self.one("optimizer").role != "optimizer":
            raise InvalidInput(f"{self.optimizer} clips gradients and moves no weights: give it as clipping.")
        if self.clipping != "none":
            clip = find(self.clipping, "optimizer")
            if clip.role != "clipping":
                raise InvalidInput(f"{clip.name} clips no gradients: give it as optimizer.")
            object.__setattr__(self, "clipping", clip.name)

    def techniques(self) -> Iterator[Technique]:
        """Every technique of the recipe, in the order of the families."""
        for family in FAMILIES:
            given = getattr(self, family)
            for name in given if family == "regularization" else (given,):
                yield find(name, family)
            if family == "optimizer" and self.clipping != "none":
                yield find(self.clipping, family)

    def one(self, family: Family) -> Technique:
        """The technique of a family that has exactly one."""
        return find(getattr(self, family), family)

    def having(self, technique: Technique) -> "Recipe":
        """This recipe with `technique` in place of its family's choice (a regularizer replaces all).

        Clipping takes nothing's place but other clipping's.
        """
        name = (technique.name,) if technique.family == "regularization" else technique.name
        chosen: dict[str, Any] = {"clipping" if technique.role == "clipping" else technique.family: name}
        return replace(self, **chosen)

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
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise InvalidInput(f"a seed must be a whole number from 0 to 2**32 - 1; got {self.seed!r}.")
