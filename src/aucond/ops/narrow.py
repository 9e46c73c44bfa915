"""Convolutions to a few channels, four neighbouring pixels at a time.

The vector units of a CPU work on 16 output channels at once; a head of four leaves three quarters of them idle.
Four neighbouring pixels of such a head are four times the channels of one convolution with stride 2, whose kernel
is one pixel larger: each neighbour's weights, shifted by its place and surrounded by zeros.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aucond._check import check_number
from aucond.ops._eager_cpu import eager_channels_last

__all__ = ["NarrowConv2d", "narrow_pays"]

MOST_OUTPUTS = 8
"""More outputs keep the units busy without this."""


class NarrowConv2d(nn.Conv2d):
    """A bias-free ``torch.nn.Conv2d`` that keeps the size, faster on a CPU where its outputs are few.

    The same function up to rounding, the same parameters. It does so only in channels_last memory with even height
    and width; half precision, tracing and compilers see the plain convolution.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Odd; the padding is half of it.

    >>> layer = NarrowConv2d(8, 4, 7)
    >>> layer(torch.zeros(2, 8, 16, 16)).shape
    torch.Size([2, 4, 16, 16])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        check_number("kernel_size", kernel_size, low=1, integer=True)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: expected an odd number, got {kernel_size}")
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, C, H, W) to (B, O, H, W)."""
        if narrow_pays(input, self.weight):
            return _four_at_a_time(input, self.weight)
        return super().forward(input)


def narrow_pays(features: Tensor, weight: Tensor) -> bool:
    """Whether this convolution of features (B, C, H, W) is faster four pixels at a time."""
    return (
        eager_channels_last(features, weight)
        and weight.shape[0] <= MOST_OUTPUTS
        and features.shape[2] % 2 == features.shape[3] % 2 == 0
    )


def _four_at_a_time(features: Tensor, weight: Tensor) -> Tensor:
    batch, _, height, width = features.shape
    shifted = [F.pad(weight, (x, 1 - x, y, 1 - y)) for y in (0, 1) for x in (0, 1)]
    together = torch.cat(shifted).contiguous(memory_format=torch.channels_last)
    found = F.conv2d(features, together, stride=2, padding=weight.shape[-1] // 2)
    pixels = found.view(batch, 2, 2, -1, height // 2, width // 2).permute(0, 4, 1, 5, 2, 3)
    return pixels.reshape(batch, height, width, -1).permute(0, 3, 1, 2)
