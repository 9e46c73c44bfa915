"""Everything of a picture that is neither face nor expression: pose, light, background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._compiled import compiled

__all__ = ["Scene", "paint_background"]

Floats = NDArray[np.float32]

_POSE_SPREAD = (0.22, 0.09, 0.05)
_POSE_LIMIT = (0.5, 0.22, 0.12)


@dataclass(frozen=True, eq=False)
class Scene:
    """Pose, light and background of one sample.

    Args:
        pose: Yaw, pitch, roll in radians; positive: the subject's head turns to their left (the image's right), nods
            down, leans towards the image's right.
        lights: Rows key direction, key colour, fill direction, fill colour, sky colour, ground colour (6, 3), linear.
        background_seed: Seed of the background.
    """

    pose: Floats
    lights: Floats
    background_seed: int

    @classmethod
    def random(cls, seed: tuple[int, ...], pose_scale: float = 1.0) -> Scene:
        """The scene of a seed.

        Args:
            seed: Any integers.
            pose_scale: Factor on the spread of the head pose; 0 is frontal.
        """
        rng = np.random.Generator(np.random.PCG64(list(seed)))
        pose = np.clip(rng.normal(0, _POSE_SPREAD), np.negative(_POSE_LIMIT), _POSE_LIMIT) * pose_scale
        turn, lift = rng.normal(0, 0.55), rng.uniform(0.05, 0.85)
        key = np.array([np.sin(turn) * np.cos(lift), np.sin(lift), np.cos(turn) * np.cos(lift)])
        fill = np.array([-np.sign(key[0]) * 0.8, 0.1, 0.6]) / np.linalg.norm([0.8, 0.1, 0.6])
        warmth = rng.normal(0, 0.06)
        key_color = rng.uniform(0.62, 0.98) * np.array([1 + warmth, 1.0, 1 - warmth])
        cool = rng.normal(0, 0.05)
        strength = rng.uniform(0.22, 0.42)
        sky = strength * np.array([1 - cool, 1.0, 1 + cool])
        lights = np.stack([key, key_color, fill, 0.35 * strength * np.ones(3), sky, 0.55 * sky])
        return cls(pose.astype(np.float32), lights.astype(np.float32), int(rng.integers(0, 2**31)))


def paint_background(seed: int, size: int) -> Floats:
    """A soft background at two samples a pixel (2 size, 2 size, 3), linear light: gradient, blobs, some texture."""
    rng = np.random.Generator(np.random.PCG64([seed, 5]))
    tilt = rng.uniform(0, 2 * np.pi)
    gradient = np.concatenate([_background_color(rng), _background_color(rng), [np.cos(tilt), np.sin(tilt)]])
    blobs = np.array(
        [
            [
                *rng.uniform(-0.1, 1.1, 2), rng.uniform(0.08, 0.35), rng.uniform(2, 12), rng.uniform(0.2, 0.8),
                *_background_color(rng),
            ]
            for _ in range(rng.integers(0, 6))
        ]
    ).reshape(-1, 8)  # fmt: skip
    cells = int(rng.integers(3, 9))
    grid = rng.uniform(0, 0.12) * rng.standard_normal((cells, cells))
    picture = np.empty((2 * size, 2 * size, 3), np.float32)
    _fill_background(gradient, blobs, grid, picture)
    return picture


@compiled
def _fill_background(
    gradient: NDArray[np.float64], blobs: NDArray[np.float64], grid: NDArray[np.float64], picture: Floats
) -> None:
    size, cells = picture.shape[0] // 2, grid.shape[0]
    color = np.empty(3)
    for row in range(size):
        for column in range(size):
            x, y = (column + 0.5) / size, (row + 0.5) / size
            t = 0.5 + (x - 0.5) * gradient[6] + (y - 0.5) * gradient[7]
            t = min(max(t, 0.0), 1.0)
            for c in range(3):
                color[c] = gradient[c] * (1 - t) + gradient[3 + c] * t
            for b in range(blobs.shape[0]):
                dx, dy = x - blobs[b, 0], y - blobs[b, 1]
                distance = np.sqrt(dx * dx + dy * dy) / blobs[b, 2]
                cover = blobs[b, 4] / (1.0 + np.exp(blobs[b, 3] * (distance - 1.0)))
                for c in range(3):
                    color[c] += cover * (blobs[b, 5 + c] - color[c])
            i, j = int(y * cells), int(x * cells)
            fy, fx = y * cells - i, x * cells - j
            fy, fx = fy * fy * (3 - 2 * fy), fx * fx * (3 - 2 * fx)
            below, right = (i + 1) % cells, (j + 1) % cells
            texture = (grid[i, j] * (1 - fx) + grid[i, right] * fx) * (1 - fy)
            texture += (grid[below, j] * (1 - fx) + grid[below, right] * fx) * fy
            for c in range(3):
                value = min(max(color[c] * (1.0 + texture), 0.0), 1.0)
                for corner in range(4):
                    picture[2 * row + corner // 2, 2 * column + corner % 2, c] = value


def _background_color(rng: np.random.Generator) -> NDArray[Any]:
    gray = rng.uniform(0.03, 0.75)
    return np.clip(gray * (1 + rng.normal(0, 0.22, 3)), 0.01, 0.95)
