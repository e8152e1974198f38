"""A stored study, read back from its JSON."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from trainsmith.catalogue import Recipe
from trainsmith.comparison.study import Attempt, Curve, Estimate, Receipt, Row, Study, TestScore
from trainsmith.errors import InvalidInput


def read_study(text: str) -> Study:
    """The study that to_dict wrote as JSON, without its weights. Raises InvalidInput for anything else."""
    try:
        raw = json.loads(text)
        rows = tuple(_row(r) for r in raw["rows"])
        fields: set[str] = {f.name for f in dataclasses.fields(Study)} - {
            "rows",
            "states",
            "baseline",
            "test",
            "receipt",
        }
        test = raw["test"]
        return Study(
            rows=rows,
            states={},
            baseline=_recipe(raw["baseline"]),
            test=TestScore(
                **{
                    **test,
                    "score": _estimate(test["score"]),
                    "baseline": _estimate(test["baseline"]),
                    "sampling_error": _number(test["sampling_error"]),
                }
            ),
            receipt=Receipt(**{**raw["receipt"], "loops": tuple(raw["receipt"]["loops"])}),
            **dict[str, Any]({name: tuple(raw[name]) if name == "notes" else raw[name] for name in fields}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"this is not a study that trainsmith wrote: {type(error).__name__}: {error}.") from error


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _estimate(raw: Mapping[str, float | None]) -> Estimate:
    return Estimate(*(_number(raw[k]) for k in ("mean", "low", "high")))


def _recipe(raw: Mapping[str, Any]) -> Recipe:
    return Recipe(**{**raw, "regularization": tuple(raw["regularization"])})


def _row(raw: Mapping[str, Any]) -> Row:
    numbers = {k: tuple(map(_number, v)) for k, v in raw["curve"].items() if k != "steps"}
    return Row(
        **{
            **raw,
            "recipe": _recipe(raw["recipe"]),
            "edges": tuple(raw["edges"]),
            "scores": tuple(map(_number, raw["scores"])),
            "score": _estimate(raw["score"]),
            "difference": None if raw["difference"] is None else _estimate(raw["difference"]),
            "p": _number(raw["p"]),
            "correlation": _number(raw["correlation"]),
            "attempts": tuple(
                Attempt(a["values"], _number(a["score"]), _number(a["loss"]), a["seeds"]) for a in raw["attempts"]
            ),
            "curve": Curve(tuple(raw["curve"]["steps"]), **numbers),
        }
    )
