"""The layers that generators are built from."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from aucond.ops import WinogradConv2d, instance_norm

__all__ = ["FiLM", "InstanceNorm", "PlanesConv2d", "ResidualBlock", "ResizeConv2d", "constant_plane_response"]


def constant_plane_response(planes: Tensor, weight: Tensor, height: int, width: int, padding: int) -> Tensor:
    r"""Convolve constant planes with zero padding without ever building the planes.

    A plane of the constant :math:`y_n`, zero-padded and convolved with stride 1, is the same number at every pixel
    whose window lies inside the image; along the border it lacks the kernel offsets that fall outside:

    .. math:: r_{o,i,j} = \sum_{k,l} v^H_{ik}\, v^W_{jl} \sum_n W_{o,n,k,l}\, y_n, \qquad v_{ik} = [0 \le i + k - p < H]

    Args:
        planes: The constants y, (B, N).
        weight: Convolution weight, (O, N, K, K).
        height: H of the image, pixels.
        width: W of the image, pixels.
        padding: Zero padding p, pixels.

    Returns:
        (B, O, H', W'), equal to ``conv2d(y expanded to (B, N, H, W), weight, padding=p)``.

    >>> y, w = torch.tensor([[2.0]]), torch.ones(1, 1, 3, 3)
    >>> constant_plane_response(y, w, 3, 3, padding=1)[0, 0]
    tensor([[ 8., 12.,  8.],
            [12., 18., 12.],
            [ 8., 12.,  8.]])
    """
    kernel_height, kernel_width = weight.shape[-2:]
    offsets = torch.einsum("bn,onkl->bokl", planes, weight)
    rows = _inside(height, kernel_height, padding, planes)
    columns = _inside(width, kernel_width, padding, planes)
    return rows @ offsets @ columns.transpose(0, 1)


def _inside(size: int, kernel: int, padding: int, like: Tensor) -> Tensor:
    """Indicator (size', kernel) of the kernel offsets that fall inside an axis of ``size`` pixels."""
    outputs = size + 2 * padding - kernel + 1
    position = torch.arange(outputs, device=like.device)[:, None] + torch.arange(kernel, device=like.device)
    position = position - padding
    return ((position >= 0) & (position < size)).to(like.dtype)


class PlanesConv2d(nn.Module):
    """The published first layer: a bias-free convolution of the image with N constant condition planes appended.

    Numerically ``conv2d(cat([image, planes], 1), weight)``, but the planes are never built
    (:func:`constant_plane_response`), so the convolution sees 3 channels however long the condition is.
    ``weight`` keeps the published layout (out_channels, in_channels + condition_dim, K, K).

    Args:
        in_channels: Image channels.
        condition_dim: N, length of the condition.
        out_channels: Output channels.
        kernel_size: Odd K; the padding is K // 2, so the size is kept.
    """

    def __init__(self, in_channels: int, condition_dim: int, out_channels: int, kernel_size: int = 7) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.padding = kernel_size // 2
        self.weight = nn.Parameter(
            torch.empty(out_channels, in_channels + condition_dim, kernel_size, kernel_size)
        )
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """Return (B, out_channels, H, W) from an image (B, in_channels, H, W) and a condition (B, N)."""
        image_weight, plane_weight = self.weight[:, : self.in_channels], self.weight[:, self.in_channels :]
        response = F.conv2d(image, image_weight, padding=self.padding)
        planes = constant_plane_response(
            condition, plane_weight, image.shape[-2], image.shape[-1], self.padding
        )
        return response + planes.to(response.dtype)


class ResizeConv2d(nn.Module):
    """Nearest-neighbour doubling followed by a bias-free 3x3 convolution, computed as one transposed convolution.

    Each output pixel of the doubled image sees only two distinct input rows and columns, so the 3x3 kernel on the
    doubled grid is a 4x4 stride-2 transposed kernel, the 3x3 one spread with a 2x2 box. The result is exactly that of
    ``conv2d(interpolate(x, scale_factor=2), weight, padding=1)`` at 4 instead of 9 multiplications an output value,
    and, unlike a free transposed convolution, the four output phases cannot drift apart into a checkerboard
    (Odena, Dumoulin & Olah 2016).

    Args:
        in_channels: Channels in.
        out_channels: Channels out.

    >>> layer = ResizeConv2d(2, 3)
    >>> x = torch.randn(1, 2, 5, 4)
    >>> plain = F.conv2d(F.interpolate(x, scale_factor=2.0), layer.weight, padding=1)
    >>> torch.allclose(layer(x), plain, atol=1e-5)
    True
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out_channels, 2H, 2W) from (B, in_channels, H, W)."""
        flipped = rearrange(self.weight, "o i k l -> i o k l").flip(-2, -1)
        # Four shifted copies spread the kernel with the 2x2 box in plain additions, which every exporter knows.
        spread = (
            F.pad(flipped, (0, 1, 0, 1))
            + F.pad(flipped, (1, 0, 0, 1))
            + F.pad(flipped, (0, 1, 1, 0))
            + F.pad(flipped, (1, 0, 1, 0))
        )
        return F.conv_transpose2d(features, spread, stride=2, padding=1)


class InstanceNorm(nn.Module):
    r"""Affine instance normalisation, :math:`w\,(x - \mu) / \sqrt{\sigma^2 + \epsilon} + b` per image and channel.

    The numbers of ``torch.nn.InstanceNorm2d(channels, affine=True)``, through :func:`aucond.ops.instance_norm`, which
    is faster on the CPU and accepts a 1x1 map.

    Args:
        channels: Channels C.
        epsilon: Added to the variance.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.channels = channels
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise (B, C, H, W) over H and W."""
        return instance_norm(features, self.weight, self.bias, self.epsilon)


class FiLM(nn.Module):
    r"""Feature-wise modulation, :math:`x\,(1 + \gamma(y)) + \beta(y)`, gamma and beta linear in the condition.

    It stands after a normalisation, which therefore cannot subtract it again, as it does with constant planes
    (Perez et al. 2018). A condition of zeros changes nothing.

    Args:
        condition_dim: N, length of the condition.
        channels: Channels C of the features.
    """

    def __init__(self, condition_dim: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(condition_dim, 2 * channels, bias=False)
        nn.init.normal_(self.project.weight, std=1 / math.sqrt(condition_dim))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Modulate features (B, C, H, W) by a condition (B, N)."""
        scale, shift = rearrange(self.project(condition), "b (two c) -> two b c 1 1", two=2)
        return torch.addcmul(shift, features, 1 + scale)


class ResidualBlock(nn.Module):
    """The published residual block: conv3x3, norm, ReLU, conv3x3, norm, plus the input; with FiLM after each norm.

    Args:
        channels: Channels in and out.
        condition_dim: N with FiLM after both normalisations; None for the published, unconditioned block.
    """

    def __init__(self, channels: int, condition_dim: int | None = None) -> None:
        super().__init__()
        self.first = WinogradConv2d(channels, channels)
        self.first_norm = InstanceNorm(channels)
        self.second = WinogradConv2d(channels, channels)
        self.second_norm = InstanceNorm(channels)
        self.first_film = None if condition_dim is None else FiLM(condition_dim, channels)
        self.second_film = None if condition_dim is None else FiLM(condition_dim, channels)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return (B, C, H, W); the condition (B, N) is read only by FiLM."""
        hidden = self.first_norm(self.first(features))
        if self.first_film is not None:
            hidden = self.first_film(hidden, condition)
        hidden = self.second_norm(self.second(F.relu(hidden)))
        if self.second_film is not None:
            hidden = self.second_film(hidden, condition)
        return torch.add(features, hidden)
