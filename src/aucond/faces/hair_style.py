"""Haircuts: a few numbers each, varied at random."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["HairStyle"]


@dataclass(frozen=True)
class HairStyle:
    """The shape of the hair. Lengths in decimetres.

    Args:
        thickness: Height of the hair above the scalp.
        volume: Extra height on top of the head, as a share of the thickness.
        fringe: How far the hair falls into the forehead.
        parting: Slant of the fringe, -1..1.
        temples: How far the temples recede, 0..1.
        sideburn: How far hair reaches down before the ear.
        curl: 0 straight, 1 tight curls.
        strand_scale: Strands per width, 1 = the usual.
        hang: Height (above the middle of the head) that hanging hair reaches down to; None for hair that does not hang.
        flare: How far hanging hair stands off at its lower end.
    """

    thickness: float
    volume: float = 0.0
    fringe: float = 0.0
    parting: float = 0.0
    temples: float = 0.0
    sideburn: float = 0.3
    curl: float = 0.0
    strand_scale: float = 1.0
    hang: float | None = None
    flare: float = 0.0

    @classmethod
    def random(cls, rng: np.random.Generator, feminine: bool) -> HairStyle:
        """One of the cuts, varied."""
        chances = _FEMININE if feminine else _MASCULINE
        names = sorted(chances)
        weights = np.array([chances[name] for name in names])
        style = _CUTS[str(rng.choice(names, p=weights / weights.sum()))]
        hang = None if style.hang is None else style.hang + float(rng.normal(0, 0.1))
        return replace(
            style,
            thickness=style.thickness * float(rng.uniform(0.8, 1.25)),
            volume=style.volume * float(rng.uniform(0.6, 1.4)),
            fringe=style.fringe * float(rng.uniform(0.7, 1.1)),
            parting=float(rng.uniform(-1, 1)),
            temples=float(rng.random()) if not feminine else 0.2,
            sideburn=float(rng.uniform(0.2, 0.55)) if not feminine else 0.2,
            strand_scale=style.strand_scale * float(rng.uniform(0.85, 1.2)),
            hang=hang,
            flare=style.flare * float(rng.uniform(0.3, 1.3)),
        )


_CUTS = {
    "shaved": HairStyle(0.03),
    "short": HairStyle(0.07, volume=0.3),
    "crop": HairStyle(0.12, volume=0.5, fringe=0.12),
    "quiff": HairStyle(0.13, volume=1.2),
    "fringe": HairStyle(0.13, volume=0.2, fringe=0.3),
    "curly": HairStyle(0.22, volume=0.4, fringe=0.08, curl=1.0, strand_scale=0.8),
    "afro": HairStyle(0.36, volume=0.3, curl=1.0),
    "bun": HairStyle(0.06, volume=0.2),
    "bob": HairStyle(0.11, volume=0.4, hang=-0.62, flare=0.03),
    "bob_fringe": HairStyle(0.11, volume=0.3, fringe=0.33, hang=-0.6, flare=0.02),
    "long": HairStyle(0.1, volume=0.3, hang=-1.65, flare=0.1),
    "wavy": HairStyle(0.13, volume=0.4, hang=-1.5, flare=0.2, curl=0.35),
}
_FEMININE = {"long": 5, "wavy": 4, "bob": 3, "bob_fringe": 2, "bun": 3, "curly": 1, "afro": 1, "crop": 1}
_MASCULINE = {
    "short": 5,
    "crop": 4,
    "quiff": 3,
    "shaved": 3,
    "fringe": 2,
    "curly": 1.5,
    "afro": 1,
    "wavy": 0.5,
}
