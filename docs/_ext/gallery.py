"""The gallery's pictures: what the page's own Python blocks write when the documentation is built.

The blocks run one after the other in an empty folder, as a reader would run them; every PNG file they leave there
goes to ``_generated``, where the page shows it. So no picture can be of other code than what stands above it. The
curves of the mask come from ``benchmarks/results/mask_weights_cpu.json``.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from benchmark_results import RESULTS, load
from generated import BLUE, INK, ORANGE, style, svg, write
from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from aucond.train import WATCHES

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(page: Path, folder: Path) -> None:
    """Run the Python blocks of a page, one after the other, in a folder."""
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "__page__"}
    with inside(folder), torch.random.fork_rng(devices=[]), redirect_stdout(io.StringIO()):
        for block in BLOCK.finditer(text):
            # Errors name the page's own lines.
            code = "\n" * text.count("\n", 0, block.start(1)) + block[1]
            exec(compile(code, str(page), "exec"), namespace)  # noqa: S102


def curves() -> Figure:
    """How the mean of the mask went to an end and came back."""
    results = load("mask_weights_cpu")
    if results is None:
        raise ExtensionError(f"{RESULTS}/mask_weights_cpu.json is missing: run benchmarks/mask_weights.py")
    alarms: dict[str, float] = {watch.kind: watch.alarm for watch in WATCHES}
    figure = Figure(figsize=(5.2, 6.0), layout="constrained")
    for place, (name, one) in enumerate(results["collapse"].items(), start=1):
        axes = figure.add_subplot(2, 1, place)
        steps, curve = one["steps"], one["curve"]
        heavy, cure = one["attention_weight"]["collapsed"], one["attention_weight"]["cured"]
        axes.plot(range(steps + 1), curve[: steps + 1], color=ORANGE, label=f"attention={heavy:g}")
        axes.plot(range(steps, len(curve)), curve[steps:], color=BLUE, label=f"attention={cure:g}")
        axes.axhline(alarms[f"collapsed_{name}"], color=INK, linewidth=1, linestyle=":", label="alarm")
        axes.set_title(f"collapse {name.replace('_', ' ')}, and the cure", fontsize=10)
        axes.set_xlabel("steps of both networks" if place == 2 else "")
        axes.set_ylabel("mean of the edit mask")
        axes.set_ylim(0, None if name == "to_0" else 1)
        axes.grid(color=INK, alpha=0.2, linewidth=0.6)
        axes.legend(fontsize=9)
    return figure


def draw(app: Sphinx) -> None:
    """Make all pictures of the gallery."""
    source = Path(app.srcdir)
    with style():
        write(source / "_generated" / "mask_collapse.svg", svg(curves()))
    with tempfile.TemporaryDirectory() as made:
        run(source / "gallery.md", Path(made))
        for path in sorted(Path(made).glob("*.png")):
            write(source / "_generated" / path.name, path.read_bytes())


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
