"""A small face encoder that tells the synthetic identities apart, for losses and figures about identity."""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from .._check import check_images, check_number

__all__ = ["IdentityEncoder", "synthetic_identity_encoder"]

WEIGHTS = Path(__file__).with_name("identity.safetensors")
"""The shipped weights, made by ``examples/train_identity_encoder.py``."""

_SHORT_SIDE = 64
_WIDTHS = (24, 48, 96, 128)


class IdentityEncoder(nn.Module):
    """Image to identity embedding: four stages of strided 3x3 convolutions, the mean over the map, one linear layer.

    The shorter side is first brought to 64 pixels, so that a face of any resolution is seen at the scale that the
    network was trained at; the pooling takes whatever map comes of the longer one.

    Convention:
        Images (B, 3, H, W) in [-1, 1], RGB, the face filling the frame as in
        :class:`~aucond.faces.SyntheticFaces`. The embedding (B, D) is not normalised: compare directions
        (:class:`~aucond.IdentityLoss`, :func:`~aucond.metrics.identity_cosine`), not lengths.

    Args:
        dim: Length D of the embedding.

    Raises:
        ValueError: ``dim`` below 1.

    >>> import torch
    >>> encoder = IdentityEncoder(dim=16).eval()
    >>> encoder(torch.zeros(2, 3, 48, 40)).shape
    torch.Size([2, 16])
    """

    def __init__(self, dim: int = 64) -> None:
        super().__init__()
        check_number("dim", dim, low=1, integer=True)
        layers = _convolution(3, _WIDTHS[0], stride=2)
        for narrow, wide in zip(_WIDTHS[:-1], _WIDTHS[1:], strict=True):
            layers += [*_convolution(narrow, wide, stride=2), *_convolution(wide, wide)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(_WIDTHS[-1], dim)

    def forward(self, image: Tensor) -> Tensor:
        """Embed images (B, 3, H, W) in [-1, 1] as (B, D); differentiable."""
        check_images("image", image)
        embedding: Tensor = self.head(self.features(_to_scale(image)).mean(dim=(2, 3)))
        return embedding


def synthetic_identity_encoder() -> IdentityEncoder:
    """The encoder that comes with the library, trained on the identities of :class:`~aucond.faces.SyntheticFaces`.

    It knows rendered faces only: on photographs use a published face recogniser. The identities it was trained on are
    100,000 to 101,499; any other number is somebody it has never seen.

    Returns:
        The network in evaluation mode, frozen, in float32.

    >>> import torch
    >>> encoder = synthetic_identity_encoder()
    >>> encoder(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 64])
    """
    from safetensors.torch import load_file

    weights = load_file(WEIGHTS)
    encoder = IdentityEncoder(dim=weights["head.bias"].shape[0])
    encoder.load_state_dict({name: _widened(value) for name, value in weights.items()})
    return encoder.eval().requires_grad_(False)


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.1),
    ]


def _to_scale(image: Tensor) -> Tensor:
    """Images whose shorter side has the length the network was trained at; those that have it come back as they are."""
    height, width = image.shape[-2:]
    short = min(height, width)
    if short == _SHORT_SIDE:
        return image
    size = [max(1, round(side * _SHORT_SIDE / short)) for side in (height, width)]
    return F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
