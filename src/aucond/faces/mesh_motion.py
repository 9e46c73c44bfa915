"""How a head's motion moves the pixels of a picture: the source of every pixel, and the pixels that have none."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._parts import Part
from .geometry import HeadGeometry
from .rasterizer import rasterize
from .renderer import BEHIND_LIDS, BEHIND_LIPS

__all__ = ["MeshMotion", "SolidHead", "mesh_motion", "rasterized"]

Floats = NDArray[np.float32]

INSIDE = (Part.MOUTH, Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE)
EYES = (Part.EYE_LEFT, Part.EYE_RIGHT)
_HIDDEN = 0.06
"""A point more than this far behind what is seen there, in decimetres, is hidden."""
_LID_MOTION = 0.02
"""How far a blink moves what counts as lid, decimetres."""
_OPEN = 0.3
"""Gap between the inner lips, in widths of the mouth, from which on a photo shows more than teeth."""
_STRETCHED = 3.0
"""Skin that has to cover more than this many times its area in the photo is painted anew: an unfolding lid."""


@dataclass(frozen=True, eq=False)
class SolidHead:
    """The triangles of the default head that hide what is behind them, with their parts and depth offsets."""

    triangles: NDArray[np.int32]
    part: NDArray[np.uint8]
    bias: Floats
    lid: NDArray[np.bool_]
    """Triangles that a blink moves."""

    @classmethod
    def default(cls) -> SolidHead:
        """All of the head but the lashes."""
        return _solid_head()


@functools.cache
def _solid_head() -> SolidHead:
    geometry = HeadGeometry.default()
    solid = geometry.part != Part.LASHES
    part = geometry.part[solid]
    bias = np.zeros(len(part), np.float32)
    bias[np.isin(part, EYES)] = BEHIND_LIDS
    bias[np.isin(part, INSIDE)] = BEHIND_LIPS
    names, basis = geometry.model.expression_names, geometry.model.expression_basis
    blink = sum(np.linalg.norm(basis[names.index(f"eyeBlink{side}")], axis=-1) for side in ("Left", "Right"))
    triangles = geometry.model.triangles[solid]
    return SolidHead(triangles, part, bias, (np.asarray(blink)[triangles] > _LID_MOTION).any(-1))


@dataclass(frozen=True, eq=False)
class MeshMotion:
    """For every sample of the picture after the motion, (H, W) each.

    Args:
        flow: Where its content was before, relative to itself (H, W, 2), x and y in samples; 0 off the head.
        known: The head is there, and the same spot was seen before.
        skin: Skin is there.
        unfolded: Skin is there that was hidden or folded before: an eyelid that closes.
        inside: The inside of the mouth is there.
        uncovered: The inside of the mouth is there, and was covered by the lips before.
        eye: An eyeball is there.
    """

    flow: Floats
    known: NDArray[np.bool_]
    skin: NDArray[np.bool_]
    unfolded: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    uncovered: NDArray[np.bool_]
    eye: NDArray[np.bool_]


def rasterized(screen: Floats, height: int, width: int) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Triangle (H, W), -1 for none, its barycentric weights (H, W, 2) and its depth (H, W) at every sample."""
    head = SolidHead.default()
    depth = np.full((height, width), -np.inf, np.float32)
    owner = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 2), np.float32)
    whole, pattern = np.zeros((0, 4), np.float32), np.ones((1, 1), np.float32)
    rasterize(
        np.ascontiguousarray(screen, np.float32), head.triangles, 0, False, head.bias, whole, pattern, depth, owner,
        weights,
    )  # fmt: skip
    return owner, weights, depth


def mesh_motion(before: Floats, after: Floats, height: int, width: int) -> MeshMotion:
    """Compare two states of the default head on the screen.

    Args:
        before: Vertices (V, 3) as they are in the photo: x, y in samples and depth.
        after: The same vertices moved.
        height: Rows of samples.
        width: Columns.
    """
    head = SolidHead.default()
    owner, weights, _ = rasterized(after, height, width)
    old_owner, _, old_depth = rasterized(before, height, width)
    covered = owner >= 0
    triangle = np.where(covered, owner, 0)
    corners = head.triangles[triangle]
    b, c = weights[..., :1], weights[..., 1:]
    source = (1 - b - c) * before[corners[..., 0]] + b * before[corners[..., 1]] + c * before[corners[..., 2]]
    rows, columns = np.mgrid[:height, :width]
    flow = np.stack([source[..., 0] - columns - 0.5, source[..., 1] - rows - 0.5], -1)
    flow[~covered] = 0

    x = np.clip(np.floor(source[..., 0]).astype(np.int64), 0, width - 1)
    y = np.clip(np.floor(source[..., 1]).astype(np.int64), 0, height - 1)
    seen = covered & (source[..., 2] + head.bias[triangle] > old_depth[y, x] - _HIDDEN)
    part = np.where(covered, head.part[triangle], 255)
    old = old_owner[y, x]
    old_part = np.where(old >= 0, head.part[np.maximum(old, 0)], 255)
    skin, inside, eye = part == Part.SKIN, np.isin(part, INSIDE), np.isin(part, EYES)
    stretch = _growth(before, after, head.triangles)[triangle] > _STRETCHED
    fresh = skin & (~seen | stretch)
    unfolded = fresh & head.lid[triangle]
    uncovered = inside & ~(np.isin(old_part, INSIDE) & seen)
    if _lip_gap(before) < _OPEN * _lip_width(before):
        # Between lips that are hardly apart one sees teeth; what the fit takes for more is a sliver of its error.
        uncovered |= np.isin(part, (Part.MOUTH, Part.TONGUE)) & (np.abs(flow).max(-1) > 1e-3)
    known = (skin & ~fresh) | (inside & ~uncovered) | (eye & seen & np.isin(old_part, EYES))
    return MeshMotion(flow.astype(np.float32), known, skin, unfolded, inside, uncovered, eye)


def _lip_gap(screen: Floats) -> float:
    upper, lower = HeadGeometry.default().model.landmarks[[62, 66]]
    return float(np.linalg.norm(screen[upper, :2] - screen[lower, :2]))


def _lip_width(screen: Floats) -> float:
    right, left = HeadGeometry.default().model.landmarks[[60, 64]]
    return float(np.linalg.norm(screen[right, :2] - screen[left, :2]))


def _growth(before: Floats, after: Floats, triangles: NDArray[np.int32]) -> Any:
    """Area of each triangle on the screen after the motion over that before."""

    def area(screen: Floats) -> Any:
        corners = screen[triangles][..., :2].astype(np.float64)
        u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        # Front faces wind clockwise on a screen whose y goes down; what turned away before had no area to show.
        return np.maximum(u[:, 1] * v[:, 0] - u[:, 0] * v[:, 1], 1e-9)

    return area(after) / area(before)
