"""What a study may take: seconds, or runs."""

import re
from dataclasses import dataclass

from trainsmith.errors import InvalidInput

SECONDS = {"s": 1, "sec": 1, "second": 1, "min": 60, "m": 60, "minute": 60, "h": 3600, "hour": 3600}


@dataclass(frozen=True)
class Limit:
    """What a study may take: seconds, or runs of the whole length; a shorter one counts by its share of the steps."""

    amount: float
    unit: str

    def __str__(self) -> str:
        if self.unit == "runs":
            return f"{self.amount:g} runs"
        return f"{self.amount:g} s" if self.amount < 120 else f"{self.amount / 60:g} min"


def limit(text: str) -> Limit:
    """A limit from words such as "90s", "2min", "1.5 h" or "300 runs". Raises InvalidInput for others."""
    text = str(text)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    unit = found[2] if found else ""
    if found and unit.rstrip("s") == "run" and float(found[1]) >= 1:
        return Limit(float(found[1]), "runs")
    seconds = SECONDS.get(unit) or SECONDS.get(unit.removesuffix("s"))
    if not found or not seconds or not float(found[1]):
        raise InvalidInput(f"a budget is a time or a number of runs, such as 90s, 2min, 1h or 300runs; got '{text}'.")
    return Limit(float(found[1]) * seconds, "seconds")
