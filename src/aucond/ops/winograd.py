"""3x3 convolutions with a quarter of the multiplications (Winograd 1980; Lavin & Gray 2016).

Sixteen neighbouring outputs of a 3x3 convolution come from one tile of 36 inputs. Both are polynomials in disguise:
evaluated at six points an axis, the convolution is a product point by point, so that each tile and pair of channels
costs 36 multiplications in place of 144. Over all tiles and channels this is one matrix product for each point.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aucond.ops._eager_cpu import eager_channels_last
from aucond.ops._second_order import differentiable_gradients

__all__ = ["WinogradConv2d", "winograd_pays"]

TILE = 4
"""Outputs of a tile, along each axis."""
LEAST_CHANNELS = 128
"""Half of the inputs' and outputs' harmonic mean from which the smaller product outweighs the transformations."""
LEAST_TILES = 512
"""With fewer tiles in the batch, transforming the weights takes what is saved."""

# Evaluation at 0, 1, -1, 2, -2 and infinity of a tile, of the weights, and back to the outputs.
_OF_TILE = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_OF_WEIGHT = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_TO_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class WinogradConv2d(nn.Conv2d):
    """A bias-free 3x3 ``torch.nn.Conv2d`` that is faster on a CPU where its channels and its map are large.

    The same function up to rounding (errors are about three times those of the plain sum in float32, far below what
    float32 itself resolves in training), the same parameters. It does so only in channels_last memory; half precision,
    tracing and compilers see the plain convolution. There are derivatives of any order; those above the first are
    computed by the plain convolution.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.

    >>> layer = WinogradConv2d(3, 8)
    >>> layer(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 8, 8, 8])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, C, H, W) to (B, O, H, W)."""
        if winograd_pays(input, self.weight):
            convolved: Tensor = _Winograd.apply(input, self.weight)  # type: ignore[no-untyped-call]
            return convolved
        return super().forward(input)


def winograd_pays(features: Tensor, weight: Tensor) -> bool:
    """Whether this 3x3 convolution of features (B, C, H, W) is faster by Winograd's algorithm."""
    if not eager_channels_last(features, weight):
        return False
    outputs, inputs = weight.shape[:2]
    batch, _, height, width = features.shape
    return (
        inputs * outputs >= LEAST_CHANNELS * (inputs + outputs)
        and batch * -(-height // TILE) * -(-width // TILE) >= LEAST_TILES
    )


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight)
        return _convolve(features, _weights_at_points(weight).transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors
        needs = ctx.needs_input_grad
        if torch.is_grad_enabled():  # Somebody wants to differentiate the result again.
            direct = partial(F.conv2d, padding=1)
            for_features, for_weight = differentiable_gradients(direct, (features, weight), upstream, needs)
            return for_features, for_weight
        grad = upstream[0].contiguous(memory_format=torch.channels_last)
        for_features = _convolve(grad, _weights_at_points(weight.flip(2, 3))) if needs[0] else None
        return for_features, _weight_gradient(features, grad) if needs[1] else None


def _convolve(features: Tensor, weights: Tensor) -> Tensor:
    """Convolve (B, C, H, W) with the weights at the points, (36, C, O)."""
    batch, _, height, width = features.shape
    products = torch.bmm(_tiles_at_points(features), weights)
    rows, columns = -(-height // TILE), -(-width // TILE)
    outputs = _both_axes(_TO_OUTPUT, products) @ products.flatten(1)
    tiles = outputs.view(TILE, TILE, batch, rows, columns, -1).permute(2, 3, 0, 4, 1, 5)
    whole = tiles.reshape(batch, rows * TILE, columns * TILE, -1)
    return whole[:, :height, :width].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _weight_gradient(features: Tensor, grad: Tensor) -> Tensor:
    """Gradient of the weights (O, C, 3, 3), given the input (B, C, H, W) and the gradient of the output."""
    batch, outputs, height, width = grad.shape
    below, beside = -height % TILE, -width % TILE
    padded = F.pad(grad, (0, beside, 0, below)).permute(0, 2, 3, 1)
    tiles = padded.view(batch, (height + below) // TILE, TILE, (width + beside) // TILE, TILE, outputs)
    tiles = tiles.permute(2, 4, 0, 1, 3, 5).reshape(TILE * TILE, -1)
    at_points = (_both_axes(_TO_OUTPUT, grad).t() @ tiles).view(36, -1, outputs)
    products = torch.bmm(at_points.transpose(1, 2), _tiles_at_points(features))
    found = _both_axes(_OF_WEIGHT, grad).t() @ products.flatten(1)
    return found.view(3, 3, outputs, -1).permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def _tiles_at_points(features: Tensor) -> Tensor:
    """The tiles of features (B, C, H, W), which overlap by two pixels, at all points: (36, tiles, C)."""
    height, width = features.shape[2:]
    padded = F.pad(features, (1, 1 + -width % TILE, 1, 1 + -height % TILE))
    tiles = padded.unfold(2, TILE + 2, TILE).unfold(3, TILE + 2, TILE).permute(4, 5, 0, 2, 3, 1)
    at_points = _both_axes(_OF_TILE, features) @ tiles.reshape(36, -1)
    return at_points.view(36, -1, features.shape[1])


def _weights_at_points(weight: Tensor) -> Tensor:
    """The weights (O, C, 3, 3) at all points: (36, O, C)."""
    at_points = _both_axes(_OF_WEIGHT, weight) @ weight.permute(2, 3, 0, 1).reshape(9, -1)
    return at_points.view(36, *weight.shape[:2])


def _both_axes(transformation: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """The transformation of both axes of a tile as one matrix."""
    one = torch.tensor(transformation, dtype=torch.float64)
    return torch.kron(one, one).to(like.dtype)
