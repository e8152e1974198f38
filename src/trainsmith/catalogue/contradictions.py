"""What in a recipe works against itself: known, published, and not seen until the numbers are bad."""

from collections.abc import Callable
from dataclasses import dataclass

from trainsmith.catalogue.recipe import Recipe

FROM_LECUN = frozenset({"xavier", "lecun-uniform", "orthogonal", "delta-orthogonal", "lsuv"})
"""Initializations that keep the variance of a linear layer; xavier here is N(0, 1 / n_in), LeCun's."""
OVER_A_BATCH = frozenset({"batch", "batch-renorm", "ghost-batch"})
SMALLEST_BATCH = 8
"""Below it a batch's statistics are mostly noise (Wu & He 2018, Group normalization). The limit is ours."""
PENALTIES = frozenset({"l1", "l2", "elastic-net"})
TO_ZERO = frozenset({"dropout", "spatial-dropout", "drop-block", "monte-carlo-dropout"})
"""What switches units off to 0, which is no fixed point of SELU."""
DIVIDING = frozenset(
    """
    adagrad adadelta rmsprop rmsprop-centred adam adamw amsgrad nadam radam adamax adafactor lamb soap
    schedule-free-adamw
    """.split()  # noqa: SIM905 - a list of words reads better so
)
"""Optimizers that divide a gradient by a root of its own squares."""


@dataclass(frozen=True)
class _Choice:
    """A recipe as the rules below look at it."""

    recipe: Recipe
    batch_size: int | None

    def has(self, *names: str) -> str:
        """The first of these among the recipe's regularizers, or nothing."""
        return next((n for n in self.recipe.regularization if n in names), "")


def _selu_start(c: _Choice) -> str:
    if c.recipe.activation != "selu" or c.recipe.initialization in FROM_LECUN:
        return ""
    return (
        f"SELU normalizes itself only from weights of variance 1 / n_in (xavier, lecun-uniform), not from "
        f"{c.recipe.initialization} (Klambauer et al. 2017)"
    )


def _selu_dropout(c: _Choice) -> str:
    if c.recipe.activation != "selu" or not (dropout := c.has(*TO_ZERO)):
        return ""
    return f"{dropout} moves SELU's mean and variance; alpha-dropout keeps them (Klambauer et al. 2017)"


def _alpha_without_selu(c: _Choice) -> str:
    if c.recipe.activation == "selu" or not c.has("alpha-dropout"):
        return ""
    return (
        "alpha-dropout puts units at SELU's lowest value, -1.76, and keeps mean and variance behind SELU alone, not "
        f"behind {c.recipe.activation} (Klambauer et al. 2017)"
    )


def _penalty_divided(c: _Choice) -> str:
    penalty = c.has(*PENALTIES)
    if not penalty or c.recipe.optimizer not in DIVIDING:
        return ""
    return (
        f"{c.recipe.optimizer} divides the gradient of {penalty} by the size of the whole gradient, so that it shrinks "
        "weights with small gradients most; weight-decay does not (Loshchilov & Hutter 2019)"
    )


def _decay_twice(c: _Choice) -> str:
    numbers = [h for h in c.recipe.one("optimizer").hyperparameters if h.name == "weight_decay"]
    own = [c.recipe.optimizer for h in numbers if h.default > 0 or h.tuned]
    given = [n for n in ("weight-decay", "l2", "elastic-net") if c.has(n)]
    if len(given) + len(own) < 2:
        return ""
    return f"weights are decayed twice, by {' and by '.join([*own, *given])}"


def _small_batch(c: _Choice) -> str:
    if c.batch_size is None or c.batch_size >= SMALLEST_BATCH or c.recipe.normalization not in OVER_A_BATCH:
        return ""
    return (
        f"{c.recipe.normalization} normalization takes its statistics from {c.batch_size} examples; group or layer "
        "normalization do not hang on the batch (Wu & He 2018)"
    )


def _dropout_before_statistics(c: _Choice) -> str:
    if not c.has("dropout") or c.recipe.normalization not in OVER_A_BATCH:
        return ""
    return (
        "dropout changes the variance that the batch normalization behind it sees in training, but not in evaluation "
        "(Li et al. 2019)"
    )


def _alike(c: _Choice) -> str:
    if c.recipe.initialization not in ("zeros", "constant"):
        return ""
    return f"all units of a layer start alike from {c.recipe.initialization}, and without noise they stay alike"


def _fixup_normalized(c: _Choice) -> str:
    if c.recipe.initialization != "fixup" or c.recipe.normalization not in {*OVER_A_BATCH, "layer", "group", "rms"}:
        return ""
    return "fixup is a start for residual networks without normalization (Zhang et al. 2019)"


RULES: tuple[Callable[[_Choice], str], ...] = (
    _selu_start, _selu_dropout, _alpha_without_selu, _penalty_divided, _decay_twice, _small_batch,
    _dropout_before_statistics, _alike, _fixup_normalized,
)  # fmt: skip


def contradictions(recipe: Recipe, batch_size: int | None = None) -> tuple[str, ...]:
    """What in `recipe`, trained with batches of `batch_size` examples, works against itself; a sentence each.

    >>> from trainsmith import Recipe
    >>> from trainsmith.catalogue import contradictions
    >>> contradictions(Recipe(optimizer="adamw", regularization=("weight-decay",)))
    ('weights are decayed twice, by adamw and by weight-decay',)
    """
    choice = _Choice(recipe, batch_size)
    return tuple(said for rule in RULES if (said := rule(choice)))
