"""A definition's source without types, catalogue entry, checks of arguments and examples."""

import ast
import re
from collections.abc import Sequence
from typing import Any

NOT_EXPORTED = (
    "plain", "__getstate__", "groups", "trains_as_plain", "takes_out_the_mean", "least_axes", "kinds", "activations",
    "classifies", "gradients", "unmet", "fit_to", "afterwards",
)  # fmt: skip
"""Methods and attributes of classes that mean nothing outside trainsmith."""
CUT_AT = ("Differs:", "Pitfall:", "Helps:", ">>>")
"""The parts of a page from which on a docstring is left out."""
FIELDS = ("dataclass", "NamedTuple", "TypedDict", "attrs", "attr.", "define", "BaseModel")
"""Words among the decorators and bases of a class whose annotations are its fields."""
RAISES = re.compile(r"\s*Raises InvalidInput[^.]*\.")
MARKS = re.compile(r"[ \t]*# (type: ignore|fmt: skip|noqa)[^\n]*")


class SourceText:
    """A module's text and where its nodes stand in it, in bytes, as ast counts."""

    def __init__(self, text: str) -> None:
        self.bytes = text.encode()
        self.lines = [0]
        for line in self.bytes.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def span(self, node: Any) -> tuple[int, int]:
        """Where a node begins and ends."""
        begin, end = self.lines[node.lineno - 1], self.lines[node.end_lineno - 1]
        return begin + node.col_offset, end + node.end_col_offset

    def name_of(self, node: ast.FunctionDef | ast.ClassDef) -> tuple[int, int]:
        """Where the name of a definition begins and ends."""
        begin, _ = self.span(node)
        begin = self.bytes.index(node.name.encode(), begin)
        return begin, begin + len(node.name.encode())

    def lines_of(self, node: Any) -> tuple[int, int]:
        """The whole lines that a node stands on."""
        return self.lines[node.lineno - 1], self.lines[node.end_lineno]


class Trimmed(ast.NodeVisitor):
    """Visits a definition and notes what to take off it, and which names what is left uses.

    ours: whether it is trainsmith's. Of a user's own only the types are taken off.
    """

    def __init__(self, source: SourceText, node: ast.stmt, ours: bool = True) -> None:
        self.source, self.ours = source, ours
        self.edits: list[tuple[int, int, str]] = []
        self.used: list[ast.Name] = []
        self._top = node
        kept = [d for d in getattr(node, "decorator_list", ()) if not _is_entry(d)]
        self.decorators = [ast.unparse(d) for d in kept]
        said = [*self.decorators, *map(ast.unparse, getattr(node, "bases", ()))]
        self._has_fields = any(word in text for word in FIELDS for text in said)
        self._own: list[set[str]] = []
        for decorator in kept:
            self.visit(decorator)
        self.edits.clear()
        self.visit(node)

    def text(self) -> str:
        """The definition with all edits made; an edit inside another is dropped."""
        begin, end = self.source.span(self._top)
        text, position = b"", begin
        for first, last, new in sorted(self.edits, key=lambda e: (e[0], -e[1])):
            if first >= position:
                text += self.source.bytes[position:first] + new.encode()
                position = last
        text += self.source.bytes[position:end]
        return "".join(f"@{d}\n" for d in self.decorators) + MARKS.sub("", text.decode())

    def replace(self, span: tuple[int, int], new: str = "") -> None:
        """Put `new` in the place of the bytes `span`."""
        self.edits.append((*span, new))

    def visit_Name(self, node: ast.Name) -> None:
        if not any(node.id in own for own in self._own):
            self.used.append(node)

    def visit_arg(self, node: ast.arg) -> None:
        if node.annotation is not None:
            self.replace(self.source.span(node), node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node is not self._top:
            for decorator in node.decorator_list:
                self.visit(decorator)
        if node.returns is not None:
            begin, end = self.source.span(node.returns)
            self.replace((self.source.bytes.rindex(b"->", 0, begin), end))
        self.visit(node.args)
        self._own.append(own_names(node))
        self._body(node.body)
        self._own.pop()

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self._own.append(own_names(node))
        self.visit(node.body)
        self._own.pop()

    def _comprehension(self, node: Any) -> None:
        targets = (n for part in node.generators for n in ast.walk(part.target))
        self._own.append({n.id for n in targets if isinstance(n, ast.Name)})
        self.generic_visit(node)
        self._own.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        around = [] if node is self._top else node.decorator_list
        for part in (*node.bases, *(keyword.value for keyword in node.keywords), *around):
            self.visit(part)
        self._body(node.body, in_class=True)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if self._has_fields:  # its annotations are its fields
            self.visit(node.annotation)
            if node.value is not None:
                self.visit(node.value)
            return
        if node.value is None:
            begin, end = self.source.lines_of(node)
            self.replace((begin, end), "" if self.ours else " " * node.col_offset + "pass\n")
            return
        self.replace((self.source.span(node.target)[1], self.source.span(node.annotation)[1]))
        self.visit(node.value)
        self.visit(node.target)

    def _body(self, body: Sequence[ast.stmt], in_class: bool = False) -> None:
        if not self.ours:
            for node in body:
                self.visit(node)
            return
        kept = 0
        for i, node in enumerate(body):
            if i == 0 and _is_text(node):
                self._docstring(node)
                kept += 1
            elif _is_text(node) or _is_check(node) or (in_class and _left_out(node)):
                first = min([d.lineno for d in getattr(node, "decorator_list", ())], default=node.lineno)
                self.replace((self.source.lines[first - 1], self.source.lines_of(node)[1]))
            else:
                self.visit(node)
                kept += self._has_fields or not (isinstance(node, ast.AnnAssign) and node.value is None)
        if not kept:
            begin, end = self.source.lines_of(body[0])
            self.replace((begin, end), " " * body[0].col_offset + "pass\n")

    def _docstring(self, node: ast.stmt) -> None:
        value: Any = node.value  # type: ignore[attr-defined]
        paragraphs: list[str] = []
        for paragraph in value.value.rstrip().split("\n\n"):
            if paragraph.strip().startswith(CUT_AT):
                break
            paragraphs.append(paragraph)
        text = RAISES.sub("", "\n\n".join(paragraphs)).replace("\\", "\\\\")
        indent = " " * node.col_offset
        many = "\n" in text
        self.replace(self.source.span(node), f'"""{text.rstrip()}' + (f"\n{indent}" if many else "") + '"""')


def _left_out(node: ast.stmt) -> bool:
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    names = [getattr(t, "id", "") for t in targets]
    return getattr(node, "name", "") in NOT_EXPORTED or any(name in NOT_EXPORTED for name in names)


def _is_entry(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "technique"


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_check(node: ast.stmt) -> bool:
    """Whether a statement only refuses what cannot be: its numbers are fixed in what is exported."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return getattr(node.value.func, "id", "").startswith(("_check", "check_"))
    if isinstance(node, ast.If) and len(node.body) == 1 and not node.orelse:
        (only,) = node.body
        raised = only.exc if isinstance(only, ast.Raise) else None
        return isinstance(raised, ast.Call) and getattr(raised.func, "id", "") in ("InvalidInput", "ValueError")
    return False


def own_names(function: ast.FunctionDef | ast.Lambda) -> set[str]:
    """The names that mean something of the function's own inside it: its arguments and whatever it binds."""
    arguments = function.args
    single = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    names = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *single)}
    shared: set[str] = set()
    waiting: list[ast.AST] = list(function.body) if isinstance(function, ast.FunctionDef) else [function.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
            continue
        if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            shared |= set(node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        waiting += ast.iter_child_nodes(node)
    return names - shared
