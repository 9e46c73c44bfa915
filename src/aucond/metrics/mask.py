"""What an attention mask looks like in figures: how much it edits, and whether it has collapsed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aucond._check import check_tensor, describe
from aucond.metrics._reduce import check_reduction, precise, reduce_values
from aucond.types import Reduction

__all__ = ["MaskStatistics", "mask_statistics"]


class MaskStatistics(NamedTuple):
    """Figures of edit masks, one value per mask (B,) or reduced over the batch; all lie in [0, 1]."""

    mean: Tensor
    """Mean of the mask: 0 nothing is edited, 1 the whole image is painted anew."""
    closed: Tensor
    """Share of pixels below 0.01, where the input stays as it is."""
    open: Tensor
    """Share of pixels above 0.99, where the colour image replaces the input."""
    entropy: Tensor
    """Mean binary entropy of the pixels in bits: 0 all decided, 1 all at one half."""
    spread: Tensor
    """Standard deviation over the pixels: 0 for a constant mask, at most one half."""

    @property
    def saturated(self) -> Tensor:
        """Share of pixels below 0.01 or above 0.99, where a sigmoid hardly passes a gradient."""
        return self.closed + self.open


def mask_statistics(attention: Tensor, *, reduction: Reduction = "none") -> MaskStatistics:
    """Statistics of edit masks: mean, closed and open share, entropy, spread.

    A mask that has collapsed is ``closed`` or ``open`` nearly everywhere, or has next to no ``spread``.

    Convention:
        ``attention`` is the edit mask A of GANimation Eq. 1: 0 keeps the input, 1 replaces it. For the
        published code's keep-mask pass ``1 - mask``; ``closed`` and ``open`` change places, entropy and
        spread stay.

    Args:
        attention: Edit masks (B, 1, H, W) in [0, 1].
        reduction: ``"none"`` one value per mask (B,), ``"mean"`` or ``"sum"`` over the batch.

    Returns:
        Float64 tensors.

    Raises:
        TypeError: No floating tensor.
        ValueError: Another shape, no pixels, or values outside [0, 1] or NaN (on the CPU).

    >>> figures = mask_statistics(torch.tensor([[[[0.0, 0.5], [0.5, 1.0]]]]))
    >>> [round(float(value), 3) for value in figures]
    [0.5, 0.25, 0.25, 0.5, 0.354]
    """
    check_tensor("attention", attention, ("B", 1, "H", "W"))
    check_reduction(reduction)
    if attention.numel() == 0:
        raise ValueError(
            f"attention: expected at least one mask of at least one pixel, got {describe(attention)}"
        )
    if attention.device.type == "cpu" and not bool(((attention >= 0) & (attention <= 1)).all()):
        raise ValueError(f"attention: expected values in [0, 1], got others in {describe(attention)}")
    pixels = precise(attention.detach()).flatten(1)
    keep = 1 - pixels
    # xlogy gives 0 for 0 log 0, where the plain product would be NaN.
    entropy = -(torch.xlogy(pixels, pixels) + torch.xlogy(keep, keep)) / torch.log(pixels.new_tensor(2.0))
    figures = (
        pixels.mean(dim=1),
        (pixels < 0.01).double().mean(dim=1),
        (pixels > 0.99).double().mean(dim=1),
        entropy.mean(dim=1),
        pixels.std(dim=1, correction=0),
    )
    return MaskStatistics(*(reduce_values(figure, reduction) for figure in figures))
