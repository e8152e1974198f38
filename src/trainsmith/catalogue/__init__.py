"""What a technique is: the registry, hyper-parameters with ranges, look-up by name, recipes and trials."""

from trainsmith.catalogue.contradictions import contradictions
from trainsmith.catalogue.hyperparameter import (
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    REAL,
    Hyperparameter,
    Interval,
    number_in,
)
from trainsmith.catalogue.kernels import kernel_numbers
from trainsmith.catalogue.page import Page
from trainsmith.catalogue.recipe import Recipe, Run, Trial
from trainsmith.catalogue.registry import (
    FAMILIES,
    PLACES,
    Family,
    Role,
    Technique,
    enter,
    find,
    find_all,
    own_techniques,
    remember,
    spelt,
    technique,
    techniques,
)

__all__ = [
    "FAMILIES",
    "FRACTION",
    "NON_NEGATIVE",
    "PLACES",
    "POSITIVE",
    "REAL",
    "Family",
    "Hyperparameter",
    "Interval",
    "Page",
    "Recipe",
    "Role",
    "Run",
    "Technique",
    "Trial",
    "contradictions",
    "enter",
    "find",
    "find_all",
    "kernel_numbers",
    "number_in",
    "own_techniques",
    "remember",
    "spelt",
    "technique",
    "techniques",
]
