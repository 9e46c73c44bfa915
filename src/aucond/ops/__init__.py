"""Tensor operations with more than one implementation behind one name."""

from __future__ import annotations

from aucond.ops.convolution import WideConv2d
from aucond.ops.instance_norm import instance_norm
from aucond.ops.mask_blend import (
    Backend,
    BlendTerms,
    mask_blend,
    mask_blend_from_logits,
    mask_blend_with_tv,
)
from aucond.ops.narrow import NarrowConv2d
from aucond.ops.winograd import WinogradConv2d

__all__ = [
    "Backend",
    "BlendTerms",
    "NarrowConv2d",
    "WideConv2d",
    "WinogradConv2d",
    "instance_norm",
    "mask_blend",
    "mask_blend_from_logits",
    "mask_blend_with_tv",
]
