"""Signatures as they are written: a mixin's ``__new__`` must not hide a class's own arguments."""

from __future__ import annotations

import inspect
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.inspect import signature, stringify_signature

HIDDEN = "(*args, **kwargs)"


def own_arguments(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, arguments: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """The arguments of ``__init__`` where only those of an inherited ``__new__`` would be shown."""
    if what not in ("class", "exception") or arguments != HIDDEN or not inspect.isfunction(obj.__init__):
        return None
    own = signature(obj.__init__, bound_method=True)
    return stringify_signature(own, show_return_annotation=False, unqualified_typehints=True), returned


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-signature", own_arguments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
