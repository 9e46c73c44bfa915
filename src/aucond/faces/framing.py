"""Where a face crop lies in a picture, so that every face fills its crop as the training faces fill theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .._check import check_number, check_tensor, describe

__all__ = ["FaceCrop", "FaceFraming"]

_WEIGHTS = torch.tensor([1.0, 1.0, 1.0, 0.5], dtype=torch.float64)
"""Of the two eyes, the base of the nose, and the mouth, which moves most with the expression."""


@dataclass(frozen=True)
class FaceCrop:
    """A square in a picture.

    Convention: x to the right, y down, in pixels; the centre of the first pixel is (0.5, 0.5). A crop may reach over
    the picture's edge.

    Args:
        x: The square's middle.
        y: The square's middle.
        side: Its side in pixels.
        angle: Its rotation in radians, positive clockwise as seen: where the crop's right-hand side points.

    >>> FaceCrop(50.0, 40.0, 20.0).to_picture(torch.tensor([[0.0, 0.0], [0.5, 1.0]]))
    tensor([[40., 30.],
            [50., 50.]])
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        for name in ("x", "y", "side", "angle"):
            check_number(name, getattr(self, name))
        if self.side <= 0:
            raise ValueError(f"side: expected a number of pixels above 0, got {self.side}")

    def to_picture(self, points: Tensor) -> Tensor:
        """Map crop coordinates (..., 2), 0 to 1 over the square, to pixels of the picture."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        u, v = ((points - 0.5) * self.side).unbind(-1)
        return torch.stack([self.x + cos * u - sin * v, self.y + sin * u + cos * v], dim=-1)

    def to_crop(self, points: Tensor) -> Tensor:
        """Map pixels of the picture (..., 2) to crop coordinates: the inverse of :meth:`to_picture`."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x, y = points[..., 0] - self.x, points[..., 1] - self.y
        return torch.stack([cos * x + sin * y, cos * y - sin * x], dim=-1) / self.side + 0.5

    def bounds(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The rows and columns (top, bottom, left, right) of a picture that hold all of its pixels inside the crop."""
        corners = self.to_picture(torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]], dtype=torch.float64))
        left, top = corners.amin(0).floor().long().tolist()
        right, bottom = corners.amax(0).ceil().long().tolist()
        return max(top, 0), min(bottom, height), max(left, 0), min(right, width)


@dataclass(frozen=True)
class FaceFraming:
    """Where eyes, nose and mouth lie in an aligned crop.

    A face is brought into the frame by the similarity (shift, rotation, one scale) that moves its four points to
    these with the least squared distance; the mouth, which the expression moves, counts half.

    The defaults are the mean of neutral, frontal :class:`~aucond.faces.SyntheticFaces`, whose crops show the whole
    face, from the hairline to the chin. :meth:`of_landmarks` measures the frame of crops that were made in another way.

    Args:
        right_eye: Mean of the six points of the person's right eye, (x, y) from 0 to 1 over the crop.
        left_eye: The same of the left.
        nose: Base of the nose (point 33 of iBUG).
        mouth: Midway between the corners of the mouth.

    >>> landmarks = torch.rand(68, 2) * 100
    >>> crop = FaceFraming().crop(landmarks)
    >>> moved = FaceFraming().crop(landmarks * 2 + 7)
    >>> round(moved.side / crop.side, 3)
    2.0
    """

    right_eye: tuple[float, float] = (0.318, 0.304)
    left_eye: tuple[float, float] = (0.682, 0.304)
    nose: tuple[float, float] = (0.5, 0.594)
    mouth: tuple[float, float] = (0.5, 0.712)

    def __post_init__(self) -> None:
        for name in ("right_eye", "left_eye", "nose", "mouth"):
            point: Any = getattr(self, name)
            if not isinstance(point, tuple) or len(point) != 2:
                raise TypeError(f"{name}: expected (x, y), got {describe(point)}")
            for value in point:
                check_number(name, value)
        if self.right_eye[0] >= self.left_eye[0]:
            raise ValueError(
                "left_eye: expected it to the right of right_eye as seen, "
                f"got x {self.left_eye[0]} and {self.right_eye[0]}"
            )

    @classmethod
    def of_landmarks(cls, landmarks: Tensor, size: int) -> FaceFraming:
        """The frame that a set of aligned crops has.

        Args:
            landmarks: Their landmarks (M, 68, 2) in pixels.
            size: Side of the crops in pixels.
        """
        check_tensor("landmarks", landmarks, ("M", 68, 2))
        check_number("size", size, low=1, integer=True)
        if len(landmarks) == 0:
            raise ValueError("landmarks: expected those of at least one crop, got none")
        points = [(x, y) for x, y in (_points(landmarks.double()).mean(0) / size).tolist()]
        return cls(*points)

    def crop(self, landmarks: Tensor) -> FaceCrop:
        """The square around a face that shows it in this frame.

        Args:
            landmarks: 68 points (68, 2) in pixels of the picture.

        Raises:
            ValueError: Another shape, or points that all lie in one place.
        """
        check_tensor("landmarks", landmarks, (68, 2))
        wanted = torch.tensor([self.right_eye, self.left_eye, self.nose, self.mouth], dtype=torch.float64)
        found = _points(landmarks.detach().cpu().double())
        weights = (_WEIGHTS / _WEIGHTS.sum())[:, None]
        middle_wanted, middle_found = (weights * wanted).sum(0), (weights * found).sum(0)
        a, b = wanted - middle_wanted, found - middle_found
        spread = (weights * a * a).sum()
        along = float((weights * a * b).sum() / spread)
        across = float((weights[:, 0] * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])).sum() / spread)
        side = math.hypot(along, across)
        if not (math.isfinite(side) and side > 1e-6):
            raise ValueError("landmarks: expected finite points that lie apart, got all in one place")
        angle = math.atan2(across, along)
        u, v = ((0.5 - middle_wanted) * side).tolist()
        x = float(middle_found[0]) + math.cos(angle) * u - math.sin(angle) * v
        y = float(middle_found[1]) + math.sin(angle) * u + math.cos(angle) * v
        return FaceCrop(x, y, side, angle)


def _points(landmarks: Tensor) -> Tensor:
    """Eyes, nose and mouth (..., 4, 2) of 68 landmarks (..., 68, 2)."""
    mouth = (landmarks[..., 48, :] + landmarks[..., 54, :]) / 2
    eyes = [landmarks[..., 36:42, :].mean(-2), landmarks[..., 42:48, :].mean(-2)]
    return torch.stack([*eyes, landmarks[..., 33, :], mouth], dim=-2)
