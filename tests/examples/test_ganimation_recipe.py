"""The example as a person runs it, shortened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from aucond import ARKIT_BLENDSHAPES, OPENFACE_AUS, AttentionGenerator

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT.parent / "shared" / "data" / "ganimation_sample"


def run(output, *arguments):
    environment = os.environ | {"XDG_CACHE_HOME": str(output.parent / "cache"), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "examples/ganimation_recipe.py",
        "--output",
        str(output),
        "--threads",
        "1",
        *arguments,
    ]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)


def check_artefacts(output, space, rows):
    with Image.open(output / "samples.png") as picture:
        assert picture.height == rows * 128  # 64 pixels, shown twice as large
    with Image.open(output / "sweep.gif") as gif:
        assert gif.n_frames == 4 * 17
    generator = AttentionGenerator.from_pretrained(output / "generator")
    assert generator.space == space
    assert generator(torch.zeros(1, 3, 64, 64), torch.zeros(1, space.dim)).image.isfinite().all()
    return json.loads((output / "metrics.json").read_text())


@pytest.mark.parametrize("condition, space", [("openface", OPENFACE_AUS), ("arkit", ARKIT_BLENDSHAPES)])
def test_embedded_faces_with_either_condition(tmp_path, condition, space):
    pytest.importorskip("numba", reason='needs the renderer: pip install "aucond[faces]"')
    output = tmp_path / "run"
    done = run(output, "--condition", condition, "--steps", "6", "--samples", "64")
    assert done.returncode == 0, done.stderr
    metrics = check_artefacts(output, space, rows=5)
    assert metrics["steps"] == 6 and metrics["images"] == 256
    assert metrics["ied_ratio"] > 0 and 0 < metrics["attention_mean"] < 1
    again = run(output, "--condition", condition, "--steps", "6", "--samples", "64")
    assert again.returncode != 0 and "holds the checkpoints of an earlier run" in again.stderr


@pytest.mark.skipif(
    not SAMPLE.is_dir(), reason="needs the published sample folder beside the project: ../shared/data"
)
def test_real_photos_in_the_published_layout(tmp_path):
    done = run(tmp_path / "run", "--data", str(SAMPLE), "--steps", "6")
    assert done.returncode == 0, done.stderr
    metrics = check_artefacts(tmp_path / "run", OPENFACE_AUS, rows=4)
    assert "ied_ratio" not in metrics  # nobody knows the truth of a photo


def test_help_and_wrong_arguments(tmp_path):
    assert "--condition" in run(tmp_path / "run", "--help").stdout
    assert "invalid choice: 'bogus'" in run(tmp_path / "run", "--condition", "bogus").stderr
    assert "nowhere" in run(tmp_path / "run", "--data", str(tmp_path / "nowhere")).stderr
