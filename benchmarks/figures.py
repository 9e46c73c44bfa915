"""The plots that ``train_step.py`` and ``scaling.py`` leave beside their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLORS = {
    "published": "#808080",
    "reference": "#d95926",
    "fast": "#3987e5",
    "fast_memory_returned": "#9ec5f4",
    "fast_bfloat16": "#1f9e77",
}
PHASES = {
    "generator_forward": "generator\nforward",
    "critic_step": "critic\nstep",
    "generator_step": "generator\nstep",
    "cycle": "cycle\n5:1",
}
SETTINGS = {"batch": "images in the batch", "size": "pixels a side", "conditions": "conditions"}


def draw_steps(results: dict[str, Any], path: Path) -> None:
    """How many times faster than published each phase is, by variant; one panel a size."""
    figure = _figure(len(results["sizes"]))
    if figure is None:
        return
    panels = figure.subplots(1, len(results["sizes"]), squeeze=False, sharey=True)[0]
    for axes, one in zip(panels, results["sizes"], strict=True):
        ours = {name: values for name, values in one["variants"].items() if name != "published"}
        width = 0.84 / len(ours)
        for i, (name, values) in enumerate(ours.items()):
            ratios = [values[f"speedup_{phase}"] for phase in PHASES]
            places = [phase + (i + 0.5) * width - 0.42 for phase in range(len(PHASES))]
            label = name.replace("_", ", ", 1).replace("_", " ")
            bars = axes.bar(places, ratios, width, color=COLORS[name], label=label)
            axes.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], fontsize=7, padding=1)
        axes.axhline(1, color=COLORS["published"], linewidth=1, label="published")
        axes.set_xticks(range(len(PHASES)), PHASES.values(), fontsize=8)
        seconds = one["variants"]["published"]["cycle"]
        title = f"{one['size']} pixels, batch {one['batch']}\n(a published cycle: {seconds:.3g} s)"
        axes.set_title(title, fontsize=9)
        axes.margins(y=0.12)
        axes.grid(axis="y", alpha=0.25)
    panels[0].set_ylabel("times faster than published")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    _finish(figure, "Training steps", results, path)


def draw_scaling(results: dict[str, Any], path: Path) -> None:
    """Seconds and peak memory of a cycle against each of the settings."""
    scaling = results["scaling"]
    figure = _figure(len(scaling))
    if figure is None:
        return
    panels = figure.subplots(1, len(scaling), squeeze=False)[0]
    for axes, (name, rows) in zip(panels, scaling.items(), strict=True):
        at, seconds = ([row[key] for row in rows] for key in (name, "cycle"))
        axes.plot(at, seconds, marker="o", color=COLORS["fast"])
        axes.set_ylim(0, 1.1 * max(seconds))
        axes.set_xlabel(SETTINGS[name])
        axes.set_xticks(at)
        axes.grid(alpha=0.25)
        memory = axes.twinx()
        gibibytes = [row["peak_bytes"] / 2**30 for row in rows]
        memory.plot(at, gibibytes, marker="s", linestyle="--", color=COLORS["reference"])
        memory.set_ylim(0, 1.5 * max(gibibytes))  # or two flat curves would hide one another
        axes.set_ylabel("seconds of a cycle", color=COLORS["fast"], fontsize=9)
        memory.set_ylabel("peak memory, GiB", color=COLORS["reference"], fontsize=9)
        others = [f"{rows[0][key]} {word}" for key, word in (("size", "pixels"), ("batch", "images"))]
        fixed = [text for key, text in zip(("size", "batch"), others, strict=True) if key != name]
        axes.set_title(", ".join(fixed), fontsize=9)
    _finish(figure, "A fast cycle", results, path)


def _figure(panels: int) -> Any | None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no plot without matplotlib: pip install "aucond[docs]"')
        return None
    return Figure(figsize=(max(5.0, 4.0 * panels), 4.0), layout="constrained")


def _finish(figure: Any, title: str, results: dict[str, Any], path: Path) -> None:
    info = results["environment"]
    where = f"{info['device']}" + (f", {info['threads']} threads" if info["device_type"] == "cpu" else "")
    figure.suptitle(f"{title}, {where}", fontsize=11)
    figure.savefig(path, dpi=130)
    print(f"written: {path}")
