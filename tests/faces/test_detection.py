import importlib.util
import sys

import numpy as np
import pytest
import torch

from aucond.faces import SyntheticFaces, detection
from aucond.faces.detection import DlibDetector, Face, find_faces, landmark_problem


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


@pytest.fixture(scope="module")
def marks():
    faces = SyntheticFaces(range(4), 4, 64, cache=False)
    return faces.landmarks(range(4))


def as_face(points):
    return Face(points, (0.0, 0.0, 64.0, 64.0))


def turned(points, degrees):
    angle = torch.tensor(degrees).deg2rad()
    rotation = torch.stack(
        [torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])]
    )
    return points @ rotation


@pytest.mark.parametrize("degrees", [0.0, 90.0, 180.0, -135.0])
def test_a_face_turned_in_the_picture_is_no_problem(marks, degrees):
    assert [landmark_problem(as_face(turned(points, degrees))) for points in marks] == [None] * 4


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda points: points / 64, "span 0.*pixels of the picture, not shares of its size"),
        (lambda points: points * torch.tensor([1.0, 0.0]), "all on one line"),
        (lambda points: points * torch.tensor([0.0, 1.0]) + 20.0, "all on one line"),
        (lambda points: points.flip(1), "mirrored face; x comes before y"),
        (lambda points: turned(points.flip(1), 30.0), "mirrored face"),
        (lambda points: points * torch.tensor([-1.0, 1.0]) + torch.tensor([64.0, 0.0]), "order of iBUG"),
    ],
)
def test_landmarks_that_a_fit_would_swallow_are_errors(marks, spoil, message):
    for points in marks:
        with pytest.raises(ValueError, match=f"detector: its landmarks .*{message}"):
            find_faces(lambda picture, p=points: [as_face(spoil(p))], np.zeros((64, 64, 3), np.uint8))


def test_a_face_from_the_side_tells_nothing_of_the_order(marks):
    flat = marks[0] * torch.tensor([0.05, 1.0])
    assert (
        landmark_problem(as_face(flat)) is None
        and landmark_problem(as_face(-flat * torch.tensor([1.0, -1.0]))) is None
    )


def test_what_a_detector_returns_is_checked_and_sorted(marks):
    picture = np.zeros((64, 64, 3), np.uint8)
    small, large = Face(marks[0], (0.0, 0.0, 9.0, 9.0)), Face(marks[1], (0.0, 0.0, 60.0, 60.0))
    assert find_faces(lambda picture: (small, large), picture) == [large, small]
    assert find_faces(lambda picture: [], picture) == []
    for wrong, message in [
        (marks[0].numpy(), r"a list of Face\(landmarks, box\), got a ndarray"),
        (None, "got None"),
        (small, "got a Face"),
        ([marks[0]], "got a list with a float32 tensor"),
    ]:
        with pytest.raises(TypeError, match=f"detector: expected it to return .*{message}"):
            find_faces(lambda picture, found=wrong: found, picture)
