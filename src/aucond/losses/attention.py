"""Regularisers of an attention mask: total variation and two sizes.

Convention:
    These functions take any mask ``(B, 1, H, W)`` in [0, 1]; WHICH mask (the edit mask of GANimation Eq.
    1 or its complement, the keep-mask that the published code penalises) is the caller's business and the
    recipe says it. TV is the same for both; the sizes are not.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from aucond._check import check_choice, check_images
from aucond.losses._reduce import in_float, mean_per_sample, reduce_samples, safe_norm
from aucond.types import Reduction

__all__ = ["attention_l1_loss", "attention_l2_loss", "attention_tv_loss"]


def attention_tv_loss(
    mask: Tensor, norm: Literal["l2", "l1"] = "l2", reduction: Reduction = "mean"
) -> Tensor:
    """Total variation of the mask: per image the SUM over neighbour pairs (GANimation Eq. 2, first term).

    ``norm="l2"``: ``sum_ij (A[i+1,j] - A[i,j])^2 + (A[i,j+1] - A[i,j])^2``, as printed;
    ``norm="l1"``: the same of absolute values, as in the published code.

    Convention:
        Unreduced: one sum per image. Contrast with the published code, which sums over the whole batch:
        that is ``norm="l1", reduction="sum"``. A constant mask costs 0; ``|x|`` has gradient 0 at 0.

    Args:
        mask: ``(B, 1, H, W)`` in [0, 1].
        norm: Squared (``"l2"``) or absolute (``"l1"``) differences.
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The loss; half precision is summed and returned in float32.

    >>> import torch
    >>> attention_tv_loss(torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]]))
    tensor(1.5000)
    >>> attention_tv_loss(torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]]), norm="l1")
    tensor(2.)
    """
    check_choice("norm", norm, ("l2", "l1"))
    values = in_float(check_images("mask", mask, channels=1))
    down = values[:, :, 1:, :] - values[:, :, :-1, :]
    right = values[:, :, :, 1:] - values[:, :, :, :-1]
    if norm == "l2":
        per_image = down.square().sum((1, 2, 3)) + right.square().sum((1, 2, 3))
    else:
        per_image = down.abs().sum((1, 2, 3)) + right.abs().sum((1, 2, 3))
    return reduce_samples(per_image, reduction)


def attention_l2_loss(mask: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Euclidean norm of the mask, ``||A||_2 = sqrt(sum_ij A_ij^2)`` per image (GANimation Eq. 2, second term).

    Convention:
        The norm itself, not its square, over all pixels of one image; it grows with the image's side (a
        mask of ones at 128x128 gives 128). The gradient at an all-zero mask is 0.

    Args:
        mask: ``(B, 1, H, W)`` in [0, 1].
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The loss; half precision is summed and returned in float32.

    >>> import torch
    >>> attention_l2_loss(torch.ones(1, 1, 4, 4))
    tensor(4.)
    """
    return reduce_samples(safe_norm(check_images("mask", mask, channels=1)), reduction)


def attention_l1_loss(mask: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Mean of the mask's absolute values, ``||A||_1 / (W H)`` per image (SliderGAN Eq. 12).

    The published GANimation code uses this mean too, on the keep-mask ``1 - A``.

    Args:
        mask: ``(B, 1, H, W)`` in [0, 1].
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The loss; half precision is summed and returned in float32.

    >>> import torch
    >>> attention_l1_loss(torch.tensor([[[[0.0, 1.0]]]]))
    tensor(0.5000)
    """
    return reduce_samples(mean_per_sample(check_images("mask", mask, channels=1).abs()), reduction)
