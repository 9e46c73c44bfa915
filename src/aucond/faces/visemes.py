"""Mouth shapes of speech as combinations of the ARKit units, and random ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from .._check import check_number
from ..conditions import ARKIT_BLENDSHAPES

__all__ = ["VISEMES", "sample_speech"]

VISEMES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "father": {"jawOpen": 0.6, "mouthLowerDown": 0.3, "mouthUpperUp": 0.15},
        "bed": {"jawOpen": 0.35, "mouthStretch": 0.3, "mouthLowerDown": 0.4},
        "see": {"jawOpen": 0.12, "mouthSmile": 0.35, "mouthStretch": 0.35, "mouthLowerDown": 0.3},
        "go": {"jawOpen": 0.4, "mouthFunnel": 0.6},
        "too": {"jawOpen": 0.1, "mouthPucker": 0.75, "mouthFunnel": 0.3},
        "we": {"mouthPucker": 0.95},
        "red": {"jawOpen": 0.12, "mouthPucker": 0.45, "mouthFunnel": 0.3, "mouthLowerDown": 0.15},
        "map": {"mouthPress": 0.5, "mouthRollLower": 0.35, "mouthRollUpper": 0.3, "mouthShrugLower": 0.2},
        "five": {"jawOpen": 0.08, "mouthRollLower": 0.6, "mouthUpperUp": 0.35},
        "thin": {"jawOpen": 0.18, "mouthLowerDown": 0.3},
        "sit": {"jawForward": 0.3, "mouthStretch": 0.25, "mouthLowerDown": 0.45, "mouthUpperUp": 0.3},
        "ship": {"jawForward": 0.25, "mouthFunnel": 0.65, "mouthUpperUp": 0.3, "mouthLowerDown": 0.3},
        "let": {"jawOpen": 0.25, "mouthUpperUp": 0.1},
        "get": {"jawOpen": 0.2, "mouthUpperUp": 0.2, "mouthLowerDown": 0.2, "mouthDimple": 0.2},
    }
)
"""Mouth shapes by a word that begins with, or turns on, their sound. Units stand for both of their sides."""


def sample_speech(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw mouth shapes of speech: one viseme on the way to another, more or less articulated.

    Every unit varies by up to 30%, and a little from side to side; brows, eyes and cheeks stay neutral.

    Args:
        count: Number of samples, at least 0.
        generator: Source of randomness; a fresh one seeded with 0 if None.

    Returns:
        ARKit units (count, 52) in [0, 1], float32.

    >>> sample_speech(3, torch.Generator().manual_seed(0)).shape
    torch.Size([3, 52])
    """
    check_number("count", count, low=0, integer=True)
    rng = generator if generator is not None else torch.Generator().manual_seed(0)
    table = _table()
    first, second = torch.randint(len(table), (2, count), generator=rng)
    way = torch.rand(count, 1, generator=rng)
    articulation = 0.3 + 0.8 * torch.rand(count, 1, generator=rng)
    mixed = articulation * ((1 - way) * table[first] + way * table[second])
    sideways = 0.92 + 0.16 * torch.rand(mixed.shape, generator=rng)
    mirror = torch.tensor(ARKIT_BLENDSHAPES.mirror)
    jitter = 0.7 + 0.6 * torch.rand(mixed.shape, generator=rng)
    jitter = (jitter + jitter[:, mirror]) / 2
    return (mixed * jitter * sideways).clamp(0, 1)


def _table() -> Tensor:
    names = ARKIT_BLENDSHAPES.names
    rows = torch.zeros(len(VISEMES), len(names))
    for row, units in enumerate(VISEMES.values()):
        for unit, weight in units.items():
            for name in (unit,) if unit in names else (unit + "Left", unit + "Right"):
                rows[row, names.index(name)] = weight
    return rows
