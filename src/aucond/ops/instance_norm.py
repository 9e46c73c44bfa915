"""Instance normalisation that is as fast in channels_last memory as convolutions are.

torch's kernels for it (group normalisation with one channel a group) go through channels_last memory one channel at a
time in the backward, and on small maps in the forward too: on a CPU ten to thirty times slower than in contiguous
memory, and as slow as the convolution before them. Here all channels of a pixel are handled together.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from aucond._check import check_tensor
from aucond.ops._eager_cpu import is_followed
from aucond.ops._second_order import differentiable_gradients

__all__ = ["instance_norm"]

SMALL_MAP = 1024
"""Below so many pixels torch's forward goes channel by channel."""


def instance_norm(features: Tensor, weight: Tensor, bias: Tensor, epsilon: float = 1e-5) -> Tensor:
    r"""Affine instance normalisation, :math:`w\,(x - \mu) / \sqrt{\sigma^2 + \epsilon} + b` per image and channel.

    The numbers of ``torch.nn.functional.instance_norm`` up to rounding, in the memory layout of ``features``. There
    are derivatives of any order; those above the first are computed by torch's own kernels.

    In channels_last memory, from maps of 1024 pixels on, the variance is the difference of two sums, as in torch's
    group normalisation: its relative error in float32 grows with the square of mean over deviation, to about 5e-5
    where the mean is 10 deviations from 0. Features of a convolution without bias are much nearer to it.

    Args:
        features: (B, C, H, W).
        weight: (C,).
        bias: (C,).
        epsilon: Added to the variance.

    Returns:
        The normalised features, (B, C, H, W).

    >>> image = torch.tensor([[[[0.0, 2.0]]]])
    >>> instance_norm(image, torch.ones(1), torch.zeros(1), epsilon=0.0)
    tensor([[[[-1.,  1.]]]])
    """
    check_tensor("features", features, ("B", "C", "H", "W"))
    check_tensor("weight", weight, (features.shape[1],))
    check_tensor("bias", bias, (features.shape[1],))
    if _together(features, weight, bias):
        normalised: Tensor = _ChannelsTogether.apply(features, weight, bias, epsilon)  # type: ignore[no-untyped-call]
        return normalised
    return _torchs_own(features, weight, bias, epsilon)


def _torchs_own(features: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    return F.group_norm(features, features.shape[1], weight, bias, epsilon)


def _together(features: Tensor, weight: Tensor, bias: Tensor) -> bool:
    if is_followed() or features.device.type != "cpu":
        return False
    return (
        features.dtype in (torch.float32, torch.float64)
        and features.dtype == weight.dtype == bias.dtype
        and features.is_contiguous(memory_format=torch.channels_last)
        and not features.is_contiguous()
    )


class _ChannelsTogether(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        batch, channels, height, width = features.shape
        if height * width < SMALL_MAP:
            mean = features.mean((2, 3), keepdim=True)
            centred = features - mean
            inverse = (centred.square().mean((2, 3), keepdim=True) + epsilon).rsqrt_()
            scale = _per_channel(weight) * inverse
            normalised = torch.addcmul(_per_channel(bias), centred, scale)
        else:
            normalised, mean, inverse = torch.native_group_norm(
                features, weight, bias, batch, channels, height * width, channels, epsilon
            )
        ctx.save_for_backward(
            features, weight, bias, mean.reshape(batch, channels), inverse.reshape(batch, channels)
        )
        ctx.epsilon = epsilon
        return normalised

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, bias, mean, inverse = ctx.saved_tensors
        needs = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # Somebody wants to differentiate the result again.
            norm = partial(_torchs_own, epsilon=ctx.epsilon)
            return (*differentiable_gradients(norm, (features, weight, bias), upstream, needs), None)
        return (*_gradients(features, weight, mean, inverse, upstream[0], needs), None)


def _gradients(
    features: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor, upstream: Tensor, needs: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    upstream = upstream.contiguous(memory_format=torch.channels_last)
    product = upstream * features
    sums = upstream.sum((2, 3))
    along = inverse * (product.sum((2, 3)) - mean * sums)  # of upstream times what was normalised
    for_features = None
    if needs[0]:
        scale, pixels = weight * inverse, features.shape[2] * features.shape[3]
        slope = -scale * inverse * along / pixels
        offset = -scale * sums / pixels - slope * mean
        for_features = torch.addcmul(_per_pixel(offset), features, _per_pixel(slope), out=product)
        for_features.addcmul_(upstream, _per_pixel(scale))
    return for_features, along.sum(0) if needs[1] else None, sums.sum(0) if needs[2] else None


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]


def _per_pixel(values: Tensor) -> Tensor:
    return values[:, :, None, None]
