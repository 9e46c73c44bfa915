import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aucond.faces.framing import FaceCrop, FaceFraming


def marks(right_eye, left_eye, nose, mouth):
    points = torch.zeros(68, 2, dtype=torch.float64)
    points[36:42], points[42:48] = torch.tensor(right_eye), torch.tensor(left_eye)
    points[33], points[48:68] = torch.tensor(nose), torch.tensor(mouth)
    return points


def in_frame(framing=None):
    framing = framing or FaceFraming()
    return marks(framing.right_eye, framing.left_eye, framing.nose, framing.mouth)


@given(
    st.floats(-500, 500), st.floats(-500, 500), st.floats(5, 3000), st.floats(-3, 3)
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_face_that_was_moved_turned_and_scaled_is_found_again(x, y, side, angle):
    placed = FaceCrop(x, y, side, angle)
    crop = FaceFraming().crop(placed.to_picture(in_frame()))
    assert crop.side == pytest.approx(side, rel=1e-6)
    assert math.cos(crop.angle - angle) == pytest.approx(1, abs=1e-9)
    assert (crop.x, crop.y) == pytest.approx((x, y), abs=1e-6 * side + 1e-6)


@given(st.floats(-3, 3), st.floats(1, 100))
@settings(max_examples=20, deadline=None)
def test_to_crop_is_the_inverse(angle, side):
    crop, points = FaceCrop(3.0, -4.0, side, angle), torch.rand(7, 2, dtype=torch.float64) * 50
    torch.testing.assert_close(crop.to_picture(crop.to_crop(points)), points)


def test_angle_is_clockwise_as_seen():
    corner = FaceCrop(0.0, 0.0, 2.0, math.pi / 2).to_picture(torch.tensor([1.0, 0.5], dtype=torch.float64))
    assert corner.tolist() == pytest.approx([0.0, 1.0], abs=1e-12)


def test_bounds():
    assert FaceCrop(10.0, 10.0, 4.0).bounds(100, 100) == (8, 12, 8, 12)
    assert FaceCrop(1.0, 99.0, 8.0).bounds(100, 100) == (95, 100, 0, 5)
    assert FaceCrop(10.0, 10.0, 4.0, math.pi / 4).bounds(100, 100) == (7, 13, 7, 13)


def test_the_frame_of_aligned_crops_is_measured():
    wanted = FaceFraming((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.5, 0.8))
    crops = torch.stack([in_frame(wanted) * 64 + shift for shift in (-1.0, 1.0)])
    measured = FaceFraming.of_landmarks(crops, 64)
    assert measured.mouth == pytest.approx((0.5, 0.8)) and measured.right_eye == pytest.approx((0.3, 0.4))


def test_rendered_faces_lie_in_the_default_frame():
    pytest.importorskip("numba", reason='landmarks of faces need pip install "aucond[faces]"')
    from aucond.faces import SyntheticFaces

    faces = SyntheticFaces(range(7000, 7030), 30, 16, seed=1, pose=0.0, cache=False)
    landmarks = faces.landmarks(range(30), torch.zeros(30, 17)) * 8
    crops = [FaceFraming().crop(one) for one in landmarks]
    assert sum(crop.side for crop in crops) / 30 == pytest.approx(128, rel=0.03)
    assert sum(crop.x for crop in crops) / 30 == pytest.approx(64, abs=2)
    assert sum(crop.y for crop in crops) / 30 == pytest.approx(64, abs=2)


WRONG = [
    (lambda: FaceCrop(0.0, 0.0, 0.0), ValueError, "side: expected a number of pixels above 0"),
    (lambda: FaceCrop(float("nan"), 0.0, 1.0), ValueError, "x: expected a finite number"),
    (lambda: FaceFraming(nose=0.5), TypeError, r"nose: expected \(x, y\), got 0.5"),
    (lambda: FaceFraming(right_eye=(0.8, 0.3)), ValueError, "left_eye: expected it to the right"),
    (lambda: FaceFraming().crop(torch.zeros(67, 2)), ValueError, r"landmarks: .*\(68, 2\)"),
    (lambda: FaceFraming().crop(torch.zeros(68, 2)), ValueError, "landmarks: .*all in one place"),
    (lambda: FaceFraming().crop(torch.full((68, 2), float("nan"))), ValueError, "landmarks: .*finite"),
    (lambda: FaceFraming.of_landmarks(torch.zeros(0, 68, 2), 64), ValueError, "at least one crop, got none"),
]


@pytest.mark.parametrize("call, error, message", WRONG)
def test_wrong_calls_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
