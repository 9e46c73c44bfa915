"""Exporting an editor, editing without torch, and the before-and-after picture, as a person runs them."""

import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aucond import OPENFACE_AUS, AttentionGenerator, ConvRegressionHead, PatchCritic
from aucond.edit import FaceEditor

ROOT = Path(__file__).parents[2]


def run(*command, **environment):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    torch.manual_seed(0)
    generator = AttentionGenerator(OPENFACE_AUS, 8, 2, 1, relative=True, initial_attention=0.3)
    head = partial(ConvRegressionHead, out_features=17, kernel_size=4)
    critic = PatchCritic({"condition": head}, base_channels=4, num_layers=3)
    folder = tmp_path_factory.mktemp("editor")
    FaceEditor(generator, critic).save_pretrained(folder)
    return folder


def test_export_and_edit_where_torch_cannot_be_imported(editor, tmp_path):
    pytest.importorskip("onnxruntime", reason='the export needs pip install "aucond[export]"')
    exported = run("examples/export_onnx.py", "--model", editor, "--output", tmp_path / "onnx")
    assert exported.returncode == 0, exported.stderr
    assert "largest difference from PyTorch" in exported.stdout
    files = {path.name for path in (tmp_path / "onnx").iterdir()}
    assert files == {"generator.onnx", "reader.onnx", "editor.json"}

    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "torch.py").write_text("raise ImportError('torch is not here')\n")
    photo = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "face.png")
    assert run("-c", "import torch", PYTHONPATH=str(bare)).returncode != 0
    edited = run(
        "examples/edit_without_torch.py",
        tmp_path / "onnx",
        tmp_path / "face.png",
        tmp_path / "out.png",
        "AU12=0.9",
        PYTHONPATH=str(bare),
    )
    assert edited.returncode == 0, edited.stderr
    after = np.asarray(Image.open(tmp_path / "out.png")).astype(int)
    reference = FaceEditor.from_pretrained(editor)
    expected = reference.edit(reference.prepare(photo, framing="crop"), {"AU12": 0.9}).astype(int)
    assert np.array_equal(after[:, :4], photo[:, :4])
    # The editor fades in from the crop's edge where the picture goes on beyond it; inside the two agree.
    inside = (slice(4, -4), slice(8, -8))
    assert np.abs(after[inside] - expected[inside]).max() <= 1
    assert (after[inside] != photo[inside]).mean() > 0.5

    wrong = run("examples/edit_without_torch.py", tmp_path / "onnx", "face.png", "out.png", "AU12")
    assert wrong.returncode != 0 and "expected NAME=NUMBER" in wrong.stderr


def test_edit_photo_writes_before_and_after(editor, tmp_path):
    pytest.importorskip("dlib", reason='finding faces needs pip install "aucond[detect]"')
    pytest.importorskip("numba", reason='rendering needs pip install "aucond[faces]"')
    made = run("examples/edit_photo.py", "--model", editor, "--demo", tmp_path / "demo.png", "AU12=0.5")
    assert made.returncode == 0, made.stderr
    assert "1 face(s)" in made.stdout and "bit for bit" in made.stdout
    with Image.open(tmp_path / "demo.png") as picture:
        assert picture.width == 1800
    Image.new("RGB", (90, 80), "black").save(tmp_path / "nobody.png")
    nobody = run(
        "examples/edit_photo.py", "--model", editor, tmp_path / "nobody.png", tmp_path / "out.png", "AU12=1"
    )
    assert nobody.returncode == 1 and "no face was found" in nobody.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--demo a.png", []),
        ("--demo a.png AU12=0.5", ["AU12=0.5"]),
        ("--demo a.png AU12=0.5 AU06=0.2 AU25=1", ["AU12=0.5", "AU06=0.2", "AU25=1"]),
        ("me.jpg out.png AU12=0.5", ["AU12=0.5"]),
        ("me.jpg out.png", None),
        ("me.jpg", None),
    ],
)
def test_edit_photo_takes_every_word_for_what_it_is(words, expected, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("edit_photo", ROOT / "examples" / "edit_photo.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", ["edit_photo.py", *words.split()])
    if expected is None:
        with pytest.raises(SystemExit):
            script.parse_arguments()
        assert "expected" in capsys.readouterr().err
        return
    arguments = script.parse_arguments()
    assert arguments.changes == expected
    assert (arguments.photo is None) == ("--demo" in words)
