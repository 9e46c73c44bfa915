"""The two layers of a warped photo: the skin and what is around it, and the inside of the mouth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .fill import fill_smoothly
from .mesh_motion import MeshMotion

__all__ = ["FINE", "inner_layer", "mouth_mask", "outer_layer", "pooled", "unmoved_inside"]

FINE = 2
"""Samples of the mesh's motion per pixel and direction."""


def pooled(mask: Tensor) -> Tensor:
    """Share (1, 1, h, w) of a pixel's samples (H, W) that are set."""
    return F.avg_pool2d(mask[None, None].float(), FINE)


def _flow(motion: MeshMotion, sure: Tensor, weak: float) -> Tensor:
    """Motion (1, 2, h, w) in pixels, continued from where it is sure; ``weak`` pulls what is off the head to rest."""
    off = torch.from_numpy(~(motion.skin | motion.inside | motion.eye))
    confidence = sure.float() + weak * off.float()
    flow = fill_smoothly(torch.from_numpy(motion.flow).permute(2, 0, 1)[None], confidence[None, None])
    return F.avg_pool2d(flow, FINE) / FINE


def _sampled(photo: Tensor, flow: Tensor) -> Tensor:
    height, width = photo.shape[2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    places = torch.stack([(x + flow[0, 0]) / width, (y + flow[0, 1]) / height], -1)
    return F.grid_sample(
        photo, 2 * places[None] - 1, mode="bicubic", padding_mode="border", align_corners=False
    )


def outer_layer(
    photo: Tensor, motion: MeshMotion, gap: Tensor, reach: float, lid_edge: float
) -> tuple[Tensor, Tensor]:
    """The picture without the inside of the mouth, and its pixels that did not move at all.

    Skin that unfolds, and lips that would take their colour from the photo's gap between the lips, are painted
    smoothly from the skin around.
    """
    sure = torch.from_numpy(motion.known & ~motion.inside)
    flow = _flow(motion, sure, 1 / max(reach, 2.0) ** 2)
    colors = _sampled(photo, flow)
    still = flow.abs().amax(1, keepdim=True) < 1e-3
    skin = pooled(torch.from_numpy(motion.skin))
    unfolded = pooled(torch.from_numpy(motion.unfolded))
    lids = F.avg_pool2d(_widened(unfolded, 1), 5, stride=1, padding=2) * skin * (unfolded.amax() > 0)
    foreign = torch.maximum(lids, _sampled(gap, flow).clamp(0, 1) * skin)
    if not bool((foreign > 0).any()):
        return colors, still
    near_lid = _widened(unfolded, lid_edge)
    believed = (skin == 1) & (foreign < 0.01) & (near_lid == 0)
    fill = fill_smoothly(colors, believed.float())
    return torch.lerp(colors, fill, foreign), still & (lids == 0)


def _widened(mask: Tensor, pixels: float) -> Tensor:
    side = 2 * max(1, round(pixels)) + 1
    return F.max_pool2d(mask, side, stride=1, padding=side // 2)


def mouth_mask(landmarks: Tensor, size: Sequence[int], margin: float) -> Tensor:
    """The gap between the lips (1, 1, h, w), by the landmarks of the inner lips, widened a little, with a soft edge."""
    polygon = landmarks[60:68]
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    inside = torch.zeros(tuple(size), dtype=torch.bool)
    for (x0, y0), (x1, y1) in zip(polygon.tolist(), polygon.roll(-1, 0).tolist(), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    mask = _widened(inside[None, None].float(), margin)
    return F.avg_pool2d(mask, 3, stride=1, padding=1)


def inner_layer(photo: Tensor, motion: MeshMotion, paint: Tensor) -> Tensor:
    """The inside of the mouth: the photo's where it shows it, else the painted one."""
    known = torch.from_numpy(motion.inside & motion.known)
    uncovered = pooled(torch.from_numpy(motion.uncovered))
    share = uncovered / pooled(torch.from_numpy(motion.inside)).clamp(min=1e-6)
    if not bool(known.any()):
        return paint
    return torch.lerp(_sampled(photo, _flow(motion, known, 0.0)), paint, share.clamp(0, 1))


def unmoved_inside(motion: MeshMotion) -> Tensor:
    """Pixels (1, 1, h, w) in which the inside of the mouth, if it shows, is the photo's and at rest."""
    moved = torch.from_numpy(np.abs(motion.flow).max(-1) > 1e-3) & torch.from_numpy(motion.inside)
    return (pooled(moved) == 0) & (pooled(torch.from_numpy(motion.uncovered)) == 0)
