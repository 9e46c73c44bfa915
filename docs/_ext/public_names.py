"""The API pages: every name of a package's ``__all__``, grouped by the file that defines it.

``.. public-names:: aucond.losses`` writes one section per file, with the file's docstring as its introduction, and
documents the names under the package they are imported from (``aucond.losses.Hinge``, wherever that is defined).
``.. name-table:: aucond`` writes a table of all names with links. Nothing is listed by hand, so nothing is forgotten.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

import aucond

# Where a name is documented: the first of these packages that exports it.
PACKAGES = (
    "aucond.conditions",
    "aucond.losses",
    "aucond.nn",
    "aucond.ops",
    "aucond.recipes",
    "aucond.data",
    "aucond.faces",
    "aucond.metrics",
    "aucond.train",
    "aucond.edit",
    "aucond",
)


def exported(package: str) -> list[str]:
    """The names of a package's ``__all__``, ``__version__`` and its like left out."""
    return [name for name in importlib.import_module(package).__all__ if not name.startswith("_")]


@dataclass(frozen=True)
class Definition:
    """Where a name is defined, and the string literal below it if it is data."""

    module: str
    order: int
    doc: str
    is_data: bool


@cache
def definitions() -> dict[str, list[Definition]]:
    """Every top-level definition of the library that its own module exports, by name, read from the sources."""
    root = Path(aucond.__file__).parent
    found: dict[str, list[Definition]] = {}
    for path in sorted(root.rglob("*.py")):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        module = ".".join(parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for order, (node, after) in enumerate(zip(tree.body, [*tree.body[1:], None], strict=True)):
            for name, is_data in _defined(node):
                doc = _string(after) if is_data else ""
                found.setdefault(name, []).append(Definition(module, order, doc, is_data))
    return found


def _defined(node: ast.stmt) -> list[tuple[str, bool]]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [(node.name, False)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [(node.target.id, True)]
    if isinstance(node, ast.Assign):
        return [(target.id, True) for target in node.targets if isinstance(target, ast.Name)]
    return []


def _string(node: ast.stmt | None) -> str:
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ):
        return inspect.cleandoc(node.value.value)
    return ""


def definition(package: str, name: str) -> Definition:
    """The definition behind ``package.name``."""
    candidates = definitions().get(name, [])
    inside = [d for d in candidates if f"{d.module}.".startswith(f"{package}.")]
    value = getattr(importlib.import_module(package), name)
    own = [d for d in candidates if d.module == getattr(value, "__module__", None)]
    chosen = own or inside
    if len(chosen) != 1:
        raise ExtensionError(f"{package}.{name}: expected one definition in the sources, found {candidates}")
    return chosen[0]


@cache
def home(name: str) -> str:
    """The package under which a public name is documented, or ''."""
    for package in PACKAGES:
        if name in exported(package):
            return package
    return ""


class PublicNames(SphinxDirective):
    """All names of a package that are documented under it, in sections by defining file."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        package = self.arguments[0]
        groups: dict[str, list[tuple[int, str]]] = {}
        for name in exported(package):
            if home(name) == package:
                found = definition(package, name)
                groups.setdefault(found.module, []).append((found.order, name))
        lines: list[str] = []
        for module in sorted(groups, key=lambda m: (m.count("."), m)):
            lines += self._heading(module, package)
            for _, name in sorted(groups[module]):
                lines += [*_directive(package, name), ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)

    def _heading(self, module: str, package: str) -> list[str]:
        if module == package:
            return ["In this package", "---------------", ""]
        doc = inspect.getdoc(importlib.import_module(module)) or module
        first, _, rest = doc.partition("\n\n")
        title, colon, _ = " ".join(first.split()).rstrip(".").partition(":")
        sentence = [" ".join(first.split()), ""] if colon else []
        # A file may bear the name of the one function in it; then that function keeps the name.
        taken = module.rpartition(".")[2] in exported(package)
        target = [
            f".. py:module:: {module}",
            "   :no-contents-entry:",
            "",
            f".. py:currentmodule:: {package}",
            "",
        ]
        target = [] if taken else target
        return [title, "-" * len(title), "", *target, *sentence, *rest.splitlines(), ""]


def _directive(package: str, name: str) -> list[str]:
    value = getattr(importlib.import_module(package), name)
    found = definition(package, name)
    if found.is_data:
        if not found.doc:
            raise ExtensionError(f"{found.module}.{name}: expected a docstring below the definition")
        body = [f"   {line}" for line in found.doc.splitlines()]
        return [f".. py:data:: {name}", f"   :module: {package}", f"   :type: {_type_of(value)}", "", *body]
    if inspect.isclass(value):
        return [f".. autoclass:: {package}.{name}", "   :members:"]
    return [f".. autofunction:: {package}.{name}"]


def _type_of(value: Any) -> str:
    if typing.get_origin(value) is not None:
        return "TypeAlias"
    return "dict" if isinstance(value, Mapping) else type(value).__name__


class NameTable(SphinxDirective):
    """A table of all names of a package: a link, the package it is documented under, its first line."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        package = self.arguments[0]
        table = nodes.table(classes=["name-table"])
        group = nodes.tgroup(cols=2)
        table += group
        group += [nodes.colspec(colwidth=30), nodes.colspec(colwidth=70)]
        head, body = nodes.thead(), nodes.tbody()
        head += _row([nodes.Text("Name")], [nodes.Text("What it is")])
        group += [head, body]
        for name in sorted(exported(package), key=str.lower):
            target = f"{home(name)}.{name}"
            reference = addnodes.pending_xref(
                "", nodes.literal("", name), refdomain="py", reftype="obj", reftarget=target, refexplicit=True
            )
            words, messages = self.parse_inline(first_line(package, name))
            body += _row([reference], words)
            table += messages
        return [table]


def _row(*cells: list[nodes.Node]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += nodes.paragraph("", "", *cell)
        row += entry
    return row


def first_line(package: str, name: str) -> str:
    """The first paragraph of a public name's docstring."""
    value = getattr(importlib.import_module(package), name)
    found = definition(package, name)
    doc = found.doc if found.is_data else inspect.getdoc(value) or ""
    return " ".join(doc.partition("\n\n")[0].split())


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Lead any spelling of a public name (bare, ``aucond.X``, by its file) to where it is documented."""
    if node.get("refdomain") != "py":
        return None
    parts = node["reftarget"].lstrip("~.").split(".")
    objects = env.get_domain("py").data["objects"]
    for count in (1, 2):
        if len(parts) < count or not (len(parts) == count or parts[0] == "aucond"):
            continue
        package = home(parts[-count])
        found = objects.get(f"{package}.{'.'.join(parts[-count:])}") if package else None
        if found is not None:
            title = f"{package}.{'.'.join(parts[-count:])}"
            return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, content, title)
    # A name that exists but is not public stays text; one that exists nowhere is left to the warning.
    return content if parts[-1] in definitions() else None


def api_pages(app: Sphinx, env: BuildEnvironment, *changes: set[str]) -> list[str]:
    """Have the API pages read anew in every build: they depend on sources that Sphinx does not watch."""
    return [name for name in env.found_docs if name.startswith("api/")]


def keep_colons(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Stop napoleon from reading the first words of an attribute's docstring, up to a colon, as its type."""
    if what in ("attribute", "data", "property") and lines:
        lines[0] = f": {lines[0]}"  # an empty type and a colon


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("public-names", PublicNames)
    app.add_directive("name-table", NameTable)
    app.connect("env-get-outdated", api_pages)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
