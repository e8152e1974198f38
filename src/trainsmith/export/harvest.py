"""The source of a technique on its own: its definition and all that it needs, without trainsmith.

A technique is short, readable code that works on tensors. What trainsmith adds around it, the entry in the catalogue,
the shapes in the signature, the checks of what a user gave, the examples in the docstring, is taken off; comments,
formula and paper stay.
"""

import ast
import functools
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from trainsmith.errors import InvalidInput
from trainsmith.export.trimmed import SourceText, Trimmed
from trainsmith.optimizer import Optimizer
from trainsmith.optimizer.plain import Optimizer as PlainOptimizer


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
        return self._define(sys.modules[thing.__module__], thing.__qualname__)

    def _define(self, module: ModuleType, name: str) -> str:
        key = (module.__name__, name)
        if key in self._names:
            return self._names[key]
        source, statements = _read(module)
        if name not in statements:
            raise InvalidInput(
                f"'{name}' of {module.__name__} is defined inside something else; define it at the top of a file."
            )
        given = name
        while given in self._names.values():
            given += "_"
        self._names[key] = given
        node = statements[name]
        trimmed = Trimmed(source, node)
        for used in trimmed.used:
            found = given if used.id == name else self._resolve(module, used.id, statements)
            if found != used.id:
                trimmed.replace(source.span(used), found)
        if given != name and isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            trimmed.replace(source.name_of(node), given)
        self._parts[given] = trimmed.text()
        return given

    def _resolve(self, module: ModuleType, name: str, statements: dict[str, ast.stmt]) -> str:
        """Make sure that `name`, used in `module`, is known in the text; what it is called there."""
        if name in ("InvalidInput", "unknown_name"):
            return "ValueError"
        node = statements.get(name)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return self._import(module, name, node)
        return name if node is None else self._define(module, name)

    def _import(self, module: ModuleType, name: str, node: ast.Import | ast.ImportFrom) -> str:
        alias = next(a for a in node.names if (a.asname or a.name).split(".")[0] == name)
        origin = str(node.module) if isinstance(node, ast.ImportFrom) else alias.name
        if origin.split(".")[0] != "trainsmith":
            before = f"from {origin} " if isinstance(node, ast.ImportFrom) else ""
            self.imports[f"{before}import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")] = None
            return name
        value = vars(module)[name]
        if isinstance(value, ModuleType):
            raise InvalidInput(f"{module.__name__} uses the whole of {value.__name__}, which cannot be exported.")
        if inspect.isfunction(value) or inspect.isclass(value):
            return self.add(value)
        return self._define(_home(origin, alias.name), alias.name)


def _home(module: str, name: str) -> ModuleType:
    """The module in whose source the constant that `module` has as `name` is written."""
    found = sys.modules[module]
    node = _read(found)[1].get(name)
    return _home(str(node.module), name) if isinstance(node, ast.ImportFrom) else found


@functools.cache
def _read(module: ModuleType) -> tuple[SourceText, dict[str, ast.stmt]]:
    """A module's source, and for each name at its top the statement that binds it."""
    try:
        text = inspect.getsource(module)
    except (OSError, TypeError) as error:
        raise InvalidInput(f"the source of {module.__name__} is not there, so it cannot be exported.") from error
    return SourceText(text), {name: node for node in ast.parse(text).body for name in _bound(node)}


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((a.asname or a.name).split(".")[0] for a in node.names)
    elif isinstance(node, ast.Assign):
        yield from (n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
