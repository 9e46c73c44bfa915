"""Action units as combinations of the 52 ARKit units, and the matrix from a condition to expression coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from .._check import describe, nearest
from ..conditions import ARKIT_BLENDSHAPES, ConditionSpace

__all__ = ["ACTION_UNITS", "expression_coefficients", "expression_matrix"]


def _both(**weights: float) -> dict[str, float]:
    """The same weight for the left and the right unit."""
    return {name + side: weight for name, weight in weights.items() for side in ("Left", "Right")}


ACTION_UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "AU01": {"browInnerUp": 1.9},
        "AU02": _both(browOuterUp=1.6),
        "AU04": _both(browDown=1.5),
        "AU05": _both(eyeWide=1.4),
        "AU06": _both(cheekSquint=1.3, eyeSquint=0.3),
        "AU07": _both(eyeSquint=1.0, eyeBlink=0.12),
        "AU09": _both(noseSneer=1.7, browDown=0.35),
        "AU10": _both(mouthUpperUp=1.6),
        "AU12": _both(mouthSmile=0.9),
        "AU14": _both(mouthDimple=1.4),
        "AU15": _both(mouthFrown=1.6),
        "AU17": {"mouthShrugLower": 1.5, "mouthShrugUpper": 0.5},
        "AU20": _both(mouthStretch=1.4),
        "AU23": {"mouthRollLower": 0.7, "mouthRollUpper": 0.6, "mouthPucker": 0.35},
        "AU25": {"jawOpen": 0.14, **_both(mouthLowerDown=0.9, mouthUpperUp=0.5)},
        "AU26": {"jawOpen": 0.6},
        "AU45": _both(eyeBlink=1.0),
    }
)
"""The 17 action units of OpenFace at intensity 1 (its raw 5), as weights of ARKit units.

====  =====================  ==============================================================================
AU    FACS name              units, and why another weight than 1
====  =====================  ==============================================================================
01    inner brow raiser      browInnerUp; the model's unit is mild
02    outer brow raiser      browOuterUp both sides; mild
04    brow lowerer           browDown both sides; mild
05    upper lid raiser       eyeWide both sides; mild
06    cheek raiser           cheekSquint, with a little eyeSquint: the lower lid follows the cheek
07    lid tightener          eyeSquint, with a little eyeBlink: the upper lid comes down too
09    nose wrinkler          noseSneer; the corrugator pulls the brow down with it
10    upper lip raiser       mouthUpperUp both sides; mild
12    lip corner puller      mouthSmile both sides
14    dimpler                mouthDimple both sides
15    lip corner depressor   mouthFrown both sides
17    chin raiser            mouthShrugLower; the lower lip pushes the upper one
20    lip stretcher          mouthStretch both sides
23    lip tightener          both lips rolled in and slightly puckered: thin, tight, narrower
25    lips part              lower lip down, upper lip up; the jaw gives a little
26    jaw drop               jawOpen in part (all of it is AU27, mouth stretch)
45    blink                  eyeBlink both sides
====  =====================  ==============================================================================
"""


def expression_matrix(space: ConditionSpace) -> Tensor:
    """Weights (N, 52) of the ARKit units in each component of a space.

    Args:
        space: A space whose names are OpenFace action units (``AU12``), ARKit units (``mouthSmileLeft``), or both.

    Returns:
        float32; row i holds the units of component i at full intensity, columns as ``ARKIT_BLENDSHAPES.names``.

    Raises:
        TypeError: Not a space.
        ValueError: A name that is neither; the message names the nearest one.

    >>> from aucond.conditions import OPENFACE_AUS
    >>> expression_matrix(OPENFACE_AUS).shape
    torch.Size([17, 52])
    """
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    units = ARKIT_BLENDSHAPES.names
    matrix = torch.zeros(space.dim, len(units))
    for row, name in enumerate(space.names):
        if name in units:
            matrix[row, units.index(name)] = 1.0
        elif name in ACTION_UNITS:
            for unit, weight in ACTION_UNITS[name].items():
                matrix[row, units.index(unit)] = weight
        else:
            known = [*ACTION_UNITS, *units]
            raise ValueError(
                f"space: expected names of OpenFace action units or ARKit units, got {name!r}{nearest(name, known)}; "
                f"for other names give your own expression matrix"
            )
    return matrix


def expression_coefficients(space: ConditionSpace, condition: Tensor, matrix: Tensor) -> Tensor:
    """Coefficients of the face model under conditions: intensity relative to neutral, times the matrix.

    ``p_exp = ((y - neutral) / reach) @ matrix`` with ``reach`` the larger of ``high - neutral`` and
    ``neutral - low``, so that full intensity is 1 in every space.

    Args:
        space: The conditions' space.
        condition: Conditions (..., N).
        matrix: Units per component (N, E).
    """
    low, high, neutral = (
        torch.tensor(v, dtype=torch.float32) for v in (space.low, space.high, space.neutral)
    )
    reach = torch.maximum(high - neutral, neutral - low)
    intensity = (condition.to(torch.float32) - neutral) / reach
    # One component after the other: a matrix product may round differently from batch to batch.
    coefficients = torch.zeros(*condition.shape[:-1], matrix.shape[1])
    for i in range(space.dim):
        coefficients += intensity[..., i, None] * matrix[i]
    return coefficients
