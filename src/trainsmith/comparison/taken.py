"""How long a study took, in however many goes."""

from __future__ import annotations

import time

from trainsmith.comparison.trainings import Report
from trainsmith.store import Store

NAME = "taken"


def _seconds(store: Store) -> list[float]:
    """Those of the goes before."""
    try:
        return [float(seconds) for seconds in store.about(NAME, list) or ()]
    except (TypeError, ValueError, OverflowError) as error:
        raise store.damaged(NAME) from error


class Taken:
    """The seconds a study takes: those of this go, and of those before it up to the last run that each finished.

    store: where they are kept. A study that was finished has taken what it took, however often it is looked at again.
    """

    def __init__(self, store: Store | None) -> None:
        self.store, self.started = store, time.perf_counter()
        self.before: list[float] = [] if store is None else _seconds(store)
        self.over = store is not None and store.about("result") is not None and bool(self.before)
        self.note()  # this go counts, even if it is stopped before its first run is done

    def note(self) -> None:
        """Keep what it has taken so far."""
        if self.store is not None and not self.over:
            self.store.note(NAME, self.goes)

    def told(self, report: Report) -> Report:
        """The same report, with what it has taken kept whenever runs are done."""

        def reported(what: str, member_steps: int, runs: int) -> None:
            if runs:
                self.note()
            report(what, member_steps, runs)

        return reported

    @property
    def goes(self) -> list[float]:
        """The seconds of every go, this one's last."""
        return self.before if self.over else [*self.before, time.perf_counter() - self.started]
