"""Which statement at the top of a module gave a name the value that it has."""

import ast
import inspect
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from trainsmith.errors import InvalidInput

COMPUTED = (
    ast.Constant, ast.Name, ast.Attribute, ast.Load, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.UnaryOp, ast.unaryop,
    ast.BinOp, ast.operator, ast.BoolOp, ast.boolop, ast.Compare, ast.cmpop, ast.IfExp,
)  # fmt: skip
"""What an expression may consist of to be computed once more: nothing is called."""


def binding(module: ModuleType, name: str, candidates: Sequence[ast.stmt]) -> ast.stmt:
    """Of the statements that bind `name`, in their order, the last that gives it its value, else the last that may.

    Raises InvalidInput where its value is another than any of them gives: a copy of the source would have the old one.
    """
    told = {_gives(module, name, node): node for node in candidates}
    if True in told or None in told:
        return told[True] if True in told else told[None]
    raise InvalidInput(
        f"'{name}' of {module.__name__} was changed after its definition, which a copy of the source would not "
        "know; give it its value where it is defined."
    )


def origin(module: ModuleType, node: ast.ImportFrom) -> str:
    """The full name of the module that a statement in `module` imports from."""
    if not node.level:
        return str(node.module)
    package = str(module.__package__).split(".")
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def _gives(module: ModuleType, name: str, node: ast.stmt) -> bool | None:
    """Whether the statement gives `name` the value that it has; None where that cannot be told."""
    value = vars(module).get(name)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return (value is not None and value is _imported(module, name, node)) or None
    if isinstance(node, ast.FunctionDef):
        return _defines(node, value)
    if isinstance(node, ast.ClassDef):
        return getattr(value, "__module__", None) == module.__name__ or None
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    expression: ast.expr | None = getattr(node, "value", None)
    if expression is None:  # a type alone
        return False
    computed = isinstance(target, ast.Name) and all(isinstance(n, COMPUTED) for n in ast.walk(expression))
    if not computed or ast.unparse(expression) in ("{}", "[]"):  # what is empty at first is there to be filled
        return None
    return _makes(expression, vars(module), value)


def _imported(module: ModuleType, name: str, node: ast.Import | ast.ImportFrom) -> Any:
    alias = next(a for a in node.names if (a.asname or a.name).split(".")[0] == name)
    if isinstance(node, ast.ImportFrom):
        return getattr(sys.modules.get(origin(module, node)), alias.name, None)
    return sys.modules.get(alias.name if alias.asname else name)


def _defines(node: ast.FunctionDef, value: Any) -> bool | None:
    code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
    if code is None or code.co_name != node.name:  # what a decorator made of it
        return None
    first = min([d.lineno for d in node.decorator_list], default=node.lineno)
    return first <= code.co_firstlineno <= (node.end_lineno or node.lineno) or None


def _makes(expression: ast.expr, names: dict[str, Any], value: Any) -> bool | None:
    try:
        made = eval(compile(ast.Expression(expression), "a value", "eval"), dict(names))
        return made is value or bool(made == value)
    except Exception:  # a name that is gone by now, arrays that are compared number by number
        return None
