"""One rendered picture of one person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .._check import check_finite, check_number, check_tensor
from ..conditions import OPENFACE_AUS, ConditionSpace
from .action_units import expression_coefficients
from .renderer import Person, render
from .scene import Scene
from .synthetic import MIN_SIZE, checked_matrix, to_float

__all__ = ["render_face"]


def render_face(
    identity: int,
    condition: Tensor,
    *,
    space: ConditionSpace = OPENFACE_AUS,
    expression: Tensor | None = None,
    size: int = 128,
    pose: Sequence[float] = (0.0, 0.0, 0.0),
    seed: int = 0,
) -> Tensor:
    """One picture of one person.

    Args:
        identity: Number of the person, at least 0.
        condition: Condition (N,) in ``space``.
        space: The condition space.
        expression: As of :class:`SyntheticFaces`.
        size: Side of the image in pixels.
        pose: Yaw, pitch and roll in radians.
        seed: Seed of light and background.

    Returns:
        Image (3, size, size) in [-1, 1], RGB.

    >>> render_face(3, OPENFACE_AUS.vector(AU12=1.0), size=32).shape
    torch.Size([3, 32, 32])
    """
    check_number("identity", identity, low=0, integer=True)
    check_number("size", size, low=MIN_SIZE, high=4096, integer=True)
    check_number("seed", seed, low=0, integer=True)
    matrix = checked_matrix(space, expression)
    check_tensor("condition", condition, (space.dim,))
    check_finite("condition", condition)
    space.validate(condition)
    if len(pose) != 3:
        raise ValueError(f"pose: expected yaw, pitch and roll, got {len(pose)} values")
    for angle in pose:
        check_number("pose", float(angle), low=-3.2, high=3.2)
    scene = Scene.random((seed, 11), 0.0)
    scene = Scene(np.array(pose, np.float32), scene.lights, scene.background_seed)
    coefficients = expression_coefficients(space, condition.detach().cpu(), matrix).numpy()
    image = render(Person.of_identity(identity, size), coefficients, scene, size)
    return to_float(torch.from_numpy(image))
