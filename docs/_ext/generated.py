"""Pictures that are made while the documentation is built: one look, one way to write them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Greys and hues that keep their contrast on the light and on the dark page: one file serves both.
INK, BLUE, ORANGE, GREEN = "#808080", "#3987e5", "#d95926", "#199e70"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "aucond",
    "font.family": "sans-serif",
    "font.size": 10,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2,
    "legend.frameon": False,
}


def style() -> Any:
    """A context in which figures look as those of the other pages."""
    return matplotlib.rc_context(_STYLE)


def svg(figure: Figure) -> bytes:
    """A figure as a file that is the same in every build."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def write(path: Path, content: bytes) -> None:
    """Write a file; one that would not change is left alone, so that nothing is rebuilt for it."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        # Another build may be reading the file.
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(content)
        temporary.replace(path)
