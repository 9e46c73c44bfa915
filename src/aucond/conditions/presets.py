"""Condition spaces of well-known annotations."""

from __future__ import annotations

from collections.abc import Iterable

from aucond._check import check_number
from aucond.conditions.space import ConditionSpace

__all__ = ["ARKIT_BLENDSHAPES", "OPENFACE_AUS", "labels", "pca_blendshapes", "speech_blendshapes"]

OPENFACE_AUS = ConditionSpace(
    [f"AU{unit:02d}" for unit in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)],
    raw_low=0.0,
    raw_high=5.0,
)
"""The 17 action unit intensities that OpenFace 2.x regresses (``AU01_r`` ... ``AU45_r``), raw 0..5.

OpenFace gives one intensity for both sides of the face, so a flipped image keeps its condition.
"""

_ARKIT_SIDED = [
    "browDown",
    "browOuterUp",
    "cheekSquint",
    "eyeBlink",
    "eyeLookDown",
    "eyeLookIn",
    "eyeLookOut",
    "eyeLookUp",
    "eyeSquint",
    "eyeWide",
    "jaw",
    "mouth",
    "mouthDimple",
    "mouthFrown",
    "mouthLowerDown",
    "mouthPress",
    "mouthSmile",
    "mouthStretch",
    "mouthUpperUp",
    "noseSneer",
]
_ARKIT_CENTRAL = [
    "browInnerUp",
    "cheekPuff",
    "jawForward",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "tongueOut",
]

ARKIT_BLENDSHAPES = ConditionSpace(
    sorted([*_ARKIT_CENTRAL, *(name + side for name in _ARKIT_SIDED for side in ("Left", "Right"))]),
    mirror={name + "Left": name + "Right" for name in _ARKIT_SIDED},
)
"""The 52 ARKit face coefficients in alphabetical order, 0..1; left and right swap on a flipped image.

Left and right are the person's own, as ARKit's documentation defines them.
"""


def pca_blendshapes(count: int = 30) -> ConditionSpace:
    """Return SliderGAN's space: ``count`` principal expression components, each in -1..1, 0 the neutral face.

    Each parameter is divided by the root of its component's eigenvalue (SliderGAN). How a
    component changes under a left-right flip depends on the model it comes from, so the space has no mirror:
    do not flip its images.

    >>> (pca_blendshapes(30) + speech_blendshapes(10)).dim
    40
    """
    return _signed_components("pca", count)


def speech_blendshapes(count: int = 10) -> ConditionSpace:
    """Return SliderGAN's second block: ``count`` mouth components of speech, each in -1..1, neutral 0."""
    return _signed_components("speech", count)


def labels(names: Iterable[str]) -> ConditionSpace:
    """Return a space of one-hot labels (StarGAN): every component 0 or 1, all 0 where no label is set.

    >>> labels(["neutral", "happy"]).vector(happy=1)
    tensor([0., 1.])
    """
    return ConditionSpace(names)


def _signed_components(prefix: str, count: int) -> ConditionSpace:
    check_number("count", count, low=1, integer=True)
    return ConditionSpace([f"{prefix}_{i:02d}" for i in range(count)], low=-1.0, high=1.0)
