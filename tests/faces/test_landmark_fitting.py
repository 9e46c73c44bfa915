from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from aucond.conditions import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.faces import (
    HeadCamera,
    LinearFaceModel,
    SpaceModel,
    SyntheticFaces,
    fit_landmarks,
    head_blendshapes,
)
from aucond.faces.camera import pose_angles, pose_rotation
from aucond.faces.contour import ContourCandidates, sliding_weights
from aucond.faces.landmark_problem import CAMERA, LandmarkProblem
from aucond.faces.looks import Looks
from aucond.faces.renderer import CAMERA_DISTANCE, FACE_DEPTH, FRAME, FRAME_CENTRE

COUNT, SIZE = 8, 128
MODEL = LinearFaceModel.default()
SEEN = (
    "jawOpen",
    "mouthSmileLeft",
    "mouthSmileRight",
    "browInnerUp",
    "browDownLeft",
    "eyeBlinkLeft",
    "mouthPucker",
)
"""Units that 68 points show plainly."""


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    people = range(500_000, 500_000 + COUNT)
    return SyntheticFaces(people, COUNT, 16, seed=2, space=ARKIT_BLENDSHAPES, cache=False)


@pytest.fixture(scope="module")
def marks(faces: SyntheticFaces) -> Tensor:
    return faces.landmarks(range(COUNT)) * (SIZE / faces.size)


def fit(landmarks: Tensor, **options: Any) -> Any:
    space = SpaceModel.of(ARKIT_BLENDSHAPES)
    wanted: dict[str, Any] = {"prior": space.prior, "noise": 0.002, "contour": "fixed", "iterations": 25}
    return fit_landmarks(space.model, landmarks, **(wanted | options))


def test_the_camera_is_the_renderers(faces: SyntheticFaces, marks: Tensor) -> None:
    middle = pose_rotation(faces.poses) @ torch.tensor([0.0, FRAME_CENTRE, FACE_DEPTH])
    camera = HeadCamera(
        pose=faces.poses,
        scale=torch.full((COUNT,), SIZE / FRAME),
        offset=middle[:, :2],
        centre=torch.full((COUNT, 2), SIZE / 2),
        distance=CAMERA_DISTANCE - FACE_DEPTH,
        depth=FACE_DEPTH,
    )
    identity = torch.tensor([Looks.of_identity(int(number)).shape for number in faces.identities])
    seen = camera.project(MODEL.vertices(identity, faces.conditions)[:, MODEL.landmarks.tolist()])
    torch.testing.assert_close(seen[..., :2], marks, atol=0.02, rtol=0)


def test_poses_and_rotations() -> None:
    pose = (torch.rand(20, 3, dtype=torch.float64) - 0.5) * torch.tensor([3.0, 3.0, 6.0])
    rotation = pose_rotation(pose)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).double().expand(20, 3, 3))
    torch.testing.assert_close(pose_angles(rotation), pose)


@pytest.mark.parametrize("distance", [12.0, math.inf])
def test_derivatives(distance: float) -> None:
    problem = LandmarkProblem.of_model(MODEL, ContourCandidates.fixed(MODEL), distance, torch.device("cpu"))
    variables = 0.2 * torch.randn(
        2, problem.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    variables[:, 3] += 4
    centre = torch.full((2, 2), 64.0, dtype=torch.float64)
    _, chosen = problem.project(variables, centre)
    slopes = problem.slopes(variables, centre, chosen)
    for row in range(2):
        numeric = torch.autograd.functional.jacobian(
            lambda x, row=row: problem.project(x[None], centre[row : row + 1])[0][0], variables[row]
        )
        torch.testing.assert_close(slopes[row], numeric, atol=1e-8, rtol=1e-8)


def test_true_landmarks_give_the_expression_back(faces: SyntheticFaces) -> None:
    shown = torch.zeros(COUNT, 52)
    columns = [ARKIT_BLENDSHAPES.index(name) for name in SEEN]
    shown[torch.arange(len(SEEN)), columns] = 0.8
    marks = faces.landmarks(range(COUNT), shown) * (SIZE / faces.size)
    found = fit(marks, centre=torch.full((COUNT, 2), SIZE / 2), iterations=40)
    assert found.error.max() < 0.005
    assert (found.camera.pose - faces.poses).abs().mean() < 0.04
    for row, (name, column) in enumerate(zip(SEEN, columns, strict=True)):
        assert found.expression[row, column] == pytest.approx(0.8, abs=0.3), name
        assert found.expression[row].argmax() == column, name
    assert found.expression[len(SEEN)].max() < 0.25, "a neutral face"
    assert found.expression.min() >= 0 and found.expression.max() <= 1
    assert found.identity.shape == (COUNT, 40) and found.landmarks.shape == (COUNT, 68, 2)


def test_a_face_does_not_depend_on_its_batch_nor_on_size_and_place(marks: Tensor) -> None:
    found = fit(marks[:3], noise=0.02)
    alone = fit(marks[1:2], noise=0.02)
    torch.testing.assert_close(found.expression[1:2], alone.expression, atol=1e-3, rtol=0)
    moved = fit(2 * marks[:3] + torch.tensor([100.0, -30.0]), noise=0.02)
    torch.testing.assert_close(moved.expression, found.expression, atol=2e-3, rtol=0)
    torch.testing.assert_close(moved.camera.scale, 2 * found.camera.scale, rtol=1e-3, atol=0)


def test_outliers_are_not_believed(marks: Tensor) -> None:
    eyes = (marks[:4, 36] - marks[:4, 45]).norm(dim=-1)
    broken = marks[:4].clone()
    broken[:, 54, 1] += 0.6 * eyes
    found = fit(broken, noise=0.01)
    assert found.weights[:, 54].max() < 0.3 < found.weights.median()
    rest = [number for number in range(68) if number != 54]
    off = (found.landmarks - marks[:4])[:, rest].norm(dim=-1).mean(1) / eyes
    assert off.max() < 0.03


def test_a_head_on_its_side(marks: Tensor) -> None:
    turned = torch.stack([SIZE - marks[:2, :, 1], marks[:2, :, 0]], -1)
    found, upright = fit(turned, noise=0.02), fit(marks[:2], noise=0.02)
    torch.testing.assert_close(
        found.camera.pose[:, 2] - upright.camera.pose[:, 2], torch.full((2,), math.pi / 2), atol=0.05, rtol=0
    )
    assert (found.error - upright.error).abs().max() < 0.005


def test_no_faces_and_a_far_camera(marks: Tensor) -> None:
    assert fit(marks[:0]).expression.shape == (0, 52)
    assert fit(marks[:2], distance=math.inf, noise=0.02).error.max() < 0.02


def test_landmarks_march_on_the_side_that_turns_away() -> None:
    problem = LandmarkProblem.of_model(MODEL, ContourCandidates.marching(MODEL), 12.0, torch.device("cpu"))
    variables = torch.zeros(3, problem.size, dtype=torch.float64)
    variables[1, 0], variables[2, 0] = 0.5, -0.5
    _, chosen = problem.project(variables, torch.zeros(3, 2, dtype=torch.float64))
    own = problem.candidates.vertices[:, 0]
    marched = chosen != own
    assert not marched[:, 17:].any() and not marched[:, 6:11].any()
    assert not marched[1, :6].any() and marched[1, 11:].any(), "turned to the left: the left side turns away"
    assert not marched[2, 11:17].any() and marched[2, :6].any()


def test_sliding_along_the_jaw() -> None:
    line = torch.zeros(1, 68, 2)
    line[0, :17, 0] = torch.arange(17.0)
    weights = sliding_weights(line, 0.25)
    torch.testing.assert_close(weights[0, 8], torch.tensor([[0.25, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(weights[0, 30], torch.eye(2))


def test_spaces_on_the_head() -> None:
    units = SpaceModel.of(OPENFACE_AUS)
    condition = OPENFACE_AUS.vector(AU12=0.8)
    assert units.coefficients(condition)[ARKIT_BLENDSHAPES.index("mouthSmileLeft")] == pytest.approx(0.72)
    torch.testing.assert_close(units.conditions(torch.zeros(2, 17)), torch.zeros(2, 17))
    gaze = ConditionSpace(["gaze"], low=-2.0, high=1.0, neutral=0.0)
    fitted = SpaceModel.of(gaze, torch.ones(1, 52))
    assert fitted.low.tolist() == [-1.0] and fitted.high.tolist() == [0.5]
    torch.testing.assert_close(fitted.conditions(torch.tensor([-0.5])), torch.tensor([-1.0]))
    torch.testing.assert_close(fitted.prior, torch.full((1, 1), 1 / 9, dtype=torch.float64))
    shapes = head_blendshapes(5)
    assert SpaceModel.of(shapes.space, shapes.expression).model.expression_names == shapes.space.names


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "head"}, TypeError, "model: expected a LinearFaceModel, got 'head'"),
        ({"landmarks": torch.zeros(1, 67, 2)}, ValueError, r"landmarks: expected .* \(B, 68, 2\)"),
        (
            {"landmarks": torch.zeros(1, 68, 2)},
            ValueError,
            "landmarks: expected points that lie apart.* in face 0",
        ),
        ({"landmarks": torch.full((1, 68, 2), torch.nan)}, ValueError, "landmarks: expected finite values"),
        ({"landmarks": torch.zeros(1, 68, 2).long()}, TypeError, "landmarks: expected a floating tensor"),
        ({"centre": torch.zeros(2, 2)}, ValueError, r"centre: expected .* \(1, 2\)"),
        ({"prior": 0.0}, ValueError, "prior: expected a finite number"),
        ({"prior": torch.zeros(52)}, ValueError, "prior: expected variances above 0"),
        ({"prior": torch.ones(3)}, ValueError, r"prior: expected .* \(52,\)"),
        ({"low": 0.1}, ValueError, "low: expected low <= 0 <= high"),
        ({"high": torch.ones(3)}, ValueError, r"high: expected .* \(52,\)"),
        ({"high": "1"}, TypeError, "high: expected a number or a floating tensor, got '1'"),
        ({"noise": 0.0}, ValueError, "noise: expected a finite number"),
        ({"distance": -1.0}, ValueError, "distance: expected a length above 0 or infinity, got -1.0"),
        ({"contour": "free"}, ValueError, "contour: expected one of 'marching', 'fixed'"),
        ({"iterations": 0}, ValueError, "iterations: expected an integer at least 1, got 0"),
    ],
)
def test_wrong_fits(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit_landmarks(**{"model": MODEL, "landmarks": torch.rand(1, 68, 2), **arguments})


def test_wrong_spaces_and_models() -> None:
    import dataclasses

    import numpy as np

    with pytest.raises(TypeError, match="space: expected a ConditionSpace, got 'arkit'"):
        SpaceModel.of("arkit")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got 'gaze'"):
        SpaceModel.of(ConditionSpace(["gaze"]))
    other = dataclasses.replace(MODEL, expression_basis=MODEL.expression_basis[:3], expression_names=())
    with pytest.raises(ValueError, match=r"expression: a matrix \(N, 3\) is needed"):
        SpaceModel.of(ARKIT_BLENDSHAPES, model=other)
    few = dataclasses.replace(MODEL, landmarks=np.arange(5, dtype=np.int32))
    with pytest.raises(ValueError, match="model: expected one with the 68 landmarks of iBUG, got 5"):
        fit_landmarks(few, torch.rand(1, 68, 2))
    assert CAMERA == 6
