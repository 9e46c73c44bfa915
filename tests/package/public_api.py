"""The public surface of ``import aucond`` as text: every name with its signature.

``python tests/package/public_api.py`` prints it, with ``--write`` it becomes the new ``public_api.txt``.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import sys
import typing
from pathlib import Path
from typing import Any

_KINDS = inspect.Parameter
_STARS = {
    _KINDS.POSITIONAL_ONLY: "",
    _KINDS.POSITIONAL_OR_KEYWORD: "",
    _KINDS.KEYWORD_ONLY: "",
    _KINDS.VAR_POSITIONAL: "*",
    _KINDS.VAR_KEYWORD: "**",
}
SNAPSHOT = Path(__file__).with_name("public_api.txt")


def describe_api() -> str:
    """One line a name, and one, indented, a public member of a class."""
    import aucond

    lines: list[str] = []
    for name in sorted(aucond.__all__):
        lines += _describe(name, getattr(aucond, name))
    return "\n".join(lines) + "\n"


def _describe(name: str, value: Any) -> list[str]:
    if inspect.isclass(value):
        if getattr(value, "_is_protocol", False):
            return [f"protocol {name}", *(f"    {line}" for line in _members(value))]
        return [f"class {name}{_signature(value)}", *(f"    {line}" for line in _members(value))]
    if inspect.isfunction(value):
        return [f"def {name}{_signature(value)}"]
    if typing.get_origin(value) is not None:
        return [f"type {name}"]
    return [f"{name}: {type(value).__name__}"]


def _members(cls: type) -> list[str]:
    lines = [
        f"{name}: {_annotation(kind)}"
        for name, kind in sorted(inspect.get_annotations(cls).items())
        if _public(name)
    ]
    if dataclasses.is_dataclass(cls):
        lines = []  # its fields are in the signature
    for name, member in sorted(vars(cls).items()):
        if not _public(name) or name in inspect.get_annotations(cls):
            continue
        if isinstance(member, staticmethod | classmethod):
            lines.append(f"{type(member).__name__} {name}{_signature(member.__func__)}")
        elif inspect.isfunction(member):
            lines.append(f"def {name}{_signature(member)}")
        elif isinstance(member, property):
            lines.append(f"property {name}")
    return lines


def _public(name: str) -> bool:
    return not name.startswith("_") or name == "__call__"


def _signature(value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parts: list[str] = []
    star = slash = False
    for parameter in signature.parameters.values():
        if slash and parameter.kind is not parameter.POSITIONAL_ONLY:
            parts.append("/")
        slash = parameter.kind is parameter.POSITIONAL_ONLY
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        text = _STARS[parameter.kind] + parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {_annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {_default(parameter.default)}"
        parts.append(text)
    result = signature.return_annotation
    arrow = "" if result is signature.empty else f" -> {_annotation(result)}"
    return f"({', '.join(parts)}){arrow}"


def _annotation(kind: Any) -> str:
    # As it is written in the source, so that every version of Python and torch gives the same text.
    if isinstance(kind, typing.ForwardRef):
        return kind.__forward_arg__
    return kind if isinstance(kind, str) else inspect.formatannotation(kind)


def _default(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return str(value)
    plain = value is None or isinstance(value, bool | int | float | str | tuple)
    return repr(value) if plain else f"<{type(value).__name__}>"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        SNAPSHOT.write_text(describe_api(), encoding="utf-8")
    else:
        sys.stdout.write(describe_api())
