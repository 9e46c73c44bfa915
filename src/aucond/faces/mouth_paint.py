"""Teeth, tongue and the dark of the mouth, painted in the light of a photo that shows none of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atlas import smoothstep
from .geometry import HeadGeometry
from .mesh_motion import INSIDE, SolidHead, rasterized
from .rasterizer import vertex_normals
from .shading import shade
from .surfaces import BONE, MOUTH, PALETTE_SIZE, TONGUE

__all__ = ["paint_mouth"]

Floats = NDArray[np.float32]

_PALETTE = {BONE: (0.80, 0.74, 0.66), MOUTH: (0.22, 0.07, 0.06), TONGUE: (0.42, 0.13, 0.12)}
"""Albedo, linear."""


def paint_mouth(
    turned: Floats, screen: Floats, gap: float, brightness: float, height: int, width: int
) -> Floats:
    """The inside of the mouth as the renderer draws it, light from the front.

    Args:
        turned: Vertices (V, 3) of the default head, turned as seen.
        screen: The same on the screen, in samples.
        gap: Between the lips, decimetres: the wider, the more light comes in.
        brightness: Of the light; 1 shows white as white.
        height: Rows of samples.
        width: Columns.

    Returns:
        (H, W, 3) in [0, 1], gamma-encoded; meaningful where the inside of the mouth is seen.
    """
    geometry, head = HeadGeometry.default(), SolidHead.default()
    owner, weights, _ = rasterized(screen, height, width)
    owner[~np.isin(head.part[np.maximum(owner, 0)], INSIDE)] = -1
    normals = np.empty_like(turned)
    vertex_normals(turned, geometry.model.triangles, normals)
    palette = np.zeros((PALETTE_SIZE, 3), np.float32)
    for row, color in _PALETTE.items():
        palette[row] = color
    front = np.array([0.0, 0.3, 0.954], np.float32)
    key, fill = brightness * np.full(3, 0.75), brightness * np.full(3, 0.1)
    sky = brightness * np.full(3, 0.35)
    lights = np.stack([front, key, front, fill, sky, 0.6 * sky]).astype(np.float32)
    opened = 0.15 + 0.85 * float(smoothstep(0.035, 0.085, gap))
    samples = np.zeros((height, width, 3), np.float32)
    no_place = np.zeros((len(screen), 2), np.float32)
    no_hair = np.zeros((0, 3), np.int32)
    no_attributes = np.zeros((0, 4), np.float32)
    no_normals = np.zeros((0, 3), np.float32)
    no_atlas, no_folds = np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 1), np.int8)
    shade(
        owner, weights, head.triangles, head.part, normals, geometry.paint, no_place, geometry.occlusion[:, None],
        no_atlas, no_folds, np.zeros((1, 2), np.float32), opened,
        no_hair, no_normals, no_attributes, np.ones((1, 1), np.float32), palette, lights, samples,
    )  # fmt: skip
    encoded: Any = np.clip(samples, 0, 1) ** (1 / 2.2)
    return np.asarray(encoded, np.float32)
