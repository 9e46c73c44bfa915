"""What an identity looks like besides its shape: colours, brows, hair, drawn from its number alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .hair_style import HairStyle
from .linear_model import LinearFaceModel

__all__ = ["Looks"]

Color = tuple[float, float, float]

_SKIN_TONES = np.array(
    [
        [247, 218, 200],
        [238, 198, 172],
        [222, 172, 138],
        [193, 138, 101],
        [150, 98, 66],
        [110, 69, 46],
        [74, 47, 35],
    ]
)
_HAIR_COLORS = np.array(
    [
        [22, 18, 17],
        [45, 31, 24],
        [82, 54, 36],
        [120, 66, 38],
        [158, 112, 64],
        [206, 168, 108],
        [140, 136, 132],
    ]
)
_IRIS_COLORS = np.array(
    [[58, 36, 22], [92, 58, 30], [118, 92, 48], [86, 112, 72], [82, 120, 150], [104, 126, 138]]
)


@dataclass(frozen=True)
class Looks:
    """The looks of one identity. Colours are sRGB in [0, 1]; the rest are strengths in [0, 1] unless said otherwise."""

    shape: tuple[float, ...]
    """Coefficients of the identity basis, standard normal."""
    skin: Color
    lips: Color
    hair_color: Color
    brows: Color
    iris: Color
    teeth: Color
    cloth: Color
    brow_thickness: float
    """Half width of the brow in decimetres."""
    brow_arch: float
    """Height of the brow's peak over its ends, decimetres."""
    brow_density: float
    lash_strength: float
    blush: float
    freckles: float
    stubble: float
    gloss: float
    folding: float
    """How easily the skin folds under expressions, about 1."""
    hair: HairStyle
    hairline: float
    """Vertical shift of the hairline, decimetres."""
    seed: int
    """Seed of this identity's noise patterns."""

    @classmethod
    def of_identity(cls, identity: int) -> Looks:
        """The looks of identity number ``identity``: always the same, whatever the dataset."""
        rng = np.random.Generator(np.random.PCG64([20260, identity]))
        components = LinearFaceModel.default().num_identities
        shape = np.clip(rng.standard_normal(components), -2.0, 2.0) * 0.9
        melanin = rng.beta(1.1, 1.3)
        skin = _mix(_SKIN_TONES, melanin) * (1 + 0.03 * rng.standard_normal(3))
        dark_hair = rng.random() < 0.25 + 0.9 * melanin
        shade = rng.uniform(0.0, 0.35) if dark_hair else rng.uniform(0.25, 1.0)
        hair = _mix(_HAIR_COLORS, shade) * (1 + 0.06 * rng.standard_normal(3))
        feminine = rng.random() < 0.5
        makeup = rng.random() ** 2 if feminine else 0.0
        return cls(
            shape=tuple(float(x) for x in shape),
            skin=_color(skin),
            lips=_lip_color(skin, makeup, rng),
            hair_color=_color(hair),
            brows=_color(0.75 * hair * (0.9 if shade < 0.6 else 0.62)),
            iris=_color(
                _mix(_IRIS_COLORS, rng.uniform(0, 0.35) if melanin > 0.5 else rng.random())
                * (1 + 0.08 * rng.standard_normal(3))
            ),
            teeth=_color(np.array([238, 230, 214]) * rng.uniform(0.88, 1.0)),
            cloth=_color(np.array(rng.uniform(25, 225, 3))),
            brow_thickness=float(rng.uniform(0.028, 0.042) if feminine else rng.uniform(0.038, 0.058)),
            brow_arch=float(rng.uniform(0.02, 0.06) if feminine else rng.uniform(0.0, 0.035)),
            brow_density=float(rng.uniform(0.75, 1.0)),
            lash_strength=float(rng.uniform(0.6, 1.0) if feminine else rng.uniform(0.3, 0.6)),
            blush=float(rng.uniform(0.2, 0.9)),
            freckles=float(rng.uniform(0.4, 1.0) if rng.random() < 0.2 * (1 - melanin) + 0.05 else 0.0),
            stubble=float(0.0 if feminine or rng.random() < 0.4 else rng.uniform(0.2, 1.0)),
            gloss=float(rng.uniform(0.35, 0.9)),
            folding=float(rng.uniform(0.7, 1.3)),
            hair=HairStyle.random(rng, feminine),
            hairline=float(rng.normal(0.0, 0.05) + (0.0 if feminine else 0.05 * rng.random())),
            seed=int(rng.integers(0, 2**31)),
        )


def _mix(stops: NDArray[np.int64], position: float) -> NDArray[np.float64]:
    """Colour at ``position`` in [0, 1] along equally spaced stops."""
    at = position * (len(stops) - 1)
    return np.array([np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)])


def _lip_color(skin: NDArray[np.float64], makeup: float, rng: np.random.Generator) -> Color:
    natural = skin * [0.86, 0.64, 0.64] + [8, 0, 2]
    painted = np.array([rng.uniform(120, 205), rng.uniform(18, 70), rng.uniform(35, 85)])
    return _color((1 - makeup) * natural + makeup * painted)


def _color(rgb: NDArray[np.float64]) -> Color:
    r, g, b = np.clip(rgb / 255, 0.02, 0.99)
    return float(r), float(g), float(b)
