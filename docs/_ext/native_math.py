"""Equations as MathML, which every current browser draws by itself: no script, no web font, no LaTeX installation.

The conversion is docutils' own, so the documentation needs nothing beyond what Sphinx already brings.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def _mathml(node: nodes.Element, *, block: bool) -> str:
    source = node.astext()
    try:
        # A stretching bar with an index is drawn too low: the bars of a norm keep the height of the line.
        return re.sub(
            r"<mo( class=\"\w+\")?>([‖|])</mo>",
            r'<mo stretchy="false"\1>\2</mo>',
            tex2mathml(source, as_block=block),
        )
    except SyntaxError as error:
        logger.warning("equation cannot be converted to MathML: %s: %s", error, source, location=node)
        return f"<code>{nodes.unescape(source)}</code>"


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def visit_displaymath(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="equation">{_mathml(node, block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("native", (visit_math, None), (visit_displaymath, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
