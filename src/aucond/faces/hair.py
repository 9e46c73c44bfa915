"""Hair: where the scalp carries it, shells of strands around the neutral head, and curtains that hang down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._parts import Part
from .atlas import smoothstep
from .geometry import HeadGeometry
from .looks import Looks
from .rasterizer import vertex_normals

__all__ = ["HairShells", "grow_hair", "scalp_cover"]

Floats = NDArray[np.float32]

_LINE_ANGLES = np.array([0.0, 0.35, 0.6, 0.8, 0.95, 1.03, 1.15, 1.25, 1.75, 1.95, 2.2, np.pi])
_LINE_HEIGHTS = np.array([0.95, 0.93, 0.87, 0.64, 0.48, 0.14, 0.1, 0.4, 0.4, -0.25, -0.65, -0.75])
"""The hairline of the mean head: height (decimetres) over the angle around the vertical axis, one side."""


@dataclass(frozen=True, eq=False)
class HairShells:
    """Layers of triangles that a strand pattern cuts out (see ``rasterize``)."""

    vertices: Floats
    triangles: NDArray[np.int32]
    cutout: Floats
    """Pattern coordinates, threshold, and share of the light that arrives (V, 4)."""
    hanging: int
    """Index of the first triangle that is seen from both sides."""


def scalp_cover(looks: Looks, angle: Any, height: Any) -> Any:
    """How surely a point of the unrolled head carries hair, in [0, 1]; 0.5 is the hairline.

    Args:
        looks: Whose head.
        angle: Angle around the vertical axis, radians.
        height: Height above the middle of the head, decimetres.
    """
    return smoothstep(-0.05, 0.07, scalp_distance(looks, angle, height))


def scalp_distance(looks: Looks, angle: Any, height: Any) -> Any:
    """Rough signed distance to the hairline in decimetres, positive inside the hair."""
    around = np.abs(angle)
    line = np.interp(around, _LINE_ANGLES, _LINE_HEIGHTS)
    front = smoothstep(1.0, 0.7, around)
    line = line + looks.hairline * front - 0.06 * front * smoothstep(0.5, 0.9, around) * looks.hair.temples
    line = line - (looks.hair.sideburn - 0.3) * smoothstep(0.97, 1.03, around) * smoothstep(
        1.25, 1.18, around
    )
    phase = looks.seed % 7
    ripple = 0.016 * (np.sin(9 * angle + phase) + np.sin(23 * angle + 2 * phase) + 0.7 * np.sin(51 * angle))
    sweep = angle * looks.hair.parting
    fringe = smoothstep(0.85, 0.65, around) * (0.75 + 0.25 * np.clip(sweep * 1.5, -1, 1))
    line = line + ripple - looks.hair.fringe * fringe
    return height - line


def grow_hair(looks: Looks, geometry: HeadGeometry, neutral: Floats) -> HairShells:
    """Hair around the neutral head of an identity.

    Args:
        looks: Style, hairline and seed.
        geometry: The head.
        neutral: Vertices of the neutral face (V, 3); hair never follows the expression.

    Returns:
        Shells from the scalp outwards, and curtains for hair that hangs.
    """
    pieces = _scalp_shells(looks, geometry, neutral)
    hanging = sum(len(faces) for _, faces, _ in pieces)
    if looks.hair.hang is not None:
        for layer in range(3):
            pieces.append(_curtain(looks, neutral, layer, looks.hair.hang))
    offset, triangles = 0, []
    for vertices, faces, _ in pieces:
        triangles.append(faces + offset)
        offset += len(vertices)
    return HairShells(
        np.concatenate([p[0] for p in pieces]).astype(np.float32),
        np.concatenate(triangles).astype(np.int32),
        np.concatenate([p[2] for p in pieces]).astype(np.float32),
        hanging,
    )


_Piece = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def _scalp_shells(looks: Looks, geometry: HeadGeometry, neutral: Floats) -> list[_Piece]:
    model, hair = geometry.model, looks.hair
    angle, height = geometry.paint[:, 0], geometry.paint[:, 1]
    distance = scalp_distance(looks, angle, height)
    skin = geometry.part == Part.SKIN
    behind = (np.abs(angle[model.triangles]) > 2.6).any(1) & (np.ptp(angle[model.triangles], axis=1) > 3)
    chosen = skin & (distance[model.triangles].max(1) > -0.02) & ~behind
    used, triangles = np.unique(model.triangles[chosen], return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    normals = np.zeros_like(neutral)
    vertex_normals(neutral, model.triangles, normals)
    rise = np.sqrt(np.clip((distance[used] + 0.02) / 0.35, 0, 1))
    lift = 1 + 0.25 * np.sin(3 * angle[used] + looks.seed % 5) * hair.curl
    top = 1 + hair.volume * smoothstep(0.5, 1.2, height[used])
    thickness = hair.thickness * rise * lift * top
    u = 4.5 * angle[used] / np.pi * hair.strand_scale
    v = (0.35 + 4.0 * hair.curl) * height[used] * hair.strand_scale
    shells = 3 + round(3 * min(1.0, hair.thickness / 0.15))
    edge = 1 - smoothstep(-0.02, 0.10, distance[used])
    pieces = []
    for shell in range(shells):
        share = (shell + 1) / shells
        threshold = 0.05 + 0.75 * share**2 + 0.9 * edge
        light = np.full(len(used), 0.45 + 0.55 * share)
        layer = neutral[used] + normals[used] * (share * thickness)[:, None]
        pieces.append((layer, triangles, np.stack([u, v, threshold, light], -1)))
    return pieces


def _curtain(looks: Looks, neutral: Floats, layer: int, hang: float) -> _Piece:
    """A surface around back and sides of the head, from the crown down to height ``hang``."""
    hair = looks.hair
    rows, columns = 18, 49
    s = np.linspace(0, 1, rows)[:, None]
    height = 0.95 + (hang - 0.95) * s
    start = np.interp(height, [-1.7, -0.5, 0.3, 0.6, 0.95], [0.95, 1.02, 0.98, 0.75, 0.35]) + 0.06 * (
        layer - 1
    )
    t = np.linspace(-1, 1, columns)[None, :]  # 0 at the back of the head, -1 and 1 at the front edges
    angle = np.pi - t * (np.pi - start)
    around = np.pi - (np.pi - start) * np.abs(t)
    above_ears = smoothstep(0.2, 0.5, height)
    reach = _head_reach(neutral, around, -0.05, 0.3) * (1 - above_ears)
    reach = reach + (_head_reach(neutral, around, 0.38, 0.6) + 0.03) * above_ears
    dome = np.sqrt(np.clip(1 - (np.clip(height - 0.35, 0, None) / 1.0) ** 2, 0.05, 1))
    phase = looks.seed % 11
    wave = hair.curl * 0.05 * np.sin(9 * height + 3 * np.sin(5 * angle + phase)) + 0.015 * np.sin(
        11 * angle + phase
    )
    low = smoothstep(0.3, -1.2, height)
    out = 0.04 + 0.022 * layer + hair.thickness * 0.45
    radius = (reach + out) * dome + wave * s + hair.flare * low
    x, z = radius * np.sin(angle), radius * np.cos(angle) - 0.12 * low
    vertices = np.stack([x, np.broadcast_to(height, x.shape), z], -1).reshape(-1, 3)
    edge = smoothstep(0.93, 1.0, np.abs(t)) * np.ones_like(s)
    end = smoothstep(0.86, 1.0, s) * np.ones_like(t)
    begin = smoothstep(0.12, 0.0, s) * np.ones_like(t)
    threshold = np.array([0.0, 0.15, 0.4])[layer] + 0.95 * np.maximum(np.maximum(edge, end), begin)
    light = (0.5 + 0.22 * layer) * (1 - 0.35 * low) * np.ones_like(t)
    u = 4.5 * angle / np.pi * hair.strand_scale + 0.37 * layer
    v = (0.25 + 1.2 * hair.curl) * height * hair.strand_scale * np.ones_like(t)
    cutout = np.stack([u, v, threshold, light], -1).reshape(-1, 4)
    corner = np.arange((rows - 1) * columns).reshape(rows - 1, columns)[:, :-1].ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + columns, corner + 1], -1),
            np.stack([corner + 1, corner + columns, corner + columns + 1], -1),
        ]
    )
    return vertices, faces, cutout


def _head_reach(neutral: Floats, around: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """Largest distance of the head from its axis at angles ``around`` in [0, pi], between two heights."""
    band = neutral[(neutral[:, 1] > low) & (neutral[:, 1] < high)]
    bins = np.linspace(0, np.pi, 13)
    angles = np.abs(np.arctan2(band[:, 0], band[:, 2]))
    distance = np.hypot(band[:, 0], band[:, 2])
    reach = np.array([distance[np.abs(angles - b) < 0.22].max(initial=0.5) for b in bins])
    result: NDArray[Any] = np.interp(around, bins, reach)
    return result
