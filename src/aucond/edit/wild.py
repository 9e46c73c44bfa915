"""Cutting a face out of a photo at the network's size, and putting the change back at the photo's own.

GANimation Section 6.5 edits photos "in the wild" by pasting the edited crop back. Here the crop itself is never pasted:
what is put back is the change, enlarged, so that detail above the network's resolution stays (:class:`Change`). Work is
done in strips of rows, so that memory does not grow with the photo but for the result itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from aucond.edit.change import Change, smoothstep
from aucond.edit.photo_io import Pixels
from aucond.faces.framing import FaceCrop

__all__ = ["cut_out", "put_back", "weight_map"]

_STRIP = 1 << 18
"""Pixels that are worked on at once."""
_TAPER = 0.06
"""Share of the crop's side over which an edit fades in from the crop's edge."""


def cut_out(pixels: Pixels, crop: FaceCrop, size: int) -> Tensor:
    """The pixels inside a crop, resampled without aliasing.

    Args:
        pixels: The photo; beyond its edge, the edge goes on.
        crop: Where to cut.
        size: Side of the result.

    Returns:
        (3, size, size) in [-1, 1].

    Raises:
        ValueError: The crop lies outside the photo.
    """
    top, bottom, left, right = crop.bounds(pixels.height, pixels.width)
    if top >= bottom or left >= right:
        raise ValueError(
            f"crop: expected one that overlaps the picture of {pixels.height}x{pixels.width}, got {crop}"
        )
    # A mean over whole blocks of pixels, then a smooth kernel at twice the final size, then a mean over 2 x 2.
    finer = 1 if crop.side <= 1.05 * size else 2
    block = max(1, min(int(crop.side / size / finer), bottom - top, right - left))
    small = _block_means(pixels, top, bottom, left, right, block)
    steps = (torch.arange(size * finer) + 0.5) / (size * finer)
    places = crop.to_picture(torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).double())
    extent = torch.tensor([small.shape[2], small.shape[1]]) * block
    grid = (2 * (places - torch.tensor([left, top])) / extent - 1).float()
    sampled = F.grid_sample(
        small[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False
    )
    return (F.avg_pool2d(sampled, finer)[0] / 127.5 - 1).clamp(-1, 1)


def put_back(
    pixels: Pixels, crops: Sequence[FaceCrop], change: Change
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The photo's values after the changes of its faces.

    Args:
        pixels: The photo.
        crops: Where each face was cut out.
        change: The change of these crops.

    Returns:
        (H, W, C) of the photo's dtype; pixels outside all crops, or where every mask is 0, are the photo's own.
    """
    values = pixels.values.copy()
    for number, crop in enumerate(crops):
        mask, color, replaced, seen = (part[0] for part in change.one(number))
        for rows, columns, grid, taper in _strips(pixels, crop):
            touched = (_sample(mask, grid, "bilinear")[..., 0] * taper) > 0
            box = _box(touched)
            rows, columns = _within(rows, box[0]), _within(columns, box[1])
            grid = grid[box]
            moved = _sample(color, grid, "bicubic")
            gone = _sample(replaced, grid, "bilinear")
            if bool(gone.any()):
                detail = torch.from_numpy(pixels.rgb(rows, columns) / np.float32(127.5)) - 1
                moved -= gone * (detail - _sample(seen, grid, "bicubic"))
            moved *= taper[box][..., None]
            before = values[rows, columns]
            values[rows, columns] = pixels.changed(before, moved.numpy(), touched[box].numpy())
    return values


def weight_map(pixels: Pixels, crops: Sequence[FaceCrop], masks: Tensor) -> NDArray[np.float32]:
    """The weight (H, W) with which each pixel of the photo was changed, in [0, 1]; where it is 0, no bit is."""
    weights = np.zeros((pixels.height, pixels.width), np.float32)
    for crop, mask in zip(crops, masks, strict=True):
        for rows, columns, grid, taper in _strips(pixels, crop):
            weight = (_sample(mask, grid, "bilinear")[..., 0] * taper).numpy()
            weights[rows, columns] = np.maximum(weights[rows, columns], weight)
    return weights


def _block_means(pixels: Pixels, top: int, bottom: int, left: int, right: int, block: int) -> Tensor:
    """Mean colour (3, h, w), 0 to 255, of the blocks of block x block pixels of a part of the photo."""
    height, width = (bottom - top) // block, (right - left) // block
    means = np.empty((height, width, 3), np.float32)
    many = max(1, _STRIP // (width * block * block))
    for start in range(0, height, many):
        stop = min(start + many, height)
        rows = slice(top + start * block, top + stop * block)
        part = pixels.rgb(rows, slice(left, left + width * block)).astype(np.float32)
        means[start:stop] = part.reshape(stop - start, block, width, block, 3).mean((1, 3))
    return torch.from_numpy(means).permute(2, 0, 1)


def _strips(pixels: Pixels, crop: FaceCrop) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
    """Rows, columns, crop coordinates (h, w, 2) from -1 to 1, and the fading towards the crop's edge (h, w)."""
    top, bottom, left, right = crop.bounds(pixels.height, pixels.width)
    if top >= bottom or left >= right:
        return
    whole = crop == FaceCrop(pixels.width / 2, pixels.height / 2, float(pixels.width)) and (
        pixels.width == pixels.height
    )
    many = max(1, _STRIP // (right - left))
    across = torch.arange(left, right) + 0.5
    for start in range(top, bottom, many):
        stop = min(start + many, bottom)
        down = torch.arange(start, stop) + 0.5
        places = crop.to_crop(torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1))
        depth = torch.minimum(places, 1 - places).amin(-1)
        taper = (depth >= 0).float() if whole else smoothstep(depth / _TAPER)
        yield slice(start, stop), slice(left, right), 2 * places - 1, taper


def _box(touched: Tensor) -> tuple[slice, slice]:
    """The rows and columns that hold everything touched (h, w); the first pixel where nothing is."""
    sides = []
    for axis in (1, 0):
        where = touched.any(axis).nonzero()
        sides.append(slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 1))
    return sides[0], sides[1]


def _within(outer: slice, inner: slice) -> slice:
    return slice(outer.start + inner.start, outer.start + inner.stop)


def _sample(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    sampled = F.grid_sample(
        values[None].float(), grid[None], mode=mode, padding_mode="border", align_corners=False
    )
    return sampled[0].permute(1, 2, 0)
