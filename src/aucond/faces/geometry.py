"""The head as the renderer sees it: the linear model plus what each triangle is made of."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .linear_model import HEAD_FILE, LinearFaceModel
from .model_file import read_arrays

__all__ = ["ATLAS_BOTTOM", "ATLAS_TOP", "HeadGeometry", "atlas_coordinates"]

ATLAS_TOP, ATLAS_BOTTOM = 1.55, -1.75
"""Heights (decimetres from the head's middle) that the skin atlas covers."""


def atlas_coordinates(angle: NDArray[Any], height: NDArray[Any]) -> NDArray[np.float32]:
    """Place of a point of the mean head in the skin atlas, (..., 2) in [0, 1].

    The head is unrolled around its vertical axis; ``sin(angle / 2)`` gives the face more room than the back.

    Args:
        angle: Angle around the vertical axis in radians, 0 at the nose, positive to the subject's left.
        height: Height in decimetres above the middle of the head.
    """
    u = 0.5 + 0.5 * np.sin(angle / 2)
    v = (ATLAS_TOP - height) / (ATLAS_TOP - ATLAS_BOTTOM)
    return np.stack([u, v], -1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class HeadGeometry:
    """The linear model and its surface attributes (V vertices, T triangles).

    Args:
        model: The linear face model.
        part: What each triangle is made of (T,), values of ``Part``.
        paint: Paint coordinates of each vertex (V, 2): eyes: the rest direction's x, y; all else: angle and height on
            the unrolled mean head.
        lips: Membership of the lips (V,) in [0, 1].
        occlusion: Ambient light that reaches the vertex of the neutral mean head (V,) in [0, 1].
        blink_occlusion: The same with closed eyes.
    """

    model: LinearFaceModel
    part: NDArray[np.uint8]
    paint: NDArray[np.float32]
    lips: NDArray[np.float32]
    occlusion: NDArray[np.float32]
    blink_occlusion: NDArray[np.float32]

    @classmethod
    def default(cls) -> HeadGeometry:
        """The head that comes with the package."""
        return _default_geometry()


@functools.cache
def _default_geometry() -> HeadGeometry:
    arrays, _ = read_arrays(HEAD_FILE)

    def share(key: str) -> NDArray[np.float32]:
        return (arrays[key] / 255).astype(np.float32)

    return HeadGeometry(
        model=LinearFaceModel.default(),
        part=arrays["part"],
        paint=arrays["paint"],
        lips=share("lips"),
        occlusion=share("occlusion"),
        blink_occlusion=share("blink_occlusion"),
    )
