"""Triangles to pixels with a depth buffer; nothing here knows what a face is.

Convention: screen vertices are (x, y, z) in pixels with y DOWN, pixel centres at +0.5, and larger z nearer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._compiled import compiled

__all__ = ["depth_map", "rasterize", "vertex_normals"]

Floats = NDArray[np.float32]


@compiled
def rasterize(
    screen: Floats,
    triangles: NDArray[np.int32],
    first_id: int,
    two_sided: bool,
    bias: Floats,
    cutout: Floats,
    pattern: Floats,
    depth: Floats,
    owner: NDArray[np.int32],
    weights: Floats,
) -> None:
    """Draw triangles into ``depth`` (H, W), ``owner`` (H, W) and the barycentric ``weights`` (H, W, 2), in place.

    Args:
        screen: Vertices (V, 3).
        triangles: Indices (T, 3); front faces are those that wind clockwise on the screen (y down).
        first_id: ``owner`` of triangle t becomes ``first_id + t``.
        two_sided: Draw back faces too.
        bias: Depth offsets (T,), added to z; negative lets others win.
        cutout: Per vertex (u, v, threshold) (V, 3), or size 0 for solid triangles: a pixel is drawn only where the
            repeating ``pattern`` at (u, v) exceeds the threshold.
        pattern: Pattern of the cutout (P, P) in [0, 1].
        depth: Nearest z so far; start with -inf.
        owner: Nearest triangle so far; start with -1.
        weights: Barycentric weights of the second and third corner.
    """
    height, width = depth.shape
    solid = cutout.size == 0
    side = pattern.shape[0]
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0 = screen[i, 0], screen[i, 1]
        x1, y1 = screen[j, 0], screen[j, 1]
        x2, y2 = screen[k, 0], screen[k, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0.0 or (area > 0.0 and not two_sided):
            continue
        left = max(int(np.ceil(min(x0, x1, x2) - 0.5)), 0)
        right = min(int(np.floor(max(x0, x1, x2) - 0.5)), width - 1)
        top = max(int(np.ceil(min(y0, y1, y2) - 0.5)), 0)
        bottom = min(int(np.floor(max(y0, y1, y2) - 0.5)), height - 1)
        if left > right or top > bottom:
            continue
        inverse = 1.0 / area
        z0 = screen[i, 2] + bias[t]
        dz1, dz2 = screen[j, 2] - screen[i, 2], screen[k, 2] - screen[i, 2]
        for row in range(top, bottom + 1):
            py = row + 0.5 - y0
            for column in range(left, right + 1):
                px = column + 0.5 - x0
                b = (px * (y2 - y0) - (x2 - x0) * py) * inverse
                c = ((x1 - x0) * py - px * (y1 - y0)) * inverse
                if b < 0.0 or c < 0.0 or b + c > 1.0:
                    continue
                z = z0 + b * dz1 + c * dz2
                if z <= depth[row, column]:
                    continue
                if not solid:
                    a = 1.0 - b - c
                    u = a * cutout[i, 0] + b * cutout[j, 0] + c * cutout[k, 0]
                    v = a * cutout[i, 1] + b * cutout[j, 1] + c * cutout[k, 1]
                    threshold = a * cutout[i, 2] + b * cutout[j, 2] + c * cutout[k, 2]
                    if pattern[int(np.floor(v * side)) % side, int(np.floor(u * side)) % side] <= threshold:
                        continue
                depth[row, column] = z
                owner[row, column] = first_id + t
                weights[row, column, 0] = b
                weights[row, column, 1] = c


@compiled
def vertex_normals(vertices: Floats, triangles: NDArray[np.int32], normals: Floats) -> None:
    """Area-weighted unit normals of the vertices (V, 3), written into ``normals`` in place."""
    normals[:] = 0.0
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = (
            vertices[j, 0] - vertices[i, 0],
            vertices[j, 1] - vertices[i, 1],
            vertices[j, 2] - vertices[i, 2],
        )
        vx, vy, vz = (
            vertices[k, 0] - vertices[i, 0],
            vertices[k, 1] - vertices[i, 1],
            vertices[k, 2] - vertices[i, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (i, j, k):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for v in range(normals.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0.0:
            for c in range(3):
                normals[v, c] /= length


def depth_map(screen: NDArray[Any], triangles: NDArray[np.int32], height: int, width: int) -> Floats:
    """Largest z per pixel (H, W) of two-sided triangles; -inf where there is none."""
    depth = np.full((height, width), -np.inf, np.float32)
    owner = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 2), np.float32)
    nothing = np.zeros((0, 3), np.float32)
    rasterize(
        screen.astype(np.float32),
        triangles,
        0,
        True,
        np.zeros(len(triangles), np.float32),
        nothing,
        np.ones((1, 1), np.float32),
        depth,
        owner,
        weights,
    )
    return depth
