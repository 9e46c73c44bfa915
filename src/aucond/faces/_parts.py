"""What each triangle of the head belongs to."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Part"]


class Part(IntEnum):
    """The material of a triangle; the numbers are stored in ``head.safetensors`` and known to the renderer."""

    SKIN = 0
    MOUTH = 1
    EYE_LEFT = 2
    EYE_RIGHT = 3
    UPPER_TEETH = 4
    LOWER_TEETH = 5
    TONGUE = 6
    LASHES = 7
    HAIR = 8
