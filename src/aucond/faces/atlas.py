"""Maps on the unrolled mean head that every identity's paint starts from, at one resolution."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._parts import Part
from .geometry import ATLAS_BOTTOM, ATLAS_TOP, HeadGeometry, atlas_coordinates
from .rasterizer import rasterize

__all__ = ["Atlas", "smooth_noise", "smoothstep"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Atlas:
    """Per texel of the skin atlas: where it lies on the mean head and what it belongs to; (H, W) unless said otherwise.

    Args:
        side: Distance from the face's mid line along the skin, decimetres, positive to the subject's left (1, W).
        height: Height above the middle of the head, decimetres (H, 1).
        angle: Angle around the vertical axis, radians (1, W).
        lips: Membership of the lips in [0, 1].
        fine: Fine-grained noise of zero mean and unit deviation.
        coarse: Noise of a few centimetres' wavelength, zero mean, unit deviation.
        strands: Noise drawn out vertically, as hair is, in [0, 1].
    """

    side: Floats
    height: Floats
    angle: Floats
    lips: Floats
    fine: Floats
    coarse: Floats
    strands: Floats

    @classmethod
    def of_width(cls, width: int) -> Atlas:
        """The maps at a width in texels; made once for each width."""
        return _atlas(width)


@functools.lru_cache(maxsize=4)
def _atlas(width: int) -> Atlas:
    rows = round(width * 0.85)
    u = (np.arange(width) + 0.5) / width
    v = (np.arange(rows) + 0.5) / rows
    angle = 2 * np.arcsin(2 * u - 1)[None, :]
    height = (ATLAS_TOP - v * (ATLAS_TOP - ATLAS_BOTTOM))[:, None]
    rng = np.random.default_rng(7)
    fine = rng.standard_normal((rows, width))
    strands = smooth_noise(rng, (rows, width), (rows // 24, width // 2))
    strands = np.argsort(np.argsort(strands, axis=None)).reshape(rows, width) / strands.size
    maps = {
        "side": 1.12 * angle,
        "height": height,
        "angle": angle,
        "lips": _rasterized_lips(rows, width),
        "fine": fine,
        "coarse": smooth_noise(rng, (rows, width), (12, 14)),
        "strands": strands,
    }
    return Atlas(**{name: np.ascontiguousarray(values, dtype=np.float32) for name, values in maps.items()})


def _rasterized_lips(rows: int, width: int) -> Floats:
    geometry = HeadGeometry.default()
    flat = atlas_coordinates(geometry.paint[:, 0], geometry.paint[:, 1])
    screen = np.concatenate([flat * [width, rows], np.zeros((len(flat), 1))], 1).astype(np.float32)
    triangles = geometry.model.triangles[(geometry.part == Part.SKIN)]
    triangles = triangles[geometry.lips[triangles].max(1) > 0]
    # Where the lips fold over themselves the most lip-like layer counts.
    order = np.argsort(geometry.lips[triangles].mean(1), kind="stable")
    triangles = np.ascontiguousarray(triangles[order])
    depth = np.full((rows, width), -np.inf, np.float32)
    owner = np.full((rows, width), -1, np.int32)
    weights = np.zeros((rows, width, 2), np.float32)
    rank = np.arange(len(triangles), dtype=np.float32)
    nothing = np.zeros((0, 3), np.float32)
    rasterize(screen, triangles, 0, True, rank, nothing, np.ones((1, 1), np.float32), depth, owner, weights)
    corners = geometry.lips[triangles[np.maximum(owner, 0)]]
    b, c = weights[..., 0], weights[..., 1]
    lips = corners[..., 0] * (1 - b - c) + corners[..., 1] * b + corners[..., 2] * c
    return np.where(owner >= 0, lips, 0).astype(np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> NDArray[Any]:
    """Random values on a coarse grid of ``cells``, smoothly interpolated to ``shape``; zero mean, unit deviation.

    Repeats seamlessly.
    """
    grid = np.pad(rng.standard_normal(cells), (0, 1), mode="wrap")
    for axis in (0, 1):
        position = np.linspace(0, cells[axis], shape[axis], endpoint=False)
        first = position.astype(int)
        t = smoothstep(0, 1, position - first)
        t = t[:, None] if axis == 0 else t[None, :]
        grid = np.take(grid, first, axis) * (1 - t) + np.take(grid, first + 1, axis) * t
    grid -= grid.mean()
    result: NDArray[Any] = grid / grid.std()
    return result


def smoothstep(low: Any, high: Any, x: Any) -> Any:
    """0 below ``low``, 1 above ``high``, a cubic between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
