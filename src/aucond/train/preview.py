"""Preview pictures of a run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aucond._check import check_tensor
from aucond.train.files import replace_file

__all__ = ["save_preview"]


def save_preview(path: Path, image: Any) -> Tensor:
    """Write an image as PNG, whole or not at all.

    Args:
        path: The file; its folder is made if missing.
        image: (3, H, W) in [-1, 1], RGB; values outside are clipped.

    Returns:
        The image as uint8 (3, H, W) on the CPU.

    Raises:
        TypeError: If it is no floating tensor.
        ValueError: If it has another shape.
    """
    from PIL import Image

    checked = check_tensor("preview's result", image, (3, "H", "W")).detach().float().cpu()
    pixels = ((checked.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(buffer, format="PNG")
    replace_file(path, buffer.getvalue())
    return pixels
