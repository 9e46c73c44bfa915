"""Fitting a linear face model to 68 landmarks: camera, identity and expression of many faces at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .._check import check_choice, check_finite, check_number, check_tensor, describe
from .camera import HeadCamera, pose_angles
from .contour import ContourCandidates, sliding_weights
from .landmark_priors import expression_limits, precision_matrix
from .landmark_problem import CAMERA, LandmarkProblem
from .linear_model import LinearFaceModel

__all__ = ["LandmarkFit", "fit_landmarks"]

_CHUNK = 128
"""Faces solved at once: bounds the memory."""
_HUBER = 2.0
"""Errors beyond this many robust standard deviations count less and less."""
_START_DAMPING = 1e-2


@dataclass(frozen=True, eq=False)
class LandmarkFit:
    """What a fit found for B faces.

    Args:
        identity: Identity coefficients (B, K).
        expression: Expression coefficients (B, E), inside the limits.
        camera: Pose, scale and place of the heads.
        landmarks: The model's landmarks in the picture (B, 68, 2), pixels.
        error: Mean distance of these to the given ones, as a share of the distance between the outer eye corners (B,).
        weights: How far each landmark was believed (B, 68): 1 fully, towards 0 an outlier.
    """

    identity: Tensor
    expression: Tensor
    camera: HeadCamera
    landmarks: Tensor
    error: Tensor
    weights: Tensor


def fit_landmarks(
    model: LinearFaceModel,
    landmarks: Tensor,
    *,
    centre: Tensor | None = None,
    prior: Tensor | float = 1 / 3,
    low: Tensor | float = 0.0,
    high: Tensor | float = 1.0,
    noise: float = 0.02,
    distance: float | None = None,
    contour: Literal["marching", "fixed"] = "marching",
    iterations: int = 40,
) -> LandmarkFit:
    """Find camera, identity and expression whose landmarks are nearest to given ones, and likeliest.

    Minimises ``sum_l rho(|W_l (x_l - x_l(model))|^2) / noise^2 + |p_id|^2 + p_exp^T prior^-1 p_exp`` within
    ``low <= p_exp <= high``: distances in shares of the inter-ocular distance, Huber's rho by iteratively reweighted
    least squares, Levenberg-Marquardt steps, limits by active sets. Identity coefficients are standard
    normal since :class:`LinearFaceModel` divides them by the root of their eigenvalues; so are those of
    ``Blendshapes.model`` times the span.

    Convention:
        Landmarks in pixels, x to the right, y down, the first pixel's centre at (0.5, 0.5), iBUG's order: as
        ``SyntheticFaces.landmarks`` and the detectors give them.

    Args:
        model: The face model, with its 68 landmarks.
        landmarks: Points (B, 68, 2).
        centre: Where the optical axis meets the picture (B, 2) in pixels, for a crop its middle; None: the middle of
            each face's landmarks, as in a crop around the face.
        prior: Second moments of the expression: a deviation for all, variances (E,) or a matrix (E, E).
        low: Lower limit of the expression, one number or (E,).
        high: Upper limit.
        noise: Standard deviation of the landmarks, as a share of the inter-ocular distance. About 0.02 for a
            detector's, 0.002 for exact ones; larger trusts the priors more.
        distance: From camera to face, in units of the model; None: 1.22 m if the model's eyes are as far apart as
            people's (the renderer's camera), infinity: weak perspective.
        contour: ``"marching"``: the jaw's landmarks lie on the outline that the camera sees, and may slide along it, as
            detectors mark them; ``"fixed"``: they lie on the model's vertices, as ``SyntheticFaces.landmarks`` are.
        iterations: Steps.

    Returns:
        LandmarkFit: On the landmarks' device, in float32.

    Raises:
        TypeError: An argument of a wrong kind.
        ValueError: A model without 68 landmarks, wrong shapes, points that are not finite or all in one place.

    >>> model = LinearFaceModel.default()
    >>> marks = torch.from_numpy(model.mean[model.landmarks, :2]) * torch.tensor([100.0, -100.0]) + 64
    >>> fit = fit_landmarks(model, marks[None], distance=math.inf, contour="fixed")
    >>> bool(fit.error < 0.01)
    True
    """
    check_choice("contour", contour, ("marching", "fixed"))
    check_number("noise", noise, low=1e-6)
    check_number("iterations", iterations, low=1, integer=True)
    _check_landmarks(model, landmarks)
    marks = landmarks.detach().double()
    middle = (marks.amin(1) + marks.amax(1)) / 2
    if centre is not None:
        middle = check_tensor("centre", centre, (len(marks), 2)).detach().to(middle)
    precision = precision_matrix(prior, model.num_expressions, model.num_identities)
    limits = expression_limits(low, high, model.num_expressions)
    if distance is None:
        eyes = model.mean[model.landmarks[[36, 45]]]
        distance = 13.6 * float(abs(eyes[1] - eyes[0])[0])
    elif not (isinstance(distance, float | int) and distance > 0):
        raise ValueError(f"distance: expected a length above 0 or infinity, got {describe(distance)}")
    marching = contour == "marching"
    candidates = ContourCandidates.marching(model) if marching else ContourCandidates.fixed(model)
    problem = LandmarkProblem.of_model(model, candidates, float(distance), marks.device)
    parts = []
    for rows in torch.split(torch.arange(len(marks)), _CHUNK):
        weights = sliding_weights(marks[rows], 0.25 if marching else 1.0)
        parts.append(
            _solve(problem, marks[rows], middle[rows], weights, noise, precision, limits, iterations)
        )
    variables, believed = (
        (torch.cat(column) for column in zip(*parts, strict=True)) if parts else _nothing(problem)
    )
    return _fit(problem, variables, believed, marks, middle)


def _solve(
    problem: LandmarkProblem,
    marks: Tensor,
    middle: Tensor,
    weights: Tensor,
    noise: float,
    precision: Tensor,
    limits: tuple[Tensor, Tensor],
    iterations: int,
) -> tuple[Tensor, Tensor]:
    """Levenberg-Marquardt on (B, 68, 2) landmarks; gives the variables (B, 6 + K + E) and the landmarks' weights."""
    unit = _inter_ocular(marks)
    variables = _start(problem, marks, middle)
    precision = precision.to(marks)
    low, high = (
        torch.cat([torch.full((len(precision) - len(limit),), bound), limit]).to(marks)
        for limit, bound in zip(limits, (-math.inf, math.inf), strict=True)
    )
    damping = torch.full((len(marks),), _START_DAMPING, dtype=marks.dtype, device=marks.device)

    def errors(points: Tensor) -> Tensor:
        return torch.einsum("blij,blj->bli", weights, points - marks) / (noise * unit[:, None, None])

    points, chosen = problem.project(variables, middle)
    for _ in range(iterations):
        residual = errors(points)
        believed = _huber_weights(residual)
        slopes = torch.einsum("blij,bljp->blip", weights, problem.slopes(variables, middle, chosen))
        slopes = (slopes / (noise * unit[:, None, None, None])).flatten(1, 2)
        scaled = slopes * believed.repeat_interleave(2, 1)[..., None]
        normal = scaled.transpose(1, 2) @ slopes + precision
        gradient = (scaled.transpose(1, 2) @ residual.flatten(1)[..., None])[..., 0] + variables @ precision
        step = _bounded_step(normal, gradient, damping, variables, low, high)
        moved = (variables + step).clamp(low, high)
        new_points, new_chosen = problem.project(moved, middle)
        before = _cost(residual, believed, variables, precision)
        better = _cost(errors(new_points), believed, moved, precision) <= before
        damping = torch.where(better, damping / 4, damping * 6).clamp(1e-9, 1e9)
        keep = better[:, None]
        variables = torch.where(keep, moved, variables)
        points = torch.where(keep[..., None], new_points, points)
        chosen = torch.where(keep, new_chosen, chosen)
    return variables, _huber_weights(errors(points))


def _cost(residual: Tensor, believed: Tensor, variables: Tensor, precision: Tensor) -> Tensor:
    data = (believed * residual.square().sum(-1)).sum(1)
    return data + ((variables @ precision) * variables).sum(1)


def _huber_weights(residual: Tensor) -> Tensor:
    """Weights (B, 68) of Huber's loss, its bend at twice the robust deviation but not below the noise."""
    size = residual.norm(dim=-1)
    deviation = (size.median(1).values / math.sqrt(2 * math.log(2))).clamp(min=1.0)
    bend = _HUBER * deviation[:, None]
    weights: Tensor = bend / torch.maximum(size, bend)
    return weights


def _bounded_step(
    normal: Tensor, gradient: Tensor, damping: Tensor, variables: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """Solve the damped normal equations for the variables that do not press against their limits."""
    pressing = ((variables <= low) & (gradient > 0)) | ((variables >= high) & (gradient < 0))
    free = (~pressing).to(normal)
    diagonal = normal.diagonal(dim1=1, dim2=2)
    system = normal * free[:, :, None] * free[:, None, :]
    system = system + torch.diag_embed(damping[:, None] * diagonal * free + (1 - free))
    solution: Tensor = torch.linalg.solve(system, (-gradient * free)[..., None])[..., 0]
    return solution


def _start(problem: LandmarkProblem, marks: Tensor, middle: Tensor) -> Tensor:
    """The mean face under the scaled orthographic camera that brings it nearest (DeMenthon & Davis 1995)."""
    shape = problem.mean_landmarks.to(marks)
    centred = shape - shape.mean(0)
    seen = marks * marks.new_tensor([1.0, -1.0])
    seen = seen - seen.mean(1, keepdim=True)
    affine = torch.linalg.lstsq(centred.expand(len(marks), -1, -1), seen).solution.transpose(1, 2)
    left, singular, right = torch.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    rotation = torch.cat([rows, torch.linalg.cross(rows[:, 0], rows[:, 1])[:, None]], 1)
    variables = marks.new_zeros(len(marks), problem.size)
    variables[:, :3] = pose_angles(rotation)
    scale = singular.mean(1)
    variables[:, 3] = scale.log()
    turned = (rotation @ shape.mean(0))[:, :2]
    away = (marks.mean(1) - middle) * marks.new_tensor([1.0, -1.0]) / scale[:, None]
    variables[:, 4:6] = turned - away
    return variables


def _fit(
    problem: LandmarkProblem, variables: Tensor, believed: Tensor, marks: Tensor, middle: Tensor
) -> LandmarkFit:
    points, _ = problem.project(variables, middle)
    error = (points - marks).norm(dim=-1).mean(1) / _inter_ocular(marks)
    identities = problem.num_identities
    camera = HeadCamera(
        pose=variables[:, :3].float(),
        scale=variables[:, 3].exp().float(),
        offset=variables[:, 4:6].float(),
        centre=middle.float(),
        distance=problem.distance,
        depth=problem.depth,
    )
    return LandmarkFit(
        identity=variables[:, CAMERA : CAMERA + identities].float(),
        expression=variables[:, CAMERA + identities :].float(),
        camera=camera,
        landmarks=points.float(),
        error=error.float(),
        weights=believed.float(),
    )


def _nothing(problem: LandmarkProblem) -> tuple[Tensor, Tensor]:
    return torch.zeros(0, problem.size, dtype=torch.float64), torch.zeros(0, 68, dtype=torch.float64)


def _inter_ocular(marks: Tensor) -> Tensor:
    """Distance of the outer eye corners, at least a quarter of the face: a profile shows it foreshortened."""
    extent = (marks.amax(1) - marks.amin(1)).amax(1)
    return torch.maximum(torch.linalg.vector_norm(marks[:, 36] - marks[:, 45], dim=-1), 0.25 * extent)


def _check_landmarks(model: LinearFaceModel, landmarks: Tensor) -> None:
    if not isinstance(model, LinearFaceModel):
        raise TypeError(f"model: expected a LinearFaceModel, got {describe(model)}")
    if len(model.landmarks) != 68:
        raise ValueError(
            f"model: expected one with the 68 landmarks of iBUG, got {len(model.landmarks)} landmarks"
        )
    check_tensor("landmarks", landmarks, ("B", 68, 2))
    check_finite("landmarks", landmarks)
    extent = (landmarks.amax(1) - landmarks.amin(1)).amin(1) if len(landmarks) else landmarks.new_ones(1)
    if bool((extent <= 0).any()):
        row = int((extent <= 0).nonzero()[0, 0])
        raise ValueError(f"landmarks: expected points that lie apart, got all on one line in face {row}")
