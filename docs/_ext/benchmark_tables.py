"""Tables of measured figures, read from ``benchmarks/results`` when the documentation is built.

No figure of a measurement is typed by hand. ``.. benchmark-goals::`` writes the table of goals, and
``.. benchmark-table:: train_step_cpu`` what a results file holds; where a file is missing, both say which command
makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmark_results import COMMANDS, GOALS, RESULTS, Rows, device, goal_rows, load, missing, seconds, times
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def train_step_rows(results: dict[str, Any]) -> Rows:
    """Per size and variant the seconds of each phase, and what follows from them."""
    rows: Rows = []
    for one in results["sizes"]:
        for name, v in one["variants"].items():
            rows.append(
                {
                    "Size": f"{one['size']} px, batch {one['batch']}",
                    "Steps": name.replace("_", ", ", 1).replace("_", " "),
                    "Generator forward": seconds(v["generator_forward"]),
                    "Critic step": seconds(v["critic_step"]),
                    "Generator step": seconds(v["generator_step"]),
                    "Cycle 5:1": seconds(v["cycle"]),
                    "Against published": times(v["speedup_cycle"]),
                    "Critic images/s": f"{v['critic_images_per_second']:.3g}",
                    "GFLOP/image, cycle": f"{v['flops_cycle'] / 1e9:.1f}",
                    "Share of matrix rate": f"{v['share_of_rate_cycle']:.0%}",
                    "Peak memory": f"{v['memory_over_start'] / 2**30:.2f} GiB",
                    "Of published": times(v["memory_ratio"]),
                }
            )
    return rows


def projection_rows(results: dict[str, Any]) -> Rows:
    """What the paper's whole training takes at the measured pace, per size and variant."""
    return [
        {
            "Size": f"{one['size']} px, batch {one['batch']}",
            "Steps": name.replace("_", ", ", 1).replace("_", " "),
            "Cycle 5:1": seconds(v.get("steady_cycle", v["cycle"])),
            "The paper's training": f"{v['paper_training_hours']:.3g} hours",
        }
        for one in results["sizes"]
        for name, v in one["variants"].items()
    ]


def mask_blend_rows(results: dict[str, Any]) -> Rows:
    """Forward and backward together, per size and batch; on a CPU with freed memory kept and given back."""
    on_cpu = results["environment"]["device_type"] == "cpu"
    return [
        {
            "Images": f"{row['batch']} x {row['size']} px",
            **({"Freed memory": "kept" if row["memory_kept"] else "given back"} if on_cpu else {}),
            "Blend": row["blend"],
            "Milliseconds": f"{row['milliseconds']:.3g}",
            "Against eager": times(row["speedup"]),
            "Share of copy bandwidth": f"{row['share_of_bandwidth']:.0%}",
        }
        for row in results["rows"]
        if row["phase"] == "both"
    ]


def gradient_penalty_rows(results: dict[str, Any]) -> Rows:
    """Both methods, per size."""
    return [
        {
            "Images": f"{row['batch']} x {row['size']} px",
            "Autograd": seconds(row["autograd_seconds"]),
            "Explicit": seconds(row["explicit_seconds"]),
            "Faster by": times(row["speedup"]),
            "Operations saved": times(row["flops_ratio"]),
            "Difference in float64": f"{row['difference_float64']:.1e}",
        }
        for row in results["rows"]
    ]


def loader_rows(results: dict[str, Any]) -> Rows:
    """Every way of loading."""
    return [
        {"Loader": row["loader"], "Images/s": f"{row['images_per_second']:,.0f}"} for row in results["rows"]
    ]


def scaling_rows(results: dict[str, Any]) -> Rows:
    """Against each of the settings."""
    return [
        {
            "Size": f"{row['size']} px",
            "Batch": str(row["batch"]),
            "Conditions": str(row["conditions"]),
            "Cycle 5:1": seconds(row["cycle"]),
            "Critic images/s": f"{row['critic_images_per_second']:.3g}",
            "Peak memory": f"{row['peak_bytes'] / 2**30:.2f} GiB",
        }
        for rows in results["scaling"].values()
        for row in rows
    ]


def two_processes_rows(results: dict[str, Any]) -> Rows:
    """One process and two, on one batch."""
    found = results["two_processes"]
    return [
        {
            "Processes": str(one["processes"]),
            "Cycle 5:1": seconds(one["cycle"]),
            "Efficiency": "1" if one["processes"] == 1 else f"{found['efficiency']:.2f}",
        }
        for one in found["processes"]
    ]


def example_rows(results: dict[str, Any]) -> Rows:
    """The example at both speeds."""
    return [
        {
            "Steps": row["speed"],
            "Cycle": seconds(row["cycle"]),
            f"Training of the preset {results['preset']}": f"{row['training_minutes']:.1f} minutes",
            "Peak memory": f"{row['peak_bytes'] / 2**30:.2f} GiB",
        }
        for row in results["rows"]
    ]


def conditioning_rows(results: dict[str, Any]) -> Rows:
    """Mean and deviation over the seeds, per variant of the generator."""

    def spread(figure: dict[str, float]) -> str:
        return f"{figure['mean']:.3f} ± {figure['deviation']:.3f}"

    return [
        {
            "Generator": variant,
            "Seeds": str(len(results["runs"][variant])),
            "IED(edit, truth) / IED(source, truth)": spread(figures["ied_ratio"]),
            "Action units' error, edit": spread(figures["condition_error_edit"]),
            "source": spread(figures["condition_error_source"]),
            "truth": spread(figures["condition_error_truth"]),
            "Mask mean": spread(figures["attention_mean"]),
        }
        for variant, figures in results["summary"].items()
    ]


MASK = {
    "attention_mean": ("Mask mean", ".3f"),
    "attention_saturated": ("Saturated", ".0%"),
    "attention_tv": ("Total variation", ".1f"),
    "ied_ratio": ("IED(edit, truth) / IED(source, truth)", ".2f"),
}


def mask_figures(report: dict[str, float]) -> dict[str, str]:
    """What is said of a mask and of the edits that it makes."""
    return {title: format(report[name], form) for name, (title, form) in MASK.items()}


def mask_collapse_rows(results: dict[str, Any]) -> Rows:
    """Before, collapsed and healed, for both ends."""
    return [
        {"Run": f"{name.replace('_', ' ')}: {when}", **mask_figures(report)}
        for name, one in results["collapse"].items()
        for when, report in one["reports"].items()
    ]


def mask_tv_rows(results: dict[str, Any]) -> Rows:
    """One row for each weight of the total variation."""
    return [{"Weight": f"{row['weight']:g}", **mask_figures(row)} for row in results["total_variation"]]


TABLES: dict[str, Callable[[dict[str, Any]], Rows]] = {
    "train_step": train_step_rows,
    "projection": projection_rows,
    "mask_blend": mask_blend_rows,
    "gradient_penalty": gradient_penalty_rows,
    "loader": loader_rows,
    "scaling": scaling_rows,
    "two_processes": two_processes_rows,
    "example": example_rows,
    "conditioning": conditioning_rows,
    "mask_collapse": mask_collapse_rows,
    "mask_tv": mask_tv_rows,
}
# Tables that are made of another benchmark's file.
SOURCES = {
    "projection": "train_step",
    "two_processes": "scaling",
    "mask_collapse": "mask_weights",
    "mask_tv": "mask_weights",
}


class BenchmarkGoals(SphinxDirective):
    """Every goal, what was reached, on what and with which command."""

    def run(self) -> list[nodes.Node]:
        for goal in GOALS:
            self.env.note_dependency(str(RESULTS / f"{goal.file}.json"))
        return [_table(goal_rows())]


class BenchmarkTable(SphinxDirective):
    """One table of measured figures, or what to run for it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        kind, _, place = self.arguments[0].rpartition("_")
        file = f"{SOURCES.get(kind, kind)}_{place}"
        if kind not in TABLES or file not in COMMANDS:
            wanted = f"one of {', '.join(sorted(TABLES))}, with _cpu or _cuda"
            raise self.error(f"benchmark-table: expected {wanted}, got {self.arguments[0]!r}")
        self.env.note_dependency(str(RESULTS / f"{file}.json"))
        results = load(file)
        if results is None:
            return [_paragraph(missing(file)[0].upper() + missing(file)[1:] + ".")]
        info = results["environment"]
        said = f"Measured {info['date']} on {device(results)}, torch {info['torch']}: `{COMMANDS[file]}`."
        return [_paragraph(said), _table(TABLES[kind](results))]


def _paragraph(text: str) -> nodes.paragraph:
    """Text in which backticks mark code."""
    found = nodes.paragraph()
    for index, part in enumerate(text.split("`")):
        found += nodes.literal("", part) if index % 2 else nodes.Text(part)
    return found


def _table(rows: Rows) -> nodes.table:
    names = list(rows[0])
    table, group = nodes.table(), nodes.tgroup(cols=len(names))
    table += group
    group += [nodes.colspec(colwidth=1) for _ in names]
    head, body = nodes.thead(), nodes.tbody()
    group += [head, body]
    head += _row(names)
    body += [_row([row[name] for name in names]) for row in rows]
    return table


def _row(cells: list[str]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += _paragraph(cell)
        row += entry
    return row


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("benchmark-goals", BenchmarkGoals)
    app.add_directive("benchmark-table", BenchmarkTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
