"""Colour of every sample that the rasteriser assigned to a triangle, and the mean of the samples of a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._compiled import compiled
from ._parts import Part
from .surfaces import BONE, LASH, MOUTH, TONGUE, eye, hair, inside_mouth, skin

__all__ = ["resolve", "shade", "shade_lashes"]

Floats = NDArray[np.float32]

_SKIN, _EYES = int(Part.SKIN), (int(Part.EYE_LEFT), int(Part.EYE_RIGHT))
_TEETH, _TONGUE = (int(Part.UPPER_TEETH), int(Part.LOWER_TEETH)), int(Part.TONGUE)


@compiled
def _blend(values: Floats, corners: NDArray[np.int32], b: float, c: float, column: int) -> float:
    """A vertex attribute at barycentric weights (1 - b - c, b, c)."""
    first = (1.0 - b - c) * values[corners[0], column]
    return float(first + b * values[corners[1], column] + c * values[corners[2], column])


@compiled
def _blend_normal(normals: Floats, corners: NDArray[np.int32], b: float, c: float, normal: Floats) -> None:
    length = 1e-9
    for axis in range(3):
        normal[axis] = _blend(normals, corners, b, c, axis)
        length += normal[axis] * normal[axis]
    for axis in range(3):
        normal[axis] /= np.sqrt(length)


@compiled
def _lambert(normal: Floats, light: Floats, wrap: float) -> float:
    """Diffuse term, softened so that light wraps around the terminator as it does under skin."""
    cosine = normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2]
    return float(max(0.0, (cosine + wrap) / (1.0 + wrap)))


@compiled
def _light_up(surface: Floats, normal: Floats, lights: Floats, sample: Floats) -> None:
    """Key and fill light, sky and ground, and the highlight of the key light."""
    light_in = surface[4]
    direct = light_in * (0.35 + 0.65 * light_in)
    up = 0.5 + 0.5 * normal[1]
    red_key, key = _lambert(normal, lights[0], 0.30), _lambert(normal, lights[0], 0.15)
    red_fill, fill = _lambert(normal, lights[2], 0.30), _lambert(normal, lights[2], 0.15)
    for c in range(3):
        light = lights[1, c] * (red_key if c == 0 else key) * direct
        light += lights[3, c] * (red_fill if c == 0 else fill) * light_in
        light += (lights[5, c] + (lights[4, c] - lights[5, c]) * up) * light_in
        sample[c] = surface[c] * light + surface[3] * lights[1, c]


@compiled
def shade(
    owner: NDArray[np.int32],
    weights: Floats,
    triangles: NDArray[np.int32],
    part: NDArray[np.uint8],
    normals: Floats,
    paint: Floats,
    atlas_place: Floats,
    occlusion: Floats,
    atlas: NDArray[np.uint8],
    folds: NDArray[np.int8],
    fold_depth: Floats,
    mouth_open: float,
    hair_triangles: NDArray[np.int32],
    hair_normals: Floats,
    hair_cutout: Floats,
    pattern: Floats,
    palette: Floats,
    lights: Floats,
    samples: Floats,
) -> None:
    """Linear light of each sample (H, W, 3), in place; samples without a triangle stay as they are.

    Triangles from ``len(triangles)`` on are hair. ``occlusion`` is (V, 1), ``mouth_open`` in [0, 1] lets light into the
    mouth; ``lights`` has the rows key direction, key colour, fill direction, fill colour, sky colour, ground colour.
    """
    surface, normal = np.zeros(5, np.float32), np.zeros(3, np.float32)
    key, fill = lights[0], lights[2]
    for row in range(owner.shape[0]):
        for column in range(owner.shape[1]):
            t = owner[row, column]
            if t < 0:
                continue
            b, c = weights[row, column, 0], weights[row, column, 1]
            if t >= triangles.shape[0]:
                corners = hair_triangles[t - triangles.shape[0]]
                _blend_normal(hair_normals, corners, b, c, normal)
                if normal[2] < 0.0:
                    normal[0], normal[1], normal[2] = -normal[0], -normal[1], -normal[2]
                u, v = _blend(hair_cutout, corners, b, c, 0), _blend(hair_cutout, corners, b, c, 1)
                hair(u, v, _blend(hair_cutout, corners, b, c, 3), normal, key, pattern, palette, surface)
                _light_up(surface, normal, lights, samples[row, column])
                continue
            corners, p = triangles[t], part[t]
            _blend_normal(normals, corners, b, c, normal)
            shadow = _blend(occlusion, corners, b, c, 0)
            if p == _SKIN:
                u, v = _blend(atlas_place, corners, b, c, 0), _blend(atlas_place, corners, b, c, 1)
                skin(u, v, shadow, normal, key, atlas, folds, fold_depth, surface)
            else:
                x, y = _blend(paint, corners, b, c, 0), _blend(paint, corners, b, c, 1)
                if p in _EYES:
                    eye(x, y, normal, key, fill, palette, surface)
                else:
                    which = BONE if p in _TEETH else TONGUE if p == _TONGUE else MOUTH
                    inside_mouth(which, x, shadow, mouth_open, normal, key, palette, surface)
            _light_up(surface, normal, lights, samples[row, column])


@compiled
def shade_lashes(
    owner: NDArray[np.int32],
    weights: Floats,
    triangles: NDArray[np.int32],
    paint: Floats,
    pattern: Floats,
    strength: float,
    palette: Floats,
    samples: Floats,
) -> None:
    """Lay the lashes over the samples (H, W, 3) as a half transparent veil, in place."""
    side = pattern.shape[0]
    for row in range(owner.shape[0]):
        for column in range(owner.shape[1]):
            t = owner[row, column]
            if t < 0:
                continue
            b, c = weights[row, column, 0], weights[row, column, 1]
            x, tip = _blend(paint, triangles[t], b, c, 0), _blend(paint, triangles[t], b, c, 1)
            strand = pattern[0, int(np.floor(x * 3.0 * side)) % side]
            veil = strength if tip > 0.0 else 0.3 * strength
            veil *= min(1.0, 1.25 - 1.25 * min(abs(tip), 1.0)) * (0.6 + 0.4 * strand)
            for q in range(3):
                samples[row, column, q] += veil * (palette[LASH, q] - samples[row, column, q])


@compiled
def resolve(samples: Floats, image: NDArray[np.uint8]) -> None:
    """Mean of the 2x2 samples of each pixel, as 8-bit sRGB (gamma 2.2), channels first: (2H, 2W, 3) -> (3, H, W)."""
    for q in range(3):
        for row in range(image.shape[1]):
            for column in range(image.shape[2]):
                total = 0.0
                for corner in range(4):
                    x = samples[2 * row + corner // 2, 2 * column + corner % 2, q]
                    # A soft shoulder keeps highlights from clipping one by one.
                    total += x if x <= 0.8 else min(x, 1.0 - 0.2 * np.exp(-(x - 0.8) * 5.0))
                image[q, row, column] = int(255.0 * (0.25 * total) ** (1.0 / 2.2) + 0.5)
