"""Convolutions of huge weights over tiny maps as plain matrix products.

The last layers of a critic for 128-pixel images have 134 MB of weights and a map of four pixels. On a CPU torch's
convolutions copy the weights into another order at every call, which takes several times as long as the convolution.
As a product of the map's patches with the weights as they lie in channels_last memory nothing is copied but the
patches, and the gradient of the weights lies in memory as the weights do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aucond.ops._eager_cpu import is_followed

__all__ = ["WideConv2d", "convolve", "input_gradient", "pays", "weight_gradient"]

Settings: TypeAlias = Sequence[Any]
"""Stride, padding, dilation and groups, as a Conv2d has them."""

LEAST_WEIGHTS = 1 << 22
"""Smaller layers do not gain."""
WEIGHTS_PER_PATCH = 1 << 15
"""With fewer weights for each patch the convolution itself outweighs the copy."""


class WideConv2d(nn.Conv2d):
    """A ``torch.nn.Conv2d`` that is faster on a CPU where its weights are many and its map is tiny.

    The same function up to rounding, the same parameters. It does so only for weights in channels_last memory.

    >>> layer = WideConv2d(3, 8, 4, stride=2, padding=1)
    >>> layer(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 8, 4, 4])
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        settings = (self.stride, self.padding, self.dilation, self.groups)
        if (
            self.padding_mode == "zeros"
            and pays(input.shape, weight, settings)
            and input.dtype == weight.dtype
        ):
            return convolve(input, weight, bias, settings)
        convolved: Tensor = super()._conv_forward(input, weight, bias)
        return convolved


def pays(size: Sequence[int], weight: Tensor, settings: Settings) -> bool:
    """Whether a convolution of maps of this size (B, C, H, W) is faster as a matrix product."""
    stride, padding, dilation, groups = settings
    if is_followed() or weight.device.type != "cpu" or len(size) != 4:
        return False
    if weight.numel() < LEAST_WEIGHTS or groups != 1 or tuple(dilation) != (1, 1) or isinstance(padding, str):
        return False
    if weight.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled("cpu"):
        return False
    if weight.is_contiguous() or not weight.is_contiguous(memory_format=torch.channels_last):
        return False
    height, width = _output_size(size, weight, stride, padding)
    return min(height, width) > 0 and size[0] * height * width * WEIGHTS_PER_PATCH <= weight.numel()


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings) -> Tensor:
    """The convolution (B, O, H', W') of (B, C, H, W); made of operations with derivatives of any order."""
    patches = _patches(features, weight, settings)
    matrix = _matrix(weight).t()
    rows = patches.flatten(0, 2)
    values = rows @ matrix if bias is None else torch.addmm(bias, rows, matrix)
    return values.view(*patches.shape[:3], -1).permute(0, 3, 1, 2)


def weight_gradient(gradient: Tensor, features: Tensor, weight: Tensor, settings: Settings) -> Tensor:
    """Gradient of the weights, given that of the output (B, O, H', W'); derivatives of any order."""
    patches = _patches(features, weight, settings).flatten(0, 2)
    matrix = gradient.permute(0, 2, 3, 1).flatten(0, 2).t() @ patches
    outputs, inputs, height, width = weight.shape
    return matrix.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


@torch.no_grad()
def input_gradient(gradient: Tensor, weight: Tensor, size: Sequence[int], settings: Settings) -> Tensor:
    """Gradient of the input (B, C, H, W) = ``size``, given that of the output; without a graph of its own."""
    (step_y, step_x), (pad_y, pad_x) = settings[:2]
    batch, channels, height, width = size
    below, beside = gradient.shape[2:]
    each = gradient.permute(0, 2, 3, 1).flatten(0, 2) @ _matrix(weight)
    each = each.view(batch, below, beside, *weight.shape[2:], channels)
    padded = gradient.new_zeros(batch, height + 2 * pad_y, width + 2 * pad_x, channels)
    for y in range(weight.shape[2]):
        for x in range(weight.shape[3]):
            rows, columns = slice(y, y + step_y * below, step_y), slice(x, x + step_x * beside, step_x)
            padded[:, rows, columns] += each[:, :, :, y, x]
    return padded[:, pad_y : pad_y + height, pad_x : pad_x + width].permute(0, 3, 1, 2)


def _patches(features: Tensor, weight: Tensor, settings: Settings) -> Tensor:
    """What every output pixel sees, (B, H', W', kernel height * kernel width * C), channels running fastest."""
    (step_y, step_x), (pad_y, pad_x) = settings[:2]
    padded = F.pad(features, (pad_x, pad_x, pad_y, pad_y))
    windows = padded.unfold(2, weight.shape[2], step_y).unfold(3, weight.shape[3], step_x)
    return windows.permute(0, 2, 3, 4, 5, 1).flatten(3)


def _matrix(weight: Tensor) -> Tensor:
    """The weights (O, kernel height * kernel width * C): a view of channels_last memory."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _output_size(
    size: Sequence[int], weight: Tensor, stride: Sequence[int], padding: Sequence[int]
) -> tuple[int, int]:
    height, width = (
        (size[2 + axis] + 2 * padding[axis] - weight.shape[2 + axis]) // stride[axis] + 1 for axis in (0, 1)
    )
    return height, width
