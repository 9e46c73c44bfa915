"""Folds that an expression draws into the skin: where they lie, and how deep each expression makes them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..conditions import ARKIT_BLENDSHAPES
from .atlas import Atlas, smoothstep

__all__ = ["FOLDS", "fold_depths", "fold_maps"]

Floats = NDArray[np.float32]

FOLDS: dict[str, dict[str, float]] = {
    "forehead": {"browInnerUp": 0.3, "browOuterUp": 0.25},
    "glabella": {"browDown": 0.5},
    "nose": {"noseSneer": 0.33},
    "crow": {"cheekSquint": 0.8, "eyeSquint": 0.25, "mouthSmile": 0.35},
    "nasolabial": {"mouthSmile": 0.7, "mouthUpperUp": 0.4, "noseSneer": 0.35, "cheekSquint": 0.25},
    "chin": {"mouthShrugLower": 0.6},
    "dimple": {"mouthDimple": 0.7, "mouthStretch": 0.3, "mouthSmile": 0.2},
    "frown": {"mouthFrown": 0.5},
}
"""Folds and the ARKit units that deepen them, each on its own side of the face."""


def _weights() -> Floats:
    names = ARKIT_BLENDSHAPES.names
    table = np.zeros((len(FOLDS), 2, len(names)), np.float32)
    for row, units in enumerate(FOLDS.values()):
        for unit, weight in units.items():
            for side, suffix in enumerate(("Right", "Left")):
                name = unit if unit in names else unit + suffix
                table[row, side, names.index(name)] = weight
    return table


_WEIGHTS = _weights()


def fold_depths(expression: Floats, strength: float) -> Floats:
    """Depth of each fold (F, 2) in [0, 1] on the right and left side of the face.

    Args:
        expression: Coefficients of the ARKit units (52,).
        strength: How easily this person's skin folds, about 1.
    """
    depths = (np.clip(expression, 0, None)[None, None, :] * _WEIGHTS).sum(-1)
    clipped: Floats = np.clip(strength * depths, 0, 1).astype(np.float32)
    return clipped


@functools.lru_cache(maxsize=4)
def fold_maps(width: int) -> NDArray[np.int8]:
    """Relief of each fold on the skin atlas (H, W, F): negative in the valley, positive on the bulge, +-127 at most."""
    atlas = Atlas.of_width(width)
    side, height = np.abs(atlas.side).astype(np.float64), atlas.height.astype(np.float64)
    maps = {
        "forehead": _forehead(atlas.side, height),
        "glabella": _glabella(side, height),
        "nose": _nose(side, height),
        "crow": _crow(side, height),
        "nasolabial": 0.75
        * _valley(side - _nasolabial_side(height), 0.04)
        * _window(height, -0.4, -0.1, 0.1),
        "chin": _chin(atlas, side, height),
        "dimple": 0.6
        * _valley(side - 0.37 - 0.35 * (height + 0.42) ** 2, 0.03)
        * _window(height, -0.53, -0.3, 0.05),
        "frown": 0.6
        * _valley(side - 0.31 + 0.3 * (height + 0.5), 0.035)
        * _window(height, -0.72, -0.46, 0.06),
    }
    stacked = np.stack([maps[name] for name in FOLDS], -1)
    coded: NDArray[np.int8] = np.round(127 * np.clip(stacked, -1, 1)).astype(np.int8)
    return coded


def _valley(distance: Any, width: float) -> Any:
    """Profile of a fold across its line: a dark valley with a faint bulge on either side."""
    x = distance / width
    return -np.exp(-(x**2)) + 0.35 * np.exp(-((np.abs(x) - 2.0) ** 2))


def _window(x: Any, low: float, high: float, soft: float) -> Any:
    return smoothstep(low - soft, low + soft, x) * smoothstep(high + soft, high - soft, x)


def _forehead(side: Any, height: Any) -> Any:
    lines = sum(
        _valley(height - h - 0.02 * np.cos(7 * side + 9 * h), 0.016) for h in (0.60, 0.675, 0.75, 0.82)
    )
    return lines * smoothstep(0.58, 0.35, np.abs(side))


def _glabella(side: Any, height: Any) -> Any:
    upright = _valley(side - 0.055 - 0.1 * (height - 0.42) ** 2, 0.016) * _window(height, 0.36, 0.56, 0.05)
    return upright + 0.6 * _valley(height - 0.31 + 0.4 * side, 0.016) * smoothstep(0.13, 0.06, side)


def _nose(side: Any, height: Any) -> Any:
    fan = sum(_valley(height - h - 0.55 * side, 0.013) for h in (0.14, 0.19, 0.24))
    return fan * smoothstep(0.17, 0.1, side)


def _crow(side: Any, height: Any) -> Any:
    x, y = side - 0.50, height - 0.235
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    rays = sum(_valley((angle - a) * radius, 0.018) for a in (-0.75, -0.3, 0.15, 0.55))
    rays = 0.6 * rays * _window(radius, 0.08, 0.2, 0.03) * (x > -0.02)
    under = _valley(height - 0.115 - 0.35 * (side - 0.32) ** 2, 0.022) * _window(side, 0.2, 0.46, 0.06)
    return rays + 0.6 * under


def _nasolabial_side(height: Any) -> Any:
    return 0.17 + 0.5 * np.clip(-0.05 - height, 0, None)


def _chin(atlas: Atlas, side: Any, height: Any) -> Any:
    area = np.exp(-((side / 0.2) ** 2) - ((height + 0.68) / 0.1) ** 2)
    crease = _valley(height + 0.555 + 0.25 * side**2, 0.022) * smoothstep(0.24, 0.14, side)
    x, y = 60 * atlas.side, 60 * atlas.height
    pits = np.sin(x + 1.3 * np.sin(0.7 * y)) * np.sin(y + 1.7 * np.sin(0.6 * x))
    return 0.55 * pits * area + 0.7 * crease
