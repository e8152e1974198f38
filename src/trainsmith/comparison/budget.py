"""How much a study may train: trials, rungs and fresh seeds, the same for every technique."""

from dataclasses import dataclass

from trainsmith.errors import InvalidInput, whole

CONFIRMED = 4
"""With rungs, one of so many techniques goes on to the fresh seeds, at least one, and the baseline always."""


@dataclass(frozen=True)
class Rung:
    """So many settings of every technique, each trained with `seeds` seeds for `share` of the steps.

    A shorter training is a whole one: through its own complete schedule, warm-up and decay. So nothing is ever judged
    in the middle of a schedule, where rankings differ from those at its end.
    """

    settings: int
    seeds: int
    share: float = 1.0

    @property
    def runs(self) -> int:
        """Runs of one technique."""
        return self.settings * self.seeds


FAST = (Rung(8, 1, 1 / 8), Rung(3, 1, 1 / 2), Rung(1, 2, 1.0))
"""Of a fast study; the first takes all trials. results/protocol/drawn.py measures what they miss."""


@dataclass(frozen=True)
class Budget:
    """How much a study may train, the same for every technique.

    trials: settings tried, with one seed. finalists: the best of them, which are tried again with
    `final_seeds` further seeds, so that one lucky split does not choose the setting. fresh_seeds: runs of
    the chosen setting that are reported. extension: further trials of every technique, if the best learning rate of one
    lies at the end of what was tried. fast: tune by the rungs FAST in place of finalists, and train only the best
    techniques on fresh seeds (see `confirmed`).
    """

    trials: int = 8
    finalists: int = 3
    final_seeds: int = 2
    fresh_seeds: int = 8
    extension: int = 2
    fast: bool = False

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("finalists", 1), ("final_seeds", 0), ("fresh_seeds", 2), ("extension", 0)):
            object.__setattr__(self, name, whole(name.replace("_", " "), getattr(self, name), least))
        if not isinstance(self.fast, bool):
            raise InvalidInput(f"fast must be True or False; got {self.fast!r}.")

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """What each technique's trials climb; fewer of them at each rung. One trial alone is not tried again."""
        if self.trials == 1 and not self.fast:
            return (Rung(1, 1),)
        if not self.fast:
            return (Rung(self.trials, 1), Rung(min(self.finalists, self.trials), self.final_seeds))
        first, *others = FAST
        return (
            Rung(self.trials, first.seeds, first.share),
            *(Rung(min(r.settings, self.trials), r.seeds, r.share) for r in others),
        )

    @property
    def further(self) -> int:
        """How many further trials may extend a range: none where there are but two, which both lie at an end."""
        return self.extension if self.trials > 2 else 0

    @property
    def stages(self) -> int:
        """How often populations are trained: at each rung, beyond a range's end, on fresh seeds."""
        return len(self.rungs) + bool(self.further) + 1

    @property
    def tuning_runs(self) -> int:
        """Runs that choose one technique's setting, unless the trials are extended."""
        return sum(r.runs for r in self.rungs)

    @property
    def tuning_cost(self) -> float:
        """What they cost, in runs of the whole length."""
        return sum(r.runs * r.share for r in self.rungs)

    def confirmed(self, recipes: int) -> int:
        """How many of so many recipes are trained on fresh seeds, the baseline among them."""
        return 1 + max(1, (recipes - 1) // CONFIRMED) if self.fast and recipes > 1 else recipes

    def extended_runs(self, recipes: int) -> tuple[int, float]:
        """Runs, and their cost in runs of the whole length, if the trials of so many recipes are extended."""
        return recipes * self.further, recipes * self.further * self.rungs[0].share
