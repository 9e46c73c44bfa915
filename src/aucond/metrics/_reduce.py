"""Per-image values and what becomes of them."""

from __future__ import annotations

import torch
from torch import Tensor

from aucond._check import check_choice
from aucond.types import Reduction

__all__ = ["check_reduction", "precise", "reduce_values"]


def check_reduction(reduction: Reduction) -> None:
    """Raise ValueError unless ``reduction`` is one of ``"none"``, ``"mean"``, ``"sum"``."""
    check_choice("reduction", reduction, ("none", "mean", "sum"))


def reduce_values(values: Tensor, reduction: Reduction) -> Tensor:
    """Return ``values`` (B,) as they are, averaged, or summed.

    >>> reduce_values(torch.tensor([1.0, 3.0]), "mean")
    tensor(2.)
    """
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()


def precise(values: Tensor) -> Tensor:
    """Return ``values`` in float64, on the CPU where their device has no float64.

    >>> precise(torch.ones(1)).dtype
    torch.float64
    """
    if values.device.type == "mps":
        values = values.cpu()
    return values.to(torch.float64)
