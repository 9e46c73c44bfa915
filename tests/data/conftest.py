from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aucond.conditions import ConditionSpace

SAMPLE = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "ganimation_sample"

WriteImage = Callable[..., Path]
WriteFolder = Callable[..., Path]


@pytest.fixture
def sample() -> Path:
    """The real photos in the published layout."""
    if not SAMPLE.is_dir():
        pytest.skip(f"the real sample data is missing: {SAMPLE}")
    return SAMPLE.resolve()


@pytest.fixture
def space() -> ConditionSpace:
    return ConditionSpace(["jaw", "smileLeft", "smileRight"], mirror={"smileLeft": "smileRight"})


@pytest.fixture
def write_image() -> WriteImage:
    """Write a small image whose pixels follow from its seed."""

    def write(path: Path, seed: int = 0, height: int = 12, width: int = 10) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def write_folder(tmp_path: Path, write_image: WriteImage) -> WriteFolder:
    """Write an image folder from the text of its metadata.csv, with images a.png to e.png."""

    def write(text: str | bytes, images: str = "abcde") -> Path:
        root = tmp_path / "faces"
        root.mkdir(exist_ok=True)
        for seed, name in enumerate(images):
            write_image(root / f"{name}.png", seed)
        (root / "metadata.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return root

    return write


def openface_columns(*, sequence: bool) -> list[str]:
    """The columns FeatureExtraction (or, for an image, FaceLandmarkImg) of OpenFace 2.2 writes, in its order."""
    about = ["frame", "face_id", "timestamp", "confidence", "success"] if sequence else ["face", "confidence"]
    gaze = [f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"] + ["gaze_angle_x", "gaze_angle_y"]
    eyes = [f"eye_lmk_{axis}_{i}" for axis in "xyXYZ" for i in range(56)]
    pose = [f"pose_{kind}{axis}" for kind in "TR" for axis in "xyz"]
    face = [f"{axis}_{i}" for axis in "xyXYZ" for i in range(68)]
    shape = ["p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty", *(f"p_{i}" for i in range(34))]
    units = [f"AU{unit:02d}" for unit in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)]
    return [
        *about,
        *gaze,
        *eyes,
        *pose,
        *face,
        *shape,
        *(f"{u}_r" for u in units),
        *(f"{u}_c" for u in units),
        "AU28_c",
    ]


WriteOpenFace = Callable[..., Path]


@pytest.fixture
def write_openface() -> WriteOpenFace:
    """Write an OpenFace CSV from one dict of cells per row; every cell not named is 0, the header has stray blanks."""

    def write(
        path: Path, rows: list[dict[str, object]], *, sequence: bool = True, separator: str = ", "
    ) -> Path:
        columns = openface_columns(sequence=sequence)
        defaults = {
            "confidence": 0.98,
            "success": 1,
            **{f"x_{i}": i for i in range(68)},
            **{f"y_{i}": i for i in range(68)},
        }
        lines = [separator.join(columns)]
        for number, row in enumerate(rows, 1):
            cells = {**defaults, "frame": number, **row}
            lines.append(separator.join(str(cells.get(column, 0)) for column in columns))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
