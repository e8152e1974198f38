"""The source of a technique on its own: its definition and all that it needs, without trainsmith.

A technique is short, readable code that works on tensors. What trainsmith adds around it, the entry in the catalogue,
the shapes in the signature, the checks of what a user gave, the examples in the docstring, is taken off; comments,
formula and paper stay.
"""

import ast
import functools
import inspect
import os
import sys
import sysconfig
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from trainsmith.errors import InvalidInput
from trainsmith.export.bindings import binding
from trainsmith.export.bindings import origin as origin_of
from trainsmith.export.trimmed import SourceText, Trimmed
from trainsmith.optimizer import Optimizer
from trainsmith.optimizer.plain import Optimizer as PlainOptimizer

INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")
"""Where packages lie that are imported, not copied."""
PACKAGES = {"site-packages", "dist-packages"}
"""What folders of packages are called that lie elsewhere: a user's own, the system's."""


OWN_NAMES = ("build", "network", "one")
"""What the text itself calls something: a name in the harvest gives way."""


class Harvest:
    """Definitions with everything they need, in an order in which a module can hold them, and their imports."""

    def __init__(self) -> None:
        self.imports: dict[str, None] = {}
        self._parts: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}

    @property
    def text(self) -> str:
        """The imports and definitions, a module's body."""
        return "\n".join([*self.imports, "", "", *self._parts.values()]) + "\n"

    def add(self, thing: Any) -> str:
        """Take in a function or class; the name that it has in `text`.

        Raises InvalidInput for a thing whose source cannot stand alone.
        """
        thing = inspect.unwrap(thing)
        thing = PlainOptimizer if thing is Optimizer else thing
        module = sys.modules[thing.__module__]
        if not is_at_hand(module):
            self.imports[f"from {module.__name__} import {thing.__qualname__}"] = None
            return str(thing.__qualname__)
        return self._define(module, thing.__qualname__)

    def add_held(self, thing: Any) -> str:
        """Take in a function, or an object by the name that it has at the top of a user's file; its name in `text`.

        Raises InvalidInput for one that has none, or whose source cannot stand alone.
        """
        if inspect.isfunction(thing) or inspect.isclass(thing):
            return self.add(thing)
        for module in list(sys.modules.values()):
            names = [name for name, value in vars(module).items() if value is thing]
            if names and is_at_hand(module):
                return self._define(module, names[0])
        raise InvalidInput(f"a {type(thing).__name__} has no name at the top of a file; give it one.")

    def add_subclass(self, base: type, name: str, about: str, method: str) -> str:
        """A class of that name that has one method more than `base`, whose source is `method`; its name."""
        if name in self._parts:
            return name
        module, parent = sys.modules[base.__module__], self.add(base)
        for used in ast.walk(ast.parse(method)):
            if isinstance(used, ast.Name) and self._resolve(module, used.id) != used.id:
                raise InvalidInput(f"{used.id}, which {base.__qualname__} uses, has two meanings: rename one of them.")
        self._parts[name] = f'class {name}({parent}):\n    """{about}"""\n\n{textwrap.indent(method, "    ")}'
        return name

    def _define(self, module: ModuleType, name: str) -> str:
        key = (module.__name__, name)
        if key in self._names:
            return self._names[key]
        source, node = _read(module)[0], _statement(module, name)
        if node is None:
            raise InvalidInput(
                f"'{name}' of {module.__name__} is defined inside something else; define it at the top of a file."
            )
        given = name
        while given in self._names.values() or given in OWN_NAMES:
            given += "_"
        self._names[key] = given
        trimmed = Trimmed(source, node, _is_ours(module))
        for used in trimmed.used:
            found = given if used.id == name else self._resolve(module, used.id)
            if found != used.id:
                trimmed.replace(source.span(used), found)
        if given != name and isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            trimmed.replace(source.name_of(node), given)
        self._parts[given] = textwrap.dedent(" " * node.col_offset + trimmed.text())
        return given

    def _resolve(self, module: ModuleType, name: str) -> str:
        """Make sure that `name`, used in `module`, is known in the text; what it is called there."""
        if name in ("InvalidInput", "unknown_name") and _is_ours(module):
            return "ValueError"
        node = _statement(module, name)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return self._import(module, name, node)
        if node is None:
            return self._starred(module, name)
        return self._define(module, name)

    def _starred(self, module: ModuleType, name: str) -> str:
        """A name that the module has by `from x import *`, or a builtin one."""
        for node in _stars(module):
            origin = sys.modules[origin_of(module, node)]
            if hasattr(origin, name) and not is_at_hand(origin):
                self.imports[f"from {origin.__name__} import {name}"] = None
            elif hasattr(origin, name):
                return self._resolve(origin, name)
        return name

    def _import(self, module: ModuleType, name: str, node: ast.Import | ast.ImportFrom) -> str:
        alias = next(a for a in node.names if (a.asname or a.name).split(".")[0] == name)
        origin = origin_of(module, node) if isinstance(node, ast.ImportFrom) else alias.name
        if not is_at_hand(sys.modules.get(origin)):
            before = f"from {origin} " if isinstance(node, ast.ImportFrom) else ""
            self.imports[f"{before}import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")] = None
            return name
        value = vars(module)[name]
        if isinstance(value, ModuleType):
            raise InvalidInput(
                f"{module.__name__} imports {value.__name__} as a whole, so its source cannot be put into one file; "
                f"import the names that it uses."
            )
        if inspect.isfunction(value) or inspect.isclass(value):
            return self.add(value)
        return self._define(_home(origin, alias.name), alias.name)


def _is_ours(module: ModuleType) -> bool:
    return module.__name__.split(".")[0] == "trainsmith"


def is_at_hand(module: ModuleType | None) -> bool:
    """Whether a module's source is copied: trainsmith's and a user's own, not that of installed packages."""
    if module is None or not getattr(module, "__file__", None):
        return module is not None and module.__name__ == "__main__"
    path = Path(str(module.__file__)).resolve()
    return _is_ours(module) or not (str(path).startswith(_installed()) or PACKAGES & {*path.parts})


@functools.cache
def _installed() -> tuple[str, ...]:
    return tuple(f"{Path(sysconfig.get_path(p)).resolve()}{os.sep}" for p in INSTALLED)


def _home(module: str, name: str) -> ModuleType:
    """The module in whose source the constant that `module` has as `name` is written."""
    found = sys.modules[module]
    node = _statement(found, name)
    return _home(origin_of(found, node), name) if isinstance(node, ast.ImportFrom) else found


@functools.cache
def _text(module: ModuleType) -> str:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError) as error:
        raise InvalidInput(f"the source of {module.__name__} is not there, so it cannot be exported.") from error


@functools.cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(_text(module))


@functools.cache
def _stars(module: ModuleType) -> list[ast.ImportFrom]:
    """The statements `from x import *` of a module."""
    return [n for n in ast.walk(_tree(module)) if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"]


@functools.cache
def _read(module: ModuleType) -> tuple[SourceText, dict[str, list[ast.stmt]]]:
    """A module's source, and for each name at its top the statements that bind it."""
    found: dict[str, list[ast.stmt]] = {}
    for node in _top(_tree(module).body):
        for name in _bound(node):
            found.setdefault(name, []).append(node)
    return SourceText(_text(module)), found


def _statement(module: ModuleType, name: str) -> ast.stmt | None:
    """The statement at the top of a module that gave `name` its value, if one did. See binding."""
    candidates = _read(module)[1].get(name)
    return None if candidates is None else binding(module, name, candidates)


def _top(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """A module's statements, also those inside of if and try."""
    for node in body:
        yield node
        for part in ("body", "orelse", "handlers", "finalbody") if isinstance(node, (ast.If, ast.Try)) else ():
            inner = getattr(node, part, [])
            for statement in inner:
                yield from _top(statement.body if isinstance(statement, ast.ExceptHandler) else [statement])


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((a.asname or a.name).split(".")[0] for a in node.names)
    elif isinstance(node, ast.Assign):
        names = (n for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))
        yield from (n.id for n in names if isinstance(n.ctx, ast.Store))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
