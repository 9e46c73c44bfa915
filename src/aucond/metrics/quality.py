"""Pixelwise and structural similarity of an edit to the truth, through kornia."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aucond._check import check_finite, check_images, check_same_shape
from aucond.metrics._reduce import check_reduction, precise, reduce_values
from aucond.types import Reduction

__all__ = ["psnr", "ssim"]

_WINDOW = 11


def psnr(x: Tensor, y: Tensor, *, reduction: Reduction = "none") -> Tensor:
    """Peak signal to noise ratio in decibel, ``10 log10(4 / mean squared error)``, of each pair of images.

    Convention:
        Images in [-1, 1], so the peak is 2; the mean runs over channels and pixels of one image, and a
        batch's value is the mean of its images' ratios (not the ratio of the pooled error). Equal images give
        infinity.

    Args:
        x: Images (B, 3, H, W) in [-1, 1].
        y: Images of the same shape.
        reduction: ``"none"`` one value per image (B,), ``"mean"`` or ``"sum"`` over the batch.

    Raises:
        TypeError: No floating tensors.
        ValueError: Different shapes, not three channels, NaN or infinity among the pixels (on the CPU).

    >>> psnr(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5))  # 10 log10(4 / 0.25)
    tensor([12.0412], dtype=torch.float64)
    """
    x, y = _check_pair(x, y, reduction)
    one = _kornia().psnr
    return reduce_values(torch.stack([one(a, b, 2.0) for a, b in zip(x, y, strict=True)]), reduction)


def ssim(x: Tensor, y: Tensor, *, reduction: Reduction = "none") -> Tensor:
    """Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004) of each pair of images, 1 for equal ones.

    Convention:
        Images in [-1, 1] are moved to [0, 1] first, since the index depends on where black is; data range 1,
        K1 = 0.01, K2 = 0.03, Gaussian window of 11 x 11 pixels with sigma 1.5, population covariances; the
        mean over channels and over those pixels whose window lies inside the image. These are the settings of
        the paper, and of ``skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, data_range=1)``.

    Args:
        x: Images (B, 3, H, W) in [-1, 1], H and W at least 11.
        y: Images of the same shape.
        reduction: ``"none"`` one value per image (B,), ``"mean"`` or ``"sum"`` over the batch.

    Returns:
        Values in [-1, 1].

    Raises:
        TypeError: No floating tensors.
        ValueError: Different shapes, not three channels, smaller than the window, NaN or infinity among the
            pixels (on the CPU).

    >>> ssim(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))
    tensor([1.], dtype=torch.float64)
    """
    x, y = _check_pair(x, y, reduction)
    if min(x.shape[-2:]) < _WINDOW:
        raise ValueError(
            f"x: expected images of at least {_WINDOW} x {_WINDOW} pixels, the size of the window, "
            f"got {tuple(x.shape[-2:])}"
        )
    index = _kornia().ssim((x + 1) / 2, (y + 1) / 2, _WINDOW, max_val=1.0, eps=0.0, padding="valid")
    return reduce_values(index.mean(dim=(1, 2, 3)), reduction)


def _check_pair(x: Tensor, y: Tensor, reduction: Reduction) -> tuple[Tensor, Tensor]:
    check_images("x", x)
    check_images("y", y)
    check_same_shape("x", x, "y", y)
    check_finite("x", x)
    check_finite("y", y)
    check_reduction(reduction)
    return precise(x), precise(y)


def _kornia() -> Any:
    # Imported on use: kornia takes longer to load than the rest of this package.
    try:
        import kornia.metrics
    except ImportError as error:
        raise ImportError("psnr and ssim need kornia: pip install kornia") from error
    return kornia.metrics
