"""Results as values that JSON knows."""

import dataclasses
import math
from typing import Any


def plain(value: Any) -> Any:
    """Dataclasses as dicts, tuples as lists, and None for numbers that are not finite, which JSON lacks."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
