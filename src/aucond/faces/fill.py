"""Smooth values where none are known, from the known ones around."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["fill_smoothly"]


def fill_smoothly(values: Tensor, confidence: Tensor) -> Tensor:
    """Values kept where they are sure, and smoothly continued where they are not (pull-push, Gortler et al. 1996).

    Args:
        values: (B, C, H, W).
        confidence: (B, 1, H, W) in [0, 1]; 1 keeps the value, 0 replaces it, a little pulls the fill towards it.

    Returns:
        (B, C, H, W).

    >>> import torch
    >>> line = torch.tensor([1.0, 9.0, 9.0, 1.0]).view(1, 1, 1, 4)
    >>> fill_smoothly(line, (line == 1).float()).flatten().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    height, width = values.shape[2:]
    if max(height, width) == 1:
        return values
    padded = (0, width % 2, 0, height % 2)
    weights = F.pad(confidence, padded)
    sums = F.pad(values * confidence, padded)
    total = F.avg_pool2d(weights, 2, divisor_override=1)
    means = F.avg_pool2d(sums, 2, divisor_override=1) / total.clamp(min=1e-12)
    coarse = fill_smoothly(means, total.clamp(max=1))
    finer = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return confidence * values + (1 - confidence) * finer
