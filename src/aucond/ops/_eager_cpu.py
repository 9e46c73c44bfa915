"""Where convolutions written by hand for the CPU may stand in for torch's."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["eager_channels_last", "is_followed"]


def is_followed() -> bool:
    """Whether a compiler, an exporter or a transform of torch.func follows the operations: it knows torch's own."""
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return torch.compiler.is_compiling() or tracing or torch._C._are_functorch_transforms_active()


def eager_channels_last(features: Tensor, weight: Tensor) -> bool:
    """Whether features (B, C, H, W) meet a weight (O, C, K, K) eagerly on a CPU, in full precision and channels_last.

    Compilers, exporters, transforms and autocast see torch's own operation, which they know.
    """
    if is_followed() or torch.is_autocast_enabled("cpu"):
        return False
    return (
        features.device.type == weight.device.type == "cpu"
        and features.dim() == 4
        and features.shape[1] == weight.shape[1]
        and features.dtype == weight.dtype
        and weight.dtype in (torch.float32, torch.float64)
        and all(v.is_contiguous(memory_format=torch.channels_last) for v in (features, weight))
    )
