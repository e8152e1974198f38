"""A stored study, read back from its JSON: every value checked against the type its field declares."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from trainsmith.catalogue import Recipe
from trainsmith.comparison.study import Study
from trainsmith.errors import InvalidInput, shown
from trainsmith.store import recipe_of
from trainsmith.store.schema import json_of

PLANNED = ("runs", "populations", "processes", "trials", "finalists", "final_seeds", "fresh_seeds", "steps",
           "batch_size")  # fmt: skip
"""Whole numbers that a study's plan must hold, because the report tells them."""


def read_study(text: str | bytes) -> Study:
    """The study that to_dict wrote as JSON, without its weights. Raises InvalidInput for anything else."""
    try:
        raw = json_of(text)
        study = _made(Study, {**_is(raw, dict, "the file"), "states": {}}, "the study")
        _check(study)
    except InvalidInput as error:
        reason = str(error).partition(": choose one of")[0].rstrip(".")  # nobody chooses here
        raise InvalidInput(f"this is not a study that trainsmith wrote: {reason}.") from error
    except RecursionError as error:
        raise InvalidInput("this is not a study that trainsmith wrote: it is nested too deeply.") from error
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"this is not a study that trainsmith wrote: {shown(error, 200)}.") from error
    return study


def _check(study: Study) -> None:
    """What the report relies on beyond types."""
    for name in PLANNED:
        _is(study.plan.get(name), int, f"plan.{name}")
    if math.isnan(_number(study.plan.get("seconds"), "plan.seconds")):
        raise InvalidInput("plan.seconds must be a number; it is missing.")
    _is(study.plan.get("schedule"), str, "plan.schedule")
    for seed in _is(study.plan.get("seeds"), list, "plan.seeds"):
        _is(seed, int, "plan.seeds")
    if study.plan.get("fast"):
        _check_rungs(_is(study.plan.get("rungs"), list, "plan.rungs"))
    _is(study.environment.get("command"), str, "environment.command")
    for family in study.families():
        if sum(row.is_baseline for row in study.family(family)) != 1:
            raise InvalidInput(f"family '{_short(family)}' must have exactly one baseline.")
    if not study.rows:
        raise InvalidInput("it has no rows.")
    for layer in study.activations:
        if len(layer.start.counts) != len(layer.end.counts) or not layer.start.counts:
            raise InvalidInput(f"the activations of {_short(layer.name)} must be counted in the same bins.")
        if not all(0 <= count < 2**53 for count in (*layer.start.counts, *layer.end.counts)):
            raise InvalidInput(f"the activations of {_short(layer.name)} must be counts.")
    for row in study.rows:
        if len({len(c) for c in (row.curve.steps, row.curve.mean, row.curve.low, row.curve.high)}) > 1:
            raise InvalidInput(f"the curve of {_short(row.technique)} must have one value of each kind a step.")


def _check_rungs(rungs: list[Any]) -> None:
    if not rungs:
        raise InvalidInput("plan.rungs must hold a rung at least; it is empty.")
    for rung in rungs:
        _is(rung, dict, "a rung")
        for name in ("settings", "seeds", *({"steps"} & rung.keys())):
            _is(rung.get(name), int, f"a rung's {name}")
        if not 0 < _number(rung.get("share"), "a rung's share") <= 1:
            raise InvalidInput("a rung's share must lie in (0, 1].")


def _made(kind: type, raw: Any, where: str) -> Any:
    """A dataclass from a mapping of its fields; what it does not know is passed over."""
    _is(raw, dict, where)
    hints = typing.get_type_hints(kind)
    given = {}
    for field in dataclasses.fields(kind):
        if field.name in raw:
            given[field.name] = _value(hints[field.name], raw[field.name], field.name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InvalidInput(f"{where} has no '{field.name}'.")
    return recipe_of({"regularization": (), **given}) if kind is Recipe else kind(**given)


def _value(hint: Any, raw: Any, where: str) -> Any:
    """`raw` as a value of the type `hint`; null is nan where a number is due."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return raw
    if hint is float:
        return _number(raw, where)
    if origin in (types.UnionType, typing.Union):
        return None if raw is None else _value(next(h for h in inside if h is not type(None)), raw, where)
    if origin is tuple:
        return tuple(_value(inside[0], v, where) for v in _is(raw, list, where))
    if origin is Mapping:
        return {k: _value(inside[1], v, where) for k, v in _is(raw, dict, where).items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _made(hint, raw, where)
    return _is(raw, hint, where)


def _number(raw: Any, where: str) -> float:
    if raw is None:
        return math.nan
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise InvalidInput(f"{where} must be a number; it is {_short(raw)}.")
    return float(raw)


def _is(raw: Any, kind: type, where: str) -> Any:
    if not isinstance(raw, kind) or (kind is int and isinstance(raw, bool)):
        raise InvalidInput(f"{where} must be of type {kind.__name__}; it is {_short(raw)}.")
    return raw


def _short(raw: Any) -> str:
    """Enough of a value to find it by."""
    text = "a very long number" if isinstance(raw, int) and abs(raw) > 10**40 else ascii(raw)
    return text if len(text) <= 40 else f"{text[:37]}..."
