"""The blend and its mask terms in plain PyTorch: what every other implementation is measured against."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from aucond.losses._reduce import in_float
from aucond.losses.attention import attention_tv_loss

__all__ = ["RawTerms", "TVNorm", "blend", "raw_terms"]

TVNorm: TypeAlias = Literal["l2", "l1"]

RawTerms: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""Blended image (B, 3, H, W); per image total variation, sum of squares, sum of absolute values of the mask."""


def blend(image: Tensor, color: Tensor, attention: Tensor) -> Tensor:
    """GANimation Eq. 1. This is the only place where it is written in PyTorch."""
    dtype = torch.promote_types(torch.promote_types(image.dtype, color.dtype), attention.dtype)
    # lerp is image + A (color - image) below A = 1/2, color - (1 - A) (color - image) above: exact at both ends.
    return torch.lerp(image.to(dtype), color.to(dtype), attention.to(dtype))


def raw_terms(
    image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm, logits: bool = False
) -> RawTerms:
    """Blend and sum; with ``logits`` the colour and the mask are given before their tanh and sigmoid."""
    if logits:
        color, attention = color.tanh(), attention.sigmoid()
    values = in_float(attention).flatten(1)
    tv = attention_tv_loss(attention, norm, "none")
    return blend(image, color, attention), tv, values.square().sum(1), values.abs().sum(1)
