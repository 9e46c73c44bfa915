"""The goals, and what the files in ``benchmarks/results`` say of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
COMMANDS = {
    "train_step_cpu": "python benchmarks/train_step.py",
    "train_step_cuda": "python benchmarks/train_step.py --device cuda --steady 120",
    "mask_blend_cpu": "python benchmarks/mask_blend.py",
    "mask_blend_cuda": "python benchmarks/mask_blend.py --device cuda",
    "gradient_penalty_cpu": "python benchmarks/gradient_penalty.py",
    "gradient_penalty_cuda": "python benchmarks/gradient_penalty.py --device cuda",
    "loader_cpu": "python benchmarks/loader.py",
    "loader_cuda": "python benchmarks/loader.py --device cuda",
    "scaling_cpu": "python benchmarks/scaling.py",
    "scaling_cuda": "python benchmarks/scaling.py --device cuda",
    "example_cpu": "python benchmarks/example.py",
    "example_cuda": "python benchmarks/example.py --device cuda",
    "conditioning_cpu": "python benchmarks/conditioning.py",
    "mask_weights_cpu": "python benchmarks/mask_weights.py",
}
Rows = list[dict[str, Any]]


def load(name: str) -> dict[str, Any] | None:
    """A results file, or None if it is not there or was made with ``--quick``, which measures nothing."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return None if found["environment"]["quick"] else found


@dataclass(frozen=True)
class Goal:
    """One row of the table of goals."""

    figure: str
    goal: str
    file: str
    reached: Callable[[dict[str, Any]], str]


def _train(results: dict[str, Any], variant: str, size: int = 128) -> dict[str, float]:
    sizes = {one["size"]: one["variants"] for one in results["sizes"]}
    found: dict[str, float] = sizes[size][variant]
    return found


def _memory_on_cpu(results: dict[str, Any]) -> str:
    kept, returned = (_train(results, name) for name in ("fast", "fast_memory_returned"))
    slower = (
        f"if the system gets it back, with a cycle {times(returned['speedup_cycle'])} the published speed"
    )
    return f"{times(kept['memory_ratio'])}; {times(returned['memory_ratio'])} {slower}"


def _penalty(results: dict[str, Any]) -> str:
    return times(next(row["speedup"] for row in results["rows"] if row["size"] == 128))


def _blend(results: dict[str, Any], size: int, batch: int, column: str, kept: bool = False) -> float:
    for row in results["rows"]:
        found = (row["size"], row["batch"], row["phase"], row["blend"], row["memory_kept"])
        if found == (size, batch, "both", "ours", kept):
            return float(row[column])
    return float("nan")


def _blend_on_cpu(results: dict[str, Any]) -> str:
    as_it_is, kept = (_blend(results, 128, 25, "speedup", kept) for kept in (False, True))
    return f"{times(as_it_is)}; {times(kept)} with freed memory kept, as in training"


def _worst_against_compiler(results: dict[str, Any]) -> str:
    both = [row for row in results["rows"] if row["phase"] == "both"]
    ours = {(r["size"], r["batch"]): r["milliseconds"] for r in both if r["blend"] == "ours"}
    theirs = {(r["size"], r["batch"]): r["milliseconds"] for r in both if r["blend"] == "compiled"}
    if not theirs:
        return "not compared: torch.compile did not run there"
    return f"at worst {times(min(theirs[key] / ours[key] for key in theirs))}"


def _loader(results: dict[str, Any]) -> str:
    best = {row["loader"]: row["images_per_second"] for row in results["rows"]}
    return f"{best['memory, flips']:,.0f} images/s with flips"


def times(value: float) -> str:
    """A ratio as text."""
    return f"{value:.2f}x"


GOALS = (
    Goal("cycle 5:1 against published, 128 px, batch 8, 2 threads", "at least 2x", "train_step_cpu",
         lambda r: times(_train(r, "fast")["speedup_cycle"])),
    Goal("the same with our own reference steps", "", "train_step_cpu",
         lambda r: times(_train(r, "reference")["speedup_cycle"])),
    Goal("critic penalty, explicit against autograd, 128 px", "at least 1.4x", "gradient_penalty_cpu", _penalty),
    Goal("generator inference against published, 128 px, batch 1", "at least 1.5x", "train_step_cpu",
         lambda r: times(_train(r, "fast")["speedup_inference"])),
    Goal("mask blend + TV + norm, forward and backward, 25 x 128 px", "at least 3x eager", "mask_blend_cpu",
         _blend_on_cpu),
    Goal("peak memory of the cycle against published", "at most 0.5x", "train_step_cpu",
         _memory_on_cpu),
    Goal("images a second of the loader alone", "more than training takes", "loader_cpu", _loader),
    Goal("cycle 5:1, bfloat16, against published in float32, 128 px, batch 25", "at least 5x", "train_step_cuda",
         lambda r: times(_train(r, "fast_bfloat16")["speedup_cycle"])),
    Goal("the paper's whole training, from a 2-minute steady run", "under 20 minutes, at most 60", "train_step_cuda",
         lambda r: f"{60 * _train(r, 'fast_bfloat16')['paper_training_hours']:.1f} minutes"),
    Goal("generator inference, 128 px, batch 1, CUDA graph", "under 1 ms", "train_step_cuda",
         lambda r: f"{1e3 * _train(r, 'fast_bfloat16')['inference_batch_1']:.2f} ms"),
    Goal("peak memory of the cycle against published", "at most 0.5x", "train_step_cuda",
         lambda r: times(_train(r, "fast_bfloat16")["memory_ratio"])),
    Goal("mask blend, 8 x 1024 px, share of copy bandwidth", "at least 85%", "mask_blend_cuda",
         lambda r: f"{_blend(r, 1024, 8, 'share_of_bandwidth'):.0%}"),
    Goal("mask blend, 8 x 1024 px, against eager", "at least 4x", "mask_blend_cuda",
         lambda r: times(_blend(r, 1024, 8, "speedup"))),
    Goal("mask blend against torch.compile, all sizes", "never slower", "mask_blend_cuda", _worst_against_compiler),
    Goal("images a second of the loader alone", "more than training takes", "loader_cuda", _loader),
)  # fmt: skip


def missing(file: str) -> str:
    """What to run for a figure that is not there; ``file`` is a key of COMMANDS."""
    where = "a CUDA machine" if file.endswith("_cuda") else "a quiet machine"
    return f"not measured: run `{COMMANDS[file]}` on {where}"


def goal_rows() -> Rows:
    """The table of goals."""
    rows: Rows = []
    for goal in GOALS:
        results = load(goal.file)
        command = f"`{COMMANDS[goal.file]}`"
        reached, where = missing(goal.file), "GPU" if goal.file.endswith("_cuda") else "CPU"
        if results is not None:
            reached, where = goal.reached(results), device(results)
        cells = (goal.figure, goal.goal, reached, where, command)
        rows.append(dict(zip(("Figure", "Goal", "Reached", "Device", "Command"), cells, strict=True)))
    return rows


def device(results: dict[str, Any]) -> str:
    """What was measured on, as text."""
    info = results["environment"]
    return f"{info['device']}" + (f", {info['threads']} threads" if info["device_type"] == "cpu" else "")


def seconds(value: float) -> str:
    """A duration as text."""
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"
