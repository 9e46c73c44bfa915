"""The examples of StarGAN, CycleGAN and the identity encoder as a person runs them, shortened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from aucond.faces import IdentityEncoder
from aucond.recipes import MasklessGenerator

ROOT = Path(__file__).parents[2]


def run(script, output, *arguments):
    pytest.importorskip("numba", reason='needs the renderer: pip install "aucond[faces]"')
    environment = os.environ | {"XDG_CACHE_HOME": str(output.parent / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, f"examples/{script}.py", "--output", str(output), "--threads", "1", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)


def test_stargan(tmp_path):
    output = tmp_path / "run"
    done = run("stargan_recipe", output, "--steps", "4", "--samples", "100")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["happy"]["ied_edit"] > 0 and 0 <= metrics["surprised"]["recognised_edit"] <= 1
    with Image.open(output / "samples.png") as picture:
        assert picture.height == 7 * 128  # source, three labels, three truths
    generator = MasklessGenerator.from_pretrained(output / "generator")
    assert generator.space.names == ("neutral", "happy", "surprised")
    again = run("stargan_recipe", output, "--steps", "4", "--samples", "100")
    assert again.returncode != 0 and "holds the checkpoints of an earlier run" in again.stderr


def test_cyclegan(tmp_path):
    output = tmp_path / "run"
    done = run("cyclegan_recipe", output, "--steps", "3", "--samples", "100")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["calm"] >= 4 and metrics["smiling"] >= 4 and metrics["ied_edit"] > 0
    with Image.open(output / "samples.png") as picture:
        assert picture.height == 4 * 128
    for name in ("to_calm", "to_smiling"):
        generator = MasklessGenerator.from_pretrained(output / name)
        assert generator(torch.zeros(1, 3, 64, 64), torch.zeros(1, 1)).image.isfinite().all()


def test_identity_encoder(tmp_path):
    pytest.importorskip("pytorch_metric_learning", reason="pip install pytorch-metric-learning")
    output = tmp_path / "run"
    short = ("--identities", "10", "--samples", "40", "--epochs", "2", "--batch-size", "20")
    done = run("train_identity_encoder", output, *short)
    assert done.returncode == 0, done.stderr
    weights = load_file(output / "identity.safetensors")
    IdentityEncoder().load_state_dict({k: v.float() for k, v in weights.items()})
    assert len(json.loads((output / "training.json").read_text())["history"]) == 2


def test_help():
    for script in ("stargan_recipe", "cyclegan_recipe", "train_identity_encoder"):
        assert "--output" in run(script, Path("runs/none"), "--help").stdout
