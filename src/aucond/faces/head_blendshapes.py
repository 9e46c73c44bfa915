"""Blendshape spaces of the head that comes with the package, ready to be rendered."""

from __future__ import annotations

import functools
from typing import Literal

import torch
from torch import Tensor

from .._check import check_choice, check_number
from ..conditions import ARKIT_BLENDSHAPES
from ._parts import Part
from .blendshapes import Blendshapes, principal_blendshapes, sparse_blendshapes, vertex_areas
from .geometry import HeadGeometry
from .sampling import sample_conditions
from .visemes import sample_speech

__all__ = ["face_weights", "head_blendshapes", "sample_expressions"]


def face_weights() -> Tensor:
    """Vertex weights (V,) of the default head: the area of skin and eyes, 0 for teeth, tongue, mouth interior, lashes.

    Of a scanned face, which is what published expression models are made of, the inside of the mouth is no part.
    """
    geometry = HeadGeometry.default()
    areas = vertex_areas(geometry.model)
    inside = (Part.MOUTH, Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE, Part.LASHES)
    for part in inside:
        areas[torch.from_numpy(geometry.model.triangles[geometry.part == part].ravel()).long()] = 0
    return areas


def sample_expressions(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw ARKit units (count, 52) as faces show them, with the tongue inside: what scans of expressions hold."""
    drawn = sample_conditions(ARKIT_BLENDSHAPES, count, generator)
    drawn[:, ARKIT_BLENDSHAPES.index("tongueOut")] = 0
    return drawn


def head_blendshapes(
    count: int = 30,
    speech: int = 0,
    *,
    kind: Literal["principal", "sparse"] = "principal",
    ranges: Literal["symmetric", "data"] = "symmetric",
    samples: int = 4000,
    seed: int = 0,
) -> Blendshapes:
    """SliderGAN's kind of space for the default head: expression components, and speech components beside them.

    Args:
        count: Expression components, named as in ``pca_blendshapes(count)`` (or ``sparse_00``, ...).
        speech: Mouth-only components of speech, named as in ``speech_blendshapes(speech)``; 0: none.
        kind: ``"principal"`` or ``"sparse"``; the speech block is principal in both.
        ranges: As of :func:`principal_blendshapes`.
        samples: How many expressions (and as many mouth shapes) to draw.
        seed: Of the draws.

    Returns:
        Blendshapes: ``space`` and ``expression`` go into ``SyntheticFaces``; the same arguments give the same.

    >>> shapes = head_blendshapes(30, speech=10)
    >>> from aucond.conditions import pca_blendshapes, speech_blendshapes
    >>> shapes.space == pca_blendshapes(30) + speech_blendshapes(10)
    True
    """
    check_choice("kind", kind, ("principal", "sparse"))
    check_choice("ranges", ranges, ("symmetric", "data"))
    for name, value, low in (
        ("count", count, 1),
        ("speech", speech, 0),
        ("samples", samples, 2),
        ("seed", seed, 0),
    ):
        check_number(name, value, low=low, integer=True)
    return _head_blendshapes(count, speech, kind, ranges, samples, seed)


@functools.lru_cache(maxsize=8)
def _head_blendshapes(
    count: int, speech: int, kind: str, ranges: Literal["symmetric", "data"], samples: int, seed: int
) -> Blendshapes:
    model, weights = HeadGeometry.default().model, face_weights()
    rng = torch.Generator().manual_seed(seed)
    drawn = sample_expressions(samples, rng)
    make = principal_blendshapes if kind == "principal" else sparse_blendshapes
    shapes = make(model, drawn, count, weights=weights, ranges=ranges)
    if speech:
        mouths = sample_speech(samples, rng)
        block = principal_blendshapes(model, mouths, speech, prefix="speech", weights=weights, ranges=ranges)
        shapes = shapes + block
    return shapes
