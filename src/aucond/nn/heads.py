"""Heads for the critic: any module ``(B, C, h, w) -> (B, N)`` is one; these are the usual ones."""

from __future__ import annotations

import torch
from einops import reduce
from torch import Tensor, nn

from aucond._check import check_number, check_tensor, describe
from aucond.conditions import ConditionSpace

__all__ = [
    "BoundedRegressionHead",
    "ClassificationHead",
    "ConvRegressionHead",
    "MLPRegressionHead",
    "PooledRegressionHead",
]


def _check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        check_number(name, value, low=1, integer=True)


class PooledRegressionHead(nn.Module):
    """Mean over the map, then one linear layer: a regression that accepts any image size.

    Args:
        in_channels: Channels C of the critic's last features.
        out_features: N, how many numbers are predicted.

    Convention: the prediction (B, N) is unbounded and in the condition's normalised unit.

    >>> PooledRegressionHead(8, 17)(torch.zeros(2, 8, 3, 5)).shape
    torch.Size([2, 17])
    """

    def __init__(self, in_channels: int, out_features: int) -> None:
        super().__init__()
        _check_sizes(in_channels=in_channels, out_features=out_features)
        self.linear = nn.Linear(in_channels, out_features)

    def forward(self, features: Tensor) -> Tensor:
        """Predict (B, N) from features (B, C, h, w)."""
        prediction: Tensor = self.linear(reduce(features, "b c h w -> b c", "mean"))
        return prediction


class ConvRegressionHead(nn.Module):
    """The published head: a bias-free convolution whose kernel covers the whole map, so it fixes the image size.

    Args:
        in_channels: Channels C of the critic's last features.
        out_features: N, how many numbers are predicted.
        kernel_size: Height and width of the map, image size / 2**num_layers.

    Raises:
        ValueError: The map is not kernel_size x kernel_size.

    >>> ConvRegressionHead(8, 17, kernel_size=2)(torch.zeros(1, 8, 2, 2)).shape
    torch.Size([1, 17])
    """

    def __init__(self, in_channels: int, out_features: int, kernel_size: int) -> None:
        super().__init__()
        _check_sizes(in_channels=in_channels, out_features=out_features, kernel_size=kernel_size)
        self.kernel_size = kernel_size
        self.conv = nn.Conv2d(in_channels, out_features, kernel_size, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Predict (B, N) from features (B, C, kernel_size, kernel_size)."""
        check_tensor("features", features, ("B", "C", self.kernel_size, self.kernel_size))
        prediction: Tensor = self.conv(features).flatten(1)
        return prediction


class MLPRegressionHead(nn.Module):
    """Mean over the map, a hidden layer with ReLU, and a linear layer.

    Args:
        in_channels: Channels C of the critic's last features.
        out_features: N, how many numbers are predicted.
        hidden_features: Width of the hidden layer.

    >>> MLPRegressionHead(8, 17)(torch.zeros(2, 8, 3, 5)).shape
    torch.Size([2, 17])
    """

    def __init__(self, in_channels: int, out_features: int, hidden_features: int = 256) -> None:
        super().__init__()
        _check_sizes(in_channels=in_channels, out_features=out_features, hidden_features=hidden_features)
        self.layers = nn.Sequential(
            nn.Linear(in_channels, hidden_features), nn.ReLU(), nn.Linear(hidden_features, out_features)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Predict (B, N) from features (B, C, h, w)."""
        prediction: Tensor = self.layers(reduce(features, "b c h w -> b c", "mean"))
        return prediction


class BoundedRegressionHead(nn.Module):
    r"""A pooled regression squashed into the range of a space, :math:`low + (high - low)\,\sigma(z)`.

    Args:
        in_channels: Channels C of the critic's last features.
        space: The space whose range every prediction stays in.

    >>> from aucond import OPENFACE_AUS
    >>> head = BoundedRegressionHead(8, OPENFACE_AUS)
    >>> prediction = head(100 * torch.randn(4, 8, 2, 2))
    >>> bool(((prediction >= 0) & (prediction <= 1)).all())
    True
    """

    low: Tensor
    high: Tensor

    def __init__(self, in_channels: int, space: ConditionSpace) -> None:
        super().__init__()
        if not isinstance(space, ConditionSpace):
            raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
        self.pooled = PooledRegressionHead(in_channels, space.dim)
        self.register_buffer("low", torch.tensor(space.low), persistent=False)
        self.register_buffer("high", torch.tensor(space.high), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Predict (B, N) inside [low, high] from features (B, C, h, w)."""
        share = self.pooled(features).sigmoid()
        # Under autocast the pooled prediction comes in half precision, and lerp does not promote.
        return torch.lerp(self.low, self.high, share.to(self.low.dtype))


class ClassificationHead(nn.Module):
    """Class scores (logits) for StarGAN-like labels: mean over the map, then one linear layer.

    Args:
        in_channels: Channels C of the critic's last features.
        num_classes: N, how many classes.

    >>> ClassificationHead(8, 7)(torch.zeros(2, 8, 3, 5)).shape
    torch.Size([2, 7])
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        _check_sizes(in_channels=in_channels, num_classes=num_classes)
        self.pooled = PooledRegressionHead(in_channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, N) from features (B, C, h, w)."""
        logits: Tensor = self.pooled(features)
        return logits
