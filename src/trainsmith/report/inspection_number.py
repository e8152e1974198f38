"""How the tables of an inspection write a number."""

import math


def number(value: float) -> str:
    """Three significant digits in few characters."""
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    return f"{value:.1e}" if abs(value) < 0.001 or abs(value) >= 10000 else f"{value:.3g}"
