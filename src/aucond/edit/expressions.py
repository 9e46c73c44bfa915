"""The basic expressions as combinations of action units, for any space of action units or blendshapes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from aucond._check import check_choice, check_number, describe
from aucond.conditions import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.faces.action_units import ACTION_UNITS

__all__ = ["FACS_EXPRESSIONS", "facs_expression"]

FACS_EXPRESSIONS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "neutral": MappingProxyType({}),
        "happiness": MappingProxyType({"AU06": 0.7, "AU12": 0.9, "AU25": 0.4}),
        "sadness": MappingProxyType({"AU01": 0.9, "AU04": 0.5, "AU15": 0.9, "AU17": 0.3}),
        "surprise": MappingProxyType({"AU01": 0.9, "AU02": 0.9, "AU05": 0.7, "AU25": 0.4, "AU26": 0.9}),
        "fear": MappingProxyType(
            {
                "AU01": 0.9,
                "AU02": 0.5,
                "AU04": 0.6,
                "AU05": 0.8,
                "AU07": 0.3,
                "AU20": 0.8,
                "AU25": 0.4,
                "AU26": 0.3,
            }
        ),
        "anger": MappingProxyType({"AU04": 1.0, "AU05": 0.5, "AU07": 0.6, "AU23": 0.8}),
        "disgust": MappingProxyType({"AU09": 1.0, "AU10": 0.5, "AU15": 0.4, "AU17": 0.3}),
        "contempt": MappingProxyType({"AU12": 0.3, "AU14": 0.9}),
    }
)
"""The prototypes of EMFACS (Friesen & Ekman 1983) as action units with normalised intensities.

==========  ==================================  =========================================================
expression  EMFACS                              here
==========  ==================================  =========================================================
happiness   6 + 12                              with the lips parted (25), as in most photos
sadness     1 + 4 + 15                          and a little 17, one of the listed variants
surprise    1 + 2 + 5 + 26                      with the lips parted (25), which a dropped jaw implies
fear        1 + 2 + 4 + 5 + 7 + 20 + 26         with the lips parted (25)
anger       4 + 5 + 7 + 23                      as listed
disgust     9 + 15 + 16                         10 for 16, which OpenFace does not measure, and a little 17
contempt    R12A + R14A: one side only          both sides where the space has no sides
==========  ==================================  =========================================================
"""

_ONE_SIDED = "contempt"


def facs_expression(name: str, space: ConditionSpace = OPENFACE_AUS, *, intensity: float = 1.0) -> Tensor:
    """Return one of the basic expressions as a condition of a space.

    Action units of the space take their intensity; ARKit blendshapes take what the units are made of
    (:data:`~aucond.faces.ACTION_UNITS`), at most their ``high``. Contempt shows on the person's right side only
    where the space tells the sides apart. Components that are neither stay neutral, and units that the space
    lacks are left out: a space may know only the mouth.

    Args:
        name: A key of :data:`FACS_EXPRESSIONS`.
        space: A space with at least one component named like an OpenFace unit (``AU12``) or an ARKit blendshape.
        intensity: 0 (neutral) to 1.

    Returns:
        A condition (N,), float32, normalised.

    Raises:
        ValueError: An unknown expression, an intensity out of range, or a space none of whose names is known.

    >>> facs_expression("happiness")[OPENFACE_AUS.index("AU12")]
    tensor(0.9000)
    >>> arkit = facs_expression("contempt", ARKIT_BLENDSHAPES)
    >>> [bool(arkit[ARKIT_BLENDSHAPES.index("mouthDimple" + side)] > 0) for side in ("Left", "Right")]
    [False, True]
    """
    check_choice("name", name, tuple(FACS_EXPRESSIONS))
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    check_number("intensity", intensity, low=0.0, high=1.0)
    if not any(n in ACTION_UNITS or n in ARKIT_BLENDSHAPES.names for n in space.names):
        raise ValueError(f"space: expected action units (AU12) or ARKit blendshapes (jawOpen), got {space!r}")
    units = FACS_EXPRESSIONS[name]
    shapes: dict[str, float] = {}
    for unit, strength in units.items():
        for shape, weight in ACTION_UNITS[unit].items():
            if not (name == _ONE_SIDED and shape.endswith("Left")):
                shapes[shape] = shapes.get(shape, 0.0) + strength * weight
    shares = [units[n] if n in units else min(1.0, shapes.get(n, 0.0)) for n in space.names]
    neutral, high = torch.tensor(space.neutral), torch.tensor(space.high)
    return neutral + (high - neutral) * intensity * torch.tensor(shares)
