"""Distances between images: the cycle and the exact pairs."""

from __future__ import annotations

from torch import Tensor

from aucond._check import check_images, check_same_shape
from aucond.losses._reduce import mean_per_sample, reduce_samples
from aucond.types import Reduction

__all__ = ["cycle_identity_loss", "paired_reconstruction_loss"]


def cycle_identity_loss(reconstructed: Tensor, image: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Mean absolute difference between an image and its way there and back.

    ``||G(G(I | y_f) | y_o) - I||_1 / (3 H W)`` per image (GANimation Eq. 4, SliderGAN Eq. 9).

    Convention:
        Images ``(B, 3, H, W)`` in [-1, 1]. Per image the MEAN over pixels and channels, as the published code
        has it and as its weight (10) means it. Contrast with Eq. 4 as printed, a sum: multiply by ``3 H W``;
        and with SliderGAN Eq. 9, which divides by ``W H`` only: multiply by 3.

    Args:
        reconstructed: ``G(G(image | target) | original)``, ``(B, 3, H, W)``.
        image: The original image, same shape.
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The loss; half precision is summed and returned in float32.

    >>> import torch
    >>> cycle_identity_loss(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5))
    tensor(0.5000)
    """
    check_images("reconstructed", reconstructed)
    check_images("image", image)
    check_same_shape("reconstructed", reconstructed, "image", image)
    return reduce_samples(mean_per_sample((reconstructed - image).abs()), reduction)


def paired_reconstruction_loss(generated: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Mean absolute difference between an edit and the true image of the target condition.

    ``||I_trg - I_gen||_1 / (3 W H)`` per image (SliderGAN Eq. 10).

    Convention:
        As in :func:`cycle_identity_loss`: the mean over pixels and channels. Contrast with Eq. 10 as printed,
        which divides by ``W H`` only: multiply by 3.

    Args:
        generated: The edited image, ``(B, 3, H, W)`` in [-1, 1].
        target: The true image, same shape.
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The loss; half precision is summed and returned in float32.

    >>> import torch
    >>> paired_reconstruction_loss(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2))
    tensor(1.)
    """
    check_images("generated", generated)
    check_images("target", target)
    check_same_shape("generated", generated, "target", target)
    return reduce_samples(mean_per_sample((generated - target).abs()), reduction)
