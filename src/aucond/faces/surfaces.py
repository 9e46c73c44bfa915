"""What hair, skin, eyes and the inside of the mouth look like at one point.

Each function fills ``surface``: albedo red, green, blue; highlight; share of the light that arrives. Linear light.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._compiled import compiled

__all__ = [
    "BONE",
    "EYE",
    "HAIR",
    "LASH",
    "MOUTH",
    "PALETTE_SIZE",
    "TONGUE",
    "eye",
    "hair",
    "inside_mouth",
    "skin",
]

Floats = NDArray[np.float32]

EYE, BONE, MOUTH, TONGUE, LASH, HAIR, PALETTE_SIZE = 0, 1, 2, 3, 4, 5, 6
"""Rows of a person's palette: iris, teeth, mouth interior, tongue, lashes, hair."""


@compiled
def _ramp(low: float, high: float, x: float) -> float:
    """0 at ``low``, 1 at ``high``, straight between."""
    return float(min(max((x - low) / (high - low), 0.0), 1.0))


@compiled
def _shine(normal: Floats, light: Floats, doublings: int) -> float:
    """Blinn's highlight with exponent 2**doublings, seen from +z."""
    h0, h1, h2 = light[0], light[1], light[2] + 1.0
    cosine = (normal[0] * h0 + normal[1] * h1 + normal[2] * h2) / np.sqrt(h0 * h0 + h1 * h1 + h2 * h2)
    if cosine <= 0.0:
        return 0.0
    for _ in range(doublings):
        cosine *= cosine
    return float(cosine)


@compiled
def hair(
    u: float,
    v: float,
    light_in: float,
    normal: Floats,
    key: Floats,
    pattern: Floats,
    palette: Floats,
    surface: Floats,
) -> None:
    """Strands that hang down the head, in locks; the highlight after Kajiya and Kay (1989)."""
    side = pattern.shape[0]
    strand = pattern[int(np.floor(v * side)) % side, int(np.floor(u * side)) % side]
    lock = pattern[int(np.floor(v * side * 0.4)) % side, int(np.floor(u * side * 0.22)) % side]
    for c in range(3):
        surface[c] = palette[HAIR, c] * (0.4 + 0.55 * strand + 0.45 * lock)
    # The strand's direction is "down" within the surface; what counts is the sine of its angle to the half vector.
    n0, n1, n2 = normal[0], normal[1], normal[2]
    t0, t1, t2 = n1 * n0, n1 * n1 - 1.0, n1 * n2
    h0, h1, h2 = key[0], key[1], key[2] + 1.0
    lengths = np.sqrt((t0 * t0 + t1 * t1 + t2 * t2) * (h0 * h0 + h1 * h1 + h2 * h2)) + 1e-6
    cosine = (t0 * h0 + t1 * h1 + t2 * h2) / lengths
    sine = max(0.0, 1.0 - cosine * cosine)
    sine *= sine
    sine *= sine
    sine = sine * sine * sine * sine * sine
    surface[3] = sine * (0.2 + 0.5 * strand + 0.5 * lock) * (0.035 + 0.25 * palette[HAIR, 1]) * light_in
    surface[4] = light_in


@compiled
def skin(
    u: float,
    v: float,
    occlusion: float,
    normal: Floats,
    key: Floats,
    atlas: NDArray[np.uint8],
    folds: NDArray[np.int8],
    fold_depth: Floats,
    surface: Floats,
) -> None:
    """The painted atlas, looked up bilinearly, and the folds of the expression."""
    height, width = atlas.shape[0], atlas.shape[1]
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    column, row = int(x), int(y)
    a, b = x - column, y - row
    w00, w01, w10, w11 = (1.0 - a) * (1.0 - b), a * (1.0 - b), (1.0 - a) * b, a * b
    for c in range(4):
        value = w00 * atlas[row, column, c] + w01 * atlas[row, column + 1, c]
        value = (value + w10 * atlas[row + 1, column, c] + w11 * atlas[row + 1, column + 1, c]) / 255.0
        surface[c] = value * value if c < 3 else value
    left = _ramp(0.47, 0.53, u)
    relief = 0.0
    for f in range(fold_depth.shape[0]):
        depth = fold_depth[f, 0] * (1.0 - left) + fold_depth[f, 1] * left
        if depth > 0.0:
            value = w00 * folds[row, column, f] + w01 * folds[row, column + 1, f]
            value = value + w10 * folds[row + 1, column, f] + w11 * folds[row + 1, column + 1, f]
            relief += depth * value / 127.0
    relief = max(relief, -1.2)
    surface[4] = occlusion * (1.0 + 0.5 * relief)
    if relief < 0.0:  # light scattered inside a fold comes back reddish
        surface[1] *= 1.0 + 0.25 * relief
        surface[2] *= 1.0 + 0.25 * relief
    surface[3] *= 0.16 * occlusion * (0.6 * _shine(normal, key, 4) + 0.4 * _shine(normal, key, 6))


@compiled
def eye(
    x: float, y: float, normal: Floats, key: Floats, fill: Floats, palette: Floats, surface: Floats
) -> None:
    """The eyeball at rest direction (x, y): pupil, iris with its rim, sclera, in the shadow of the upper lid."""
    radius = np.sqrt(x * x + y * y)
    turn = np.arctan2(y, x)
    spokes = 0.85 + 0.15 * np.sin(17.0 * turn + 3.0 * np.sin(5.0 * turn)) + 0.5 * (radius - 0.25)
    rim, white, vein = _ramp(0.32, 0.41, radius), _ramp(0.39, 0.44, radius), _ramp(0.55, 1.0, radius)
    pupil = _ramp(0.18, 0.14, radius)
    sclera = (0.72 - 0.10 * vein, 0.69 - 0.27 * vein, 0.66 - 0.29 * vein)
    for c in range(3):
        tone = palette[EYE, c] * spokes * (1.0 - 0.75 * rim) * (1.0 - pupil) + 0.004
        surface[c] = tone * (1.0 - white) + sclera[c] * white
    surface[3] = 0.9 * _shine(normal, key, 8) + 0.1 * _shine(normal, fill, 7)
    surface[4] = 1.0 - 0.6 * _ramp(0.02, 0.44, y)


@compiled
def inside_mouth(
    which: int,
    x: float,
    occlusion: float,
    mouth_open: float,
    normal: Floats,
    key: Floats,
    palette: Floats,
    surface: Floats,
) -> None:
    """Teeth (palette row BONE) at angle ``x``, tongue or the mouth's wall; the more open, the lighter."""
    for c in range(3):
        surface[c] = palette[which, c]
    surface[3] = 0.0
    if which == BONE:
        gap = abs(x * 26.0 - np.floor(x * 26.0) - 0.5) * 2.0
        tone = 1.0 if gap < 0.82 else 0.72
        surface[4] = max(0.4, 1.0 - 2.2 * x * x) * tone * (0.8 + 0.2 * occlusion) * mouth_open
        surface[3] = 0.1 * _shine(normal, key, 4)
        # The coarse strips of the mesh stand for a row of upright teeth.
        normal[0], normal[1], normal[2] = 0.4 * normal[0], 0.4 * normal[1], 0.8
    else:
        surface[4] = min(1.0, 1.6 * occlusion + 0.08) * mouth_open
