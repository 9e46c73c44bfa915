"""No line break inside a figure in a table: ``2.01 ± 0.43`` stays on one line."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SPACE = "\N{NO-BREAK SPACE}"


def join(app: Sphinx, document: nodes.document) -> None:
    """Put spaces that do not break around every ± in a table."""
    for table in document.findall(nodes.table):
        for text in list(table.findall(nodes.Text)):
            if " ± " in text:
                text.parent.replace(text, nodes.Text(text.replace(" ± ", f"{SPACE}±{SPACE}")))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", join)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
