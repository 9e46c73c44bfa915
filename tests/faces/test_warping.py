from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aucond.conditions import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.faces import FittedPhoto, SyntheticFaces, fit_photo, head_blendshapes, warp_pairs
from aucond.faces.detection import Face
from aucond.faces.fill import fill_smoothly

SIZE = 96


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    faces = SyntheticFaces([70, 71], 2, SIZE, seed=4, space=OPENFACE_AUS, pose=0.5, cache=False)
    return faces


def neutral_photo(faces: SyntheticFaces, index: int, space: ConditionSpace = OPENFACE_AUS) -> FittedPhoto:
    neutral = OPENFACE_AUS.neutral_vector()
    marks = faces.landmarks([index], neutral[None])[0]
    return fit_photo(faces.render(index, neutral), marks, space=space)


@pytest.fixture(scope="module")
def photo(faces: SyntheticFaces) -> FittedPhoto:
    return neutral_photo(faces, 0)


def around(photo: FittedPhoto, points: slice, margin: int = 2) -> tuple[slice, slice]:
    """Rows and columns of the box around landmarks."""
    low, high = (
        photo.landmarks[points].amin(0).long().tolist(),
        photo.landmarks[points].amax(0).long().tolist(),
    )
    return slice(low[1] - margin, high[1] + margin + 1), slice(low[0] - margin, high[0] + margin + 1)


def test_the_own_condition_gives_the_photo_bit_for_bit(photo: FittedPhoto) -> None:
    assert torch.equal(photo.warp(photo.condition[None])[0], photo.image)


def test_a_warp_comes_close_to_the_true_picture(faces: SyntheticFaces) -> None:
    targets = {"AU12": OPENFACE_AUS.vector(AU12=1.0), "AU26": OPENFACE_AUS.vector(AU26=1.0, AU25=0.6)}
    for index in range(2):
        photo = neutral_photo(faces, index)
        for name, target in targets.items():
            truth, warped = faces.render(index, target), photo.warp(target[None])[0]
            rows, columns = around(photo, slice(48, 68), 6)
            before = (photo.image - truth)[:, rows, columns].square().mean()
            after = (warped - truth)[:, rows, columns].square().mean()
            assert after < 0.6 * before, f"{name}: {after / before:.2f} of the photo's distance"


def test_what_the_expression_does_not_reach_stays(photo: FittedPhoto) -> None:
    opened = photo.warp(OPENFACE_AUS.vector(AU26=1.0)[None])[0]
    change = (opened - photo.image).abs().amax(0)
    rows, columns = around(photo, slice(48, 68))
    assert change[rows, columns].max() > 0.3
    assert change[:10].max() < 0.01, "the hair above"
    eyes_rows, eyes_columns = around(photo, slice(36, 48))
    assert change[eyes_rows, eyes_columns].mean() < 0.02


def test_an_opened_mouth_is_filled_and_a_closed_eye_is_skin(photo: FittedPhoto) -> None:
    opened = photo.warp(OPENFACE_AUS.vector(AU26=1.0, AU25=1.0)[None])[0]
    moved = photo.mesh(OPENFACE_AUS.vector(AU26=1.0, AU25=1.0)[None])[0]
    from aucond.faces import LinearFaceModel

    upper, lower = LinearFaceModel.default().landmarks[[62, 66]]
    x, y = ((moved[upper, :2] + moved[lower, :2]) / 2).long().tolist()
    skin = photo.image[:, y + 14, x]
    assert (opened[:, y, x] - skin).abs().max() > 0.3, "no skin stretched over the gap"
    closed = photo.warp(OPENFACE_AUS.vector(AU45=1.0)[None])[0]
    rows, columns = around(photo, slice(36, 42), 0)
    dark = photo.image[:, rows, columns].mean(0).min()
    assert closed[:, rows, columns].mean(0).quantile(0.3) > dark + 0.1, "the pupil is covered"


def test_mesh_and_wireframe(photo: FittedPhoto) -> None:
    own = photo.mesh()[0]
    from aucond.faces import LinearFaceModel

    inner = LinearFaceModel.default().landmarks[17:].tolist()
    off = (own[inner, :2] - photo.landmarks[17:]).norm(dim=-1)
    assert off.mean() < 0.5, "the mesh lies on the landmarks"
    edges = photo.wireframe()
    assert edges.shape[1:] == (2, 2) and len(edges) > 1000 and edges.isfinite().all()


def test_pairs(faces: SyntheticFaces) -> None:
    photos = [neutral_photo(faces, index, ARKIT_BLENDSHAPES) for index in range(2)]
    pairs = warp_pairs(photos, 3, generator=torch.Generator().manual_seed(1))
    assert pairs.images.shape == (8, 3, SIZE, SIZE) and pairs.groups.tolist() == [0] * 4 + [1] * 4
    for number, photo in enumerate(photos):
        assert torch.equal(pairs.conditions[4 * number], photo.condition)
        assert (pairs.images[4 * number].float() / 127.5 - 1 - photo.image).abs().max() < 0.005
        gaze = [i for i, name in enumerate(ARKIT_BLENDSHAPES.names) if name.startswith(("eyeLook", "tongue"))]
        own = photo.condition[gaze].expand(4, -1)
        torch.testing.assert_close(pairs.conditions[4 * number : 4 * number + 4][:, gaze], own)
    item = pairs[0]
    assert not torch.equal(item["image"], item["target_image"])
    again = warp_pairs(photos, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.images, pairs.images)


def test_any_space(faces: SyntheticFaces) -> None:
    shapes = head_blendshapes(6)
    neutral = OPENFACE_AUS.neutral_vector()
    marks = faces.landmarks([0], neutral[None])[0]
    photo = fit_photo(faces.render(0, neutral), marks, space=shapes.space, expression=shapes.expression)
    warped = photo.warp(torch.eye(6)[:1])
    assert (warped[0] - photo.image).abs().max() > 0.3


def test_the_detector_is_asked(faces: SyntheticFaces) -> None:
    marks = faces.landmarks([0])[0]

    def detector(picture: Any) -> list[Face]:
        assert picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.uint8
        small = Face(marks * 0.2, (0.0, 0.0, 10.0, 10.0))
        return [small, Face(marks, (0.0, 0.0, 90.0, 90.0))]

    photo = fit_photo(faces[0]["image"], detector=detector)
    assert torch.equal(photo.landmarks, marks), "the largest face"
    with pytest.raises(ValueError, match="image: no face was found"):
        fit_photo(faces[0]["image"], detector=lambda picture: [])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 13), st.integers(1, 13), st.integers(0, 1000))
def test_filling(height: int, width: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    values = torch.rand(1, 2, height, width, generator=rng)
    known = (torch.rand(1, 1, height, width, generator=rng) < 0.5).float()
    known[..., 0, 0] = 1
    filled = fill_smoothly(values * known, known)
    torch.testing.assert_close(filled * known, values * known)
    inside = (values * known).flatten(2)[..., known.flatten() > 0]
    assert bool((filled >= inside.amin(-1)[..., None, None] - 1e-5).all()), "between the known values"
    assert bool((filled <= inside.amax(-1)[..., None, None] + 1e-5).all())


def wrong_pairs(photo: FittedPhoto) -> list[tuple[Any, type[Exception], str]]:
    return [
        (lambda: warp_pairs([]), ValueError, "photos: expected at least one fitted photo, got none"),
        (lambda: warp_pairs([photo], 0), ValueError, "count: expected an integer at least 1, got 0"),
        (lambda: photo.warp(torch.zeros(17)), ValueError, r"conditions: expected .* \(M, 17\)"),
        (
            lambda: photo.warp(torch.full((1, 17), 3.0)),
            ValueError,
            "conditions: component 'AU01' must lie in",
        ),
        (
            lambda: fit_photo(torch.zeros(1, 3, 8, 8)),
            ValueError,
            r"image: expected a photo \(3, H, W\), got a",
        ),
        (lambda: fit_photo(torch.zeros(1, 8, 8)), ValueError, "image: expected"),
        (
            lambda: fit_photo(torch.zeros(3, 8, 8), torch.zeros(5, 2)),
            ValueError,
            r"landmarks: expected .* \(68, 2\)",
        ),
    ]


def test_wrong_calls(photo: FittedPhoto) -> None:
    for call, error, message in wrong_pairs(photo):
        with pytest.raises(error, match=message):
            call()
    other: Tensor = torch.zeros(3, 64, 64)
    smaller = FittedPhoto(other, photo.landmarks, photo.fitted, photo.fit)
    with pytest.raises(ValueError, match=r"photos\[1\]: expected the first photo's space and size"):
        warp_pairs([photo, smaller], 1)
