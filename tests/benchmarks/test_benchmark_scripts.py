"""Every benchmark runs with ``--quick`` and writes what the documentation reads."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    "conditioning",
    "example",
    "gradient_penalty",
    "loader",
    "mask_blend",
    "mask_weights",
    "scaling",
    "train_step",
]
MORE = {"mask_blend": ["--no-compile"]}
WITH_A_PLOT = {"mask_blend", "scaling", "train_step"}


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "benchmarks" / f"{script}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=280)


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers(v)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_quick_run_writes_finite_figures_that_the_documentation_can_show(
    script: str, tmp_path: Path
) -> None:
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    tables = importlib.import_module("benchmark_tables")
    results = importlib.import_module("benchmark_results")
    ran = run(script, "--quick", "--threads", "1", "--output", str(tmp_path), *MORE.get(script, []))
    assert ran.returncode == 0, ran.stderr[-3000:]
    [path] = tmp_path.glob("*.json")
    assert path.with_suffix(".png").exists() == (script in WITH_A_PLOT)
    assert path.stem == f"{script}_cpu" and path.stem in results.COMMANDS
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["environment"]["quick"] is True and found["environment"]["torch"] == torch.__version__
    assert len(numbers(found)) > 5 and all(math.isfinite(n) and n >= 0 for n in numbers(found))
    shown = [name for name in tables.TABLES if tables.SOURCES.get(name, name) == script]
    assert shown
    for name in shown:
        rows = tables.TABLES[name](found)
        assert rows and all(row.keys() == rows[0].keys() for row in rows)
        assert all(
            isinstance(cell, str) and cell and "nan" not in cell for row in rows for cell in row.values()
        )


def test_the_video_benchmark_measures_memory_in_processes_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("av", reason='needs PyAV: pip install "aucond[video]"')
    pytest.importorskip("dlib", reason='needs dlib: pip install "aucond[detect]"')
    output = tmp_path / "video.json"
    lengths = ["--seconds", "0.4", "--sway-seconds", "0.4", "--sway-size", "96", "--lengths", "0.2", "0.4"]
    ran = run("video", *lengths, "--output", str(output))
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(output.read_text(encoding="utf-8"))
    assert [row["seconds"] for row in found["memory"]] == [0.2, 0.4]
    assert all(row["rss_peak_mib"] >= row["rss_before_mib"] > 50 for row in found["memory"])
    assert all(math.isfinite(n) and n >= 0 for n in numbers(found))


def test_a_device_that_is_not_there_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    ran = run("gradient_penalty", "--device", "cuda")
    assert ran.returncode == 1 and "--device cuda: no CUDA device is available here" in ran.stderr
