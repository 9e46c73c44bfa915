"""The example as a person runs it, shortened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from aucond import OPENFACE_AUS, AttentionGenerator, pca_blendshapes

ROOT = Path(__file__).parents[2]


def run(output, *arguments):
    environment = os.environ | {"XDG_CACHE_HOME": str(output.parent / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "examples/slidergan_recipe.py", "--output", str(output), "--threads", "1"]
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280
    )


@pytest.mark.parametrize(
    "arguments, space",
    [
        (("--condition", "pca"), pca_blendshapes(30)),
        (("--condition", "openface", "--variant", "wgp", "--no-identity"), OPENFACE_AUS),
    ],
)
def test_embedded_faces(tmp_path, arguments, space):
    pytest.importorskip("numba", reason='needs the renderer: pip install "aucond[faces]"')
    output = tmp_path / "run"
    short = (*arguments, "--steps", "6", "--scenes", "24")
    done = run(output, *short)
    assert done.returncode == 0, done.stderr
    with Image.open(output / "samples.png") as picture:
        assert picture.size == (96 + 8 * 128, 5 * 128)  # 64 pixels, shown twice as large
    with Image.open(output / "sliders.png") as picture:
        assert picture.size == (
            96 + 10 * 64,
            8 * 2 * 64,
        )  # eight components above the truth, nine positions each
    with Image.open(output / "sweep.gif") as gif:
        assert gif.n_frames == 8 * 16
    generator = AttentionGenerator.from_pretrained(output / "generator")
    assert generator.space == space and generator.relative
    assert generator(torch.zeros(1, 3, 64, 64), torch.zeros(1, space.dim)).image.isfinite().all()
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["steps"] == 6 and metrics["images"] == 256 and metrics["ied_ratio"] > 0
    assert 0 < metrics["attention_mean"] < 1 and metrics["critic_mean_absolute_error"] > 0
    assert metrics["identity_term"] is ("--no-identity" not in arguments)
    again = run(output, *short)
    assert again.returncode != 0 and "holds the checkpoints of an earlier run" in again.stderr


def test_help_and_wrong_arguments(tmp_path):
    assert "--variant" in run(tmp_path / "run", "--help").stdout
    assert "invalid choice: 'bogus'" in run(tmp_path / "run", "--condition", "bogus").stderr
