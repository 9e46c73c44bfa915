"""Paints the skin atlas of an identity: complexion, lips, brows, stubble, freckles, cloth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atlas import Atlas, smoothstep
from .hair import scalp_cover
from .looks import Color, Looks

__all__ = ["linear", "paint_skin"]

Floats = NDArray[np.float32]


def linear(color: Color) -> Floats:
    """An sRGB colour as linear light (gamma 2.2)."""
    return np.array(color, np.float32) ** np.float32(2.2)


def paint_skin(looks: Looks, width: int) -> NDArray[np.uint8]:
    """The skin atlas (H, W, 4) of an identity.

    Convention: channels 0..2 are the square root of linear albedo times 255 (so that 8 bits suffice for dark skin),
    channel 3 is gloss times 255.

    Args:
        looks: Whose skin.
        width: Texels around the head.
    """
    atlas = Atlas.of_width(width)
    shift = [int(x) for x in np.random.default_rng(looks.seed).integers(0, width, 4)]
    fine = np.roll(atlas.fine, (shift[0] % len(atlas.fine), shift[1]), (0, 1))
    coarse = np.roll(atlas.coarse, shift[2] % len(atlas.coarse), 0)
    albedo = _planes(looks.skin) * (1 + 0.035 * coarse + 0.03 * fine)
    _complexion(albedo, looks, atlas, fine)
    _stubble(albedo, looks, atlas, fine)
    scalp = 0.93 * scalp_cover(looks, atlas.angle, atlas.height)
    _mix_in(albedo, _planes(looks.hair_color) * 0.7, scalp.astype(np.float32))
    _brows(albedo, looks, atlas, shift[3])
    lips = _paint_lips(albedo, looks, atlas, shift[0])
    bare = smoothstep(-1.25, -1.22, atlas.height)
    _mix_in(albedo, _planes(looks.cloth), 1 - bare)
    gloss = looks.gloss * (0.55 + 0.3 * _spot(atlas, 0.0, -0.05, 0.22, 0.5)) + 0.35 * lips
    coded = np.empty((*gloss.shape, 4), np.uint8)
    coded[..., :3] = (np.sqrt(np.clip(albedo, 0, 1)) * 255 + 0.5).transpose(1, 2, 0)
    coded[..., 3] = np.clip(gloss * bare, 0, 1) * 255 + 0.5
    return coded


def _planes(color: Color) -> Floats:
    """A colour as linear light, shaped (3, 1, 1)."""
    return linear(color)[:, None, None]


def _spot(atlas: Atlas, side: float, height: float, width: float, tall: float) -> Floats:
    """A soft spot of radius 1 at (side, height), the same on both sides of the face."""
    across = np.exp(-(((np.abs(atlas.side) - side) / width) ** 2))
    up = np.exp(-(((atlas.height - height) / tall) ** 2))
    spot: Floats = (up * across).astype(np.float32)
    return spot


def _mix_in(albedo: Floats, color: Floats, amount: Any) -> None:
    albedo += amount * (color - albedo)


def _dim(albedo: Floats, amount: Any, red: float, green: float, blue: float) -> None:
    """Take up to these shares of red, green and blue away."""
    for plane, share in zip(albedo, (red, green, blue), strict=True):
        if share:
            plane *= 1 - np.float32(share) * amount


def _rows(atlas: Atlas, low: float, high: float) -> slice:
    """The atlas rows between two heights."""
    inside = np.flatnonzero((atlas.height[:, 0] > low) & (atlas.height[:, 0] < high))
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _complexion(albedo: Floats, looks: Looks, atlas: Atlas, fine: Floats) -> None:
    red = 0.9 * _spot(atlas, 0.42, -0.22, 0.24, 0.2) + 0.5 * _spot(atlas, 0.0, -0.1, 0.14, 0.12)
    _dim(albedo, looks.blush * red, 0.0, 0.26, 0.22)
    _dim(albedo, _spot(atlas, 0.31, 0.22, 0.2, 0.12), 0.12, 0.2, 0.16)
    lids = smoothstep(0.27, 0.33, atlas.height) * _spot(atlas, 0.32, 0.35, 0.2, 0.06)
    _dim(albedo, looks.lash_strength * lids.astype(np.float32), 0.25, 0.25, 0.25)
    if looks.freckles > 0:
        where = looks.freckles * _spot(atlas, 0.3, -0.1, 0.4, 0.2)
        spots = smoothstep(1.3, 2.2, fine + 0.5 * np.roll(fine, 1, 1)) * where
        _dim(albedo, spots, 0.35, 0.5, 0.55)


def _stubble(albedo: Floats, looks: Looks, atlas: Atlas, fine: Floats) -> None:
    if looks.stubble == 0:
        return
    rows = _rows(atlas, -1.1, 0.35)
    side, height = np.abs(atlas.side), atlas.height[rows]
    jaw_top = -0.27 - 0.22 * smoothstep(0.1, 0.45, side) + 0.45 * smoothstep(0.75, 1.3, side)
    area = smoothstep(0.06, -0.1, height - jaw_top) * smoothstep(-1.05, -0.85, height)
    area = area * smoothstep(1.75, 1.5, side) * (1 - 0.7 * _spot(atlas, 0.0, -0.4, 0.32, 0.13)[rows])
    strength = 0.8 * looks.stubble * area * np.clip(0.62 + 0.25 * fine[rows], 0, 1)
    _mix_in(albedo[:, rows], _planes(looks.hair_color) * 0.8 + 0.02, strength.astype(np.float32))


def _paint_lips(albedo: Floats, looks: Looks, atlas: Atlas, shift: int) -> Floats:
    """Lips with fine upright wrinkles; returns their cover (H, W)."""
    rows = _rows(atlas, -0.75, -0.1)
    cover = np.zeros_like(atlas.lips)
    cover[rows] = smoothstep(0.1, 0.85, atlas.lips[rows])
    wrinkles = 0.95 + 0.10 * np.roll(atlas.strands[rows], shift, 1)
    _mix_in(albedo[:, rows], _planes(looks.lips) * wrinkles, cover[rows])
    return cover


def _brows(albedo: Floats, looks: Looks, atlas: Atlas, shift: int) -> None:
    """Both brows: strokes around a curve from the inner end over the peak to the outer end."""
    rows = _rows(atlas, 0.25, 0.75)
    along = (np.abs(atlas.side) - 0.13) / 0.43
    curve = 0.452 + looks.brow_arch * np.sin(np.pi * np.clip(along * 0.8, 0, 0.99)) - 0.03 * along
    curve = curve - 0.06 * smoothstep(0.65, 1.05, along)
    half = (
        looks.brow_thickness * (1.05 - 0.75 * smoothstep(0.45, 1.0, along)) * smoothstep(-0.12, 0.12, along)
    )
    distance = np.abs(atlas.height[rows] - curve) / np.maximum(half, 1e-3)
    strokes = _slanted(atlas.strands, rows, shift)
    cover = smoothstep(1.25, 0.6, distance + 0.35 * (strokes - 0.5))
    cover = cover * smoothstep(-0.08, 0.1, along) * smoothstep(1.1, 0.95, along)
    amount = looks.brow_density * cover * (0.8 + 0.2 * strokes)
    _mix_in(albedo[:, rows], _planes(looks.brows), amount.astype(np.float32))


def _slanted(strands: Floats, rows: slice, shift: int) -> Floats:
    """The strand noise combed outwards and up on both halves of the face."""
    row = np.arange(rows.start, rows.stop)[:, None]
    column = np.arange(strands.shape[1])[None, :]
    outwards = np.where(column < strands.shape[1] // 2, 1, -1)
    combed: Floats = strands[row // 2, (shift + column * 2 - outwards * row) % strands.shape[1]]
    return combed
