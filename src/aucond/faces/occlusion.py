"""How much of the surroundings each vertex sees: ambient occlusion by depth maps from many directions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rasterizer import depth_map

__all__ = ["ambient_occlusion"]


def ambient_occlusion(
    vertices: NDArray[Any], triangles: NDArray[Any], *, directions: int = 96, size: int = 384
) -> NDArray[np.float32]:
    """Share of the cosine-weighted sky that each vertex sees, (V,) in [0, 1].

    Args:
        vertices: Positions (V, 3).
        triangles: Indices (T, 3).
        directions: Number of viewing directions, spread evenly over the sphere.
        size: Side of the depth map of one direction, in pixels.

    Returns:
        1 for a vertex that nothing hides, 0 for one that sees nothing.
    """
    normals = _vertex_normals(vertices, triangles)
    centre = vertices.mean(0)
    radius = float(np.linalg.norm(vertices - centre, axis=1).max()) * 1.01
    seen = np.zeros(len(vertices))
    total = np.zeros(len(vertices))
    index = np.arange(directions) + 0.5
    polar = np.arccos(1 - 2 * index / directions)
    around = np.pi * (1 + 5**0.5) * index
    for p, a in zip(polar, around, strict=True):
        forward = np.array([np.sin(p) * np.cos(a), np.cos(p), np.sin(p) * np.sin(a)])
        weight = np.clip(normals @ forward, 0, None)
        side = np.cross([0.0, 1.0, 0.0], forward)
        side /= np.linalg.norm(side)
        rotation = np.stack([side, np.cross(forward, side), forward])
        seen_from = (vertices - centre) @ rotation.T
        screen = np.empty((len(vertices), 3), np.float32)
        screen[:, 0] = (seen_from[:, 0] / radius + 1) * size / 2
        screen[:, 1] = (seen_from[:, 1] / radius + 1) * size / 2
        screen[:, 2] = seen_from[:, 2]
        depth = depth_map(screen, triangles.astype(np.int32), size, size)
        columns = np.clip(screen[:, 0].astype(int), 0, size - 1)
        rows = np.clip(screen[:, 1].astype(int), 0, size - 1)
        visible = screen[:, 2] > depth[rows, columns] - 0.03
        seen += weight * visible
        total += weight
    return (seen / np.maximum(total, 1e-6)).astype(np.float32)


def _vertex_normals(vertices: NDArray[Any], triangles: NDArray[Any]) -> NDArray[np.float64]:
    corners = vertices[triangles].astype(np.float64)
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros(vertices.shape)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], face)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return normals
