"""The camera that a fitted face is seen by: the renderer's, with its numbers as tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._check import check_number, check_tensor

__all__ = ["HeadCamera", "pose_angles", "pose_rotation", "rotation_slopes"]


@dataclass(frozen=True, eq=False)
class HeadCamera:
    """B cameras, one for each of B heads.

    A point X of the head is turned, ``Y = R(pose) X``, and lands at ``centre + k (Y_x - offset_x, offset_y - Y_y)``
    with ``k = scale * distance / (distance + depth - Y_z)``.

    Convention:
        Pixels with x to the right and y down, the first pixel's centre at (0.5, 0.5). Poses are yaw, pitch, roll in
        radians with the signs of :class:`~aucond.faces.SyntheticFaces`, ``R = roll @ pitch @ yaw``.

    Args:
        pose: (B, 3).
        scale: Pixels per length unit of the model at the depth of the face (B,).
        offset: Point of the turned head that lies on the optical axis (B, 2), model units.
        centre: Where the optical axis meets the picture (B, 2), pixels.
        distance: From the camera to the face in model units; infinity: a weak perspective camera.
        depth: How far the face lies before the origin of the model.
    """

    pose: Tensor
    scale: Tensor
    offset: Tensor
    centre: Tensor
    distance: float
    depth: float

    def __post_init__(self) -> None:
        check_tensor("pose", self.pose, ("B", 3))
        count = len(self.pose)
        check_tensor("scale", self.scale, (count,))
        check_tensor("offset", self.offset, (count, 2))
        check_tensor("centre", self.centre, (count, 2))
        if not self.distance > 0:
            raise ValueError(f"distance: expected a length above 0 or infinity, got {self.distance}")
        check_number("depth", self.depth)

    def project(self, vertices: Tensor) -> Tensor:
        """Screen x, y in pixels and depth (B, V, 3) of vertices (B, V, 3); larger depth is nearer; differentiable."""
        check_tensor("vertices", vertices, (len(self.pose), "V", 3))
        turned = vertices @ pose_rotation(self.pose).transpose(1, 2)
        factor = self.scale[:, None]
        if math.isfinite(self.distance):
            factor = factor * self.distance / (self.distance + self.depth - turned[..., 2])
        x = self.centre[:, :1] + factor * (turned[..., 0] - self.offset[:, :1])
        y = self.centre[:, 1:] - factor * (turned[..., 1] - self.offset[:, 1:])
        return torch.stack([x, y, turned[..., 2]], -1)


def pose_rotation(pose: Tensor) -> Tensor:
    """Rotations ``roll @ pitch @ yaw`` (..., 3, 3) of poses (..., 3)."""
    yaw, pitch, roll = _factors(pose.cos(), pose.sin(), torch.ones_like(pose))
    return roll @ pitch @ yaw


def rotation_slopes(pose: Tensor) -> Tensor:
    """Derivatives (..., 3, 3, 3) of :func:`pose_rotation` by yaw, pitch and roll, in the last dimension."""
    yaw, pitch, roll = _factors(pose.cos(), pose.sin(), torch.ones_like(pose))
    by_yaw, by_pitch, by_roll = _factors(-pose.sin(), pose.cos(), torch.zeros_like(pose))
    return torch.stack([roll @ pitch @ by_yaw, roll @ by_pitch @ yaw, by_roll @ pitch @ yaw], -1)


def _factors(cos: Tensor, sin: Tensor, one: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three rotations about an axis each (..., 3, 3): yaw about y, pitch about x, roll about z."""
    (cy, cp, cr), (sy, sp, sr), i = cos.unbind(-1), sin.unbind(-1), one[..., 0]
    o = torch.zeros_like(i)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, -1).reshape(*i.shape, 3, 3)

    yaw = matrix(cy, o, sy, o, i, o, -sy, o, cy)
    pitch = matrix(i, o, o, o, cp, -sp, o, sp, cp)
    roll = matrix(cr, sr, o, -sr, cr, o, o, o, i)
    return yaw, pitch, roll


def pose_angles(rotation: Tensor) -> Tensor:
    """Yaw, pitch and roll (..., 3) of rotations (..., 3, 3); the inverse of :func:`pose_rotation`.

    >>> pose = torch.tensor([0.3, -0.2, 0.1])
    >>> torch.allclose(pose_angles(pose_rotation(pose)), pose)
    True
    """
    yaw = torch.atan2(-rotation[..., 2, 0], rotation[..., 2, 2])
    pitch = torch.asin(rotation[..., 2, 1].clamp(-1, 1))
    roll = torch.atan2(rotation[..., 0, 1], rotation[..., 1, 1])
    return torch.stack([yaw, pitch, roll], -1)
