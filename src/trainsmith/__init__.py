"""trainsmith: inspect, compare and choose the techniques a PyTorch network is trained with.

    import trainsmith

    study = trainsmith.compare("mlp", "digits")
    print(study.table())
    study.report("report.html")

The names below are imported when they are first used, so that importing trainsmith is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trainsmith.api import Comparison, compare, plan
    from trainsmith.catalogue import Recipe, find, techniques
    from trainsmith.doctor import inspect
    from trainsmith.errors import InvalidInput
    from trainsmith.population import Population
    from trainsmith.watching import watch

_HOMES = {
    "Comparison": "trainsmith.api",
    "compare": "trainsmith.api",
    "inspect": "trainsmith.doctor",
    "plan": "trainsmith.api",
    "Recipe": "trainsmith.catalogue",
    "find": "trainsmith.catalogue",
    "techniques": "trainsmith.catalogue",
    "InvalidInput": "trainsmith.errors",
    "Population": "trainsmith.population",
    "watch": "trainsmith.watching",
}

__all__ = [
    "Comparison",
    "InvalidInput",
    "Population",
    "Recipe",
    "compare",
    "find",
    "inspect",
    "plan",
    "techniques",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trainsmith' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
