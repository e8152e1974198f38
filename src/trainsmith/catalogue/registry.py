"""The registry: every technique that the five rooms hold, found by importing them."""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import torch

from trainsmith.catalogue.hyperparameter import Hyperparameter
from trainsmith.catalogue.page import Page
from trainsmith.errors import InvalidInput, unknown_name

Family = Literal["initialization", "normalization", "activation", "optimizer", "regularization"]
FAMILIES: tuple[Family, ...] = get_args(Family)

Role = Literal[
    "weights", "network", "input", "layer", "pooling", "branch", "pair", "tying", "parametrization", "activation",
    "optimizer", "clipping", "schedule", "augmentation", "mixing", "perturbation", "gradient", "constraint", "average",
    "ensemble", "penalty", "loss", "pass", "stopping", "nothing",
]  # fmt: skip
"""Where a technique acts in a training: on each weight before it, on the whole network before it, on the input, as a
layer, in the place of pooling, at the end of residual branches, around a weight layer with its activation function, in
the place of layers that get another's weight, in how a layer's weight is made at each call, as the activation function,
as the optimizer, on the gradients before an optimizer's step, on its learning rate; on the examples of a step, on those
together with their targets, on the weights of one pass, by noise on the gradients, on the weights around an optimizer's
step, as an average of the weights after each step, as several networks for one, as a penalty on parameters, in the
loss, in what passes of the network a step's loss comes from, on when to stop."""

BESIDE: dict[str, str] = {"clipping": "clips gradients", "schedule": "sets learning rates"}
"""What a recipe may have beside its optimizer, by role, and what that does."""
PLACES: tuple[str, ...] = tuple(p for f in FAMILIES for p in ((f, *BESIDE) if f == "optimizer" else (f,)))
"""What a recipe is made of: each family, and what stands beside the optimizer."""

Thing = TypeVar("Thing", bound=Callable[..., Any])


@dataclass(frozen=True)
class Technique:
    """One entry of the catalogue.

    make: the function or class itself, usable alone in anybody's PyTorch code.
    """

    name: str
    family: Family
    role: Role
    make: Callable[..., Any]
    hyperparameters: tuple[Hyperparameter, ...]
    aliases: tuple[str, ...] = ()

    @functools.cached_property
    def page(self) -> Page:
        return Page.of(self.make)

    @property
    def place(self) -> str:
        """What of a recipe it takes the place of: its family's choice, or what stands beside the optimizer."""
        return self.role if self.role in BESIDE else self.family

    @property
    def gradients(self) -> int:
        """About how many times the work of a step's gradient it costs, at its defaults: 1 for most."""
        return getattr(self.make, "gradients", 1)

    @property
    def defaults(self) -> dict[str, float]:
        return {h.name: h.default for h in self.hyperparameters}


_techniques: dict[tuple[str, str], Technique] = {}
_ordered: dict[str | None, Sequence[Technique]] = {}
"""What techniques() gives of each family and, by None, of all, for the entries that were there ("entered")."""

_elsewhere: dict[tuple[str, str], Technique] = {}
"""What records name and the catalogue of this process has not; see `remember`."""


def technique(
    family: Family,
    role: Role,
    name: str | None = None,
    aliases: tuple[str, ...] = (),
    **hyperparameters: Hyperparameter,
) -> Callable[[Thing], Thing]:
    """Enter the decorated function or class in the catalogue, and refuse hyper-parameters out of their domain.

    The default of each hyper-parameter is that of the argument of the same name. The name is the
    function's or class's, in lower case with hyphens, unless given. A class may say by `together` which argument gives
    several of its numbers at once: {"betas": ("beta1", "beta2")}.
    """

    def enter(make: Thing) -> Thing:
        signature = inspect.signature(make)
        entry_name = name or make.__name__.lower().replace("_", "-")
        numbers = tuple(h.named(key, signature.parameters[key].default) for key, h in hyperparameters.items())
        checked: Any = make
        if inspect.isclass(make):
            alone = issubclass(make, torch.optim.Optimizer)
            checked.__init__ = _checking(checked.__init__, entry_name, numbers, getattr(make, "together", {}), alone)
        else:
            checked = _checking(make, entry_name, numbers)
        _techniques[family, entry_name] = Technique(entry_name, family, role, checked, numbers, aliases)
        return checked

    return enter


def enter(entry: Technique) -> Technique:
    """Put an entry into the catalogue, in place of a user's own of that name. Raises InvalidInput for one of ours."""
    _import_rooms()
    there = [t for t in _techniques.values() if t.family == entry.family and entry.name in (t.name, *t.aliases)]
    if any(not _own(t) for t in there):
        raise InvalidInput(f"the catalogue has a {entry.family} called '{entry.name}' already; choose another name.")
    _techniques[entry.family, entry.name] = entry
    return entry


def remember(entry: Technique) -> None:
    """Have `find` give `entry`, of which a record tells, to who asks in its family, where the catalogue has none so
    called. `techniques` does not list it."""
    _elsewhere[entry.family, entry.name] = entry


def own_techniques() -> tuple[Technique, ...]:
    """What users entered: the entries that another process does not have by importing trainsmith."""
    return tuple(t for t in _techniques.values() if _own(t))


def _own(entry: Technique) -> bool:
    return not getattr(entry.make, "__module__", "").startswith("trainsmith.")


def _checking(
    call: Callable[..., Any],
    owner: str,
    numbers: tuple[Hyperparameter, ...],
    together: Mapping[str, tuple[str, ...]] | None = None,
    alone: bool = False,
) -> Callable[..., Any]:
    """`call`, refusing arguments that lie outside their hyper-parameter's domain.

    alone: it is never called for several members at once, so that a tensor is one number; else tensors pass unchecked.
    """
    signature = inspect.signature(call)
    whole = {name: parts for name, parts in (together or {}).items() if {*parts} <= {n.name for n in numbers}}

    @functools.wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        kwargs = _apart(kwargs, whole, owner)
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as wrong:
            takes = ", ".join(name for name in signature.parameters if name != "self")
            raise TypeError(f"{owner} takes {takes}: {wrong}.") from None
        for number in numbers:
            value = given.get(number.name, number.default)
            if alone and isinstance(value, torch.Tensor) and value.numel() == 1:
                value = value.item()
            if alone or not isinstance(value, torch.Tensor):
                number.check(value, owner)
        return call(*args, **kwargs)

    return checked


def _apart(given: dict[str, Any], whole: Mapping[str, tuple[str, ...]], owner: str) -> dict[str, Any]:
    """Arguments in which what gives several numbers at once is taken apart into these."""
    for name in [name for name in whole if name in given]:
        parts, values = whole[name], given[name]
        if not isinstance(values, (tuple, list)) or len(values) != len(parts):
            raise InvalidInput(f"{owner}: {name} must be ({', '.join(parts)}); got {values!r}.")
        if twice := [part for part in parts if part in given]:
            raise InvalidInput(f"{owner}: {twice[0]} is given twice, by itself and in {name}; leave one of them out.")
        given = {**{key: v for key, v in given.items() if key != name}, **dict(zip(parts, values, strict=True))}
    return given


def techniques(family: Family | None = None) -> tuple[Technique, ...]:
    """Every technique, or those of one family: by family, then by the room's file, whichever was imported first; last
    the user's own, in the order in which they were entered."""
    _import_rooms()
    entered = list(_techniques.values())
    if entered != _ordered.get("entered"):
        by_file = sorted(entered, key=lambda t: (_own(t), "" if _own(t) else t.make.__module__))
        for f in FAMILIES:
            _ordered[f] = tuple(t for t in by_file if t.family == f)
        _ordered[None] = tuple(t for f in FAMILIES for t in _ordered[f])
        _ordered["entered"] = entered
    return tuple(_ordered.get(family, ()))


def find(name: str, family: str | None = None, besides: Sequence[str] = ()) -> Technique:
    """The technique called `name` (case, hyphens and underscores alike); `family/name` names one of a family.

    A name goes before another's alias. besides: names that something else has, for who misspelt one of these. Raises
    InvalidInput with the nearest names where there is none, or where two families have it.
    """
    if "/" in name and family is None:
        family, _, name = name.partition("/")
    if family is not None and family not in FAMILIES:
        raise unknown_name("family", family, FAMILIES)
    wanted = spelt(name)
    _import_rooms()
    if family is not None and (family, wanted) in _techniques:
        return _techniques[family, wanted]
    named = _called(name)
    found = [t for t in named if family in (None, t.family)]
    if len(exact := [t for t in found if t.name == wanted]) == 1:
        return exact[0]
    if len(found) > 1:
        raise InvalidInput(
            f"'{name}' is in several families: say {' or '.join(f'{t.family}/{t.name}' for t in found)}."
        )
    if not found and family is not None and (family, wanted) in _elsewhere:
        return _elsewhere[family, wanted]
    if not found:
        if named:
            raise InvalidInput(f"'{name}' is no technique of the family {family}, but of {named[0].family}.")
        pool = [t for t in techniques() if family in (None, t.family)]
        known = {*besides, *(n for t in pool for n in (t.name, *t.aliases))}
        raise unknown_name(family or "technique", name, known, f"`trainsmith techniques{f' {family}' * bool(family)}`")
    return found[0]


def find_all(names: Sequence[str], families: Sequence[str] = ()) -> list[Technique]:
    """The techniques of these names, each as `find` finds it. A name that several families have is of the only one of
    them among `families`, else of the only one of them that the other names are of.

    Raises InvalidInput as find does.
    """
    each: list[set[str]] = [
        {name.partition("/")[0]} if "/" in name else {t.family for t in _called(name)} for name in names
    ]
    others = [family for found in each if len(found) == 1 for family in found]

    def settled(found: set[str]) -> str | None:
        left = [only for among in (families, others) if len(only := found & {*among}) == 1]
        return min(left[0]) if len(found) > 1 and left else None

    return [find(name, settled(found)) for name, found in zip(names, each, strict=True)]


def _called(name: str) -> list[Technique]:
    """Every technique of that name or alias, in any family."""
    wanted = spelt(name)
    return [t for t in techniques() if wanted in (t.name, *t.aliases)]


def spelt(name: str) -> str:
    """The name as the catalogue spells it."""
    return name.strip().lower().replace("_", "-").replace(" ", "-")


@functools.cache
def _import_rooms() -> None:
    """Import every file of the five rooms: a new technique is in the catalogue by being there."""
    for family in FAMILIES:
        room = importlib.import_module(f"trainsmith.{family}")
        for file in pkgutil.iter_modules(room.__path__):
            importlib.import_module(f"{room.__name__}.{file.name}")
