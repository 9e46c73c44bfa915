"""A table of faces, with its two axes written on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["labelled_grid"]


def labelled_grid(
    lines: Sequence[Sequence[Tensor]], rows: str, columns: str, values: Sequence[float]
) -> Image.Image:
    """Join faces into one picture, with the value of ``rows`` at the left and that of ``columns`` above.

    Args:
        lines: One list of faces (3, S, S) in [-1, 1] for each row.
        rows: What changes from row to row.
        columns: What changes from column to column.
        values: The values of both.
    """
    from PIL import Image, ImageDraw, ImageFont

    picture = torch.cat([torch.cat(list(line), dim=2) for line in lines], dim=1)
    pixels = ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    cell = lines[0][0].shape[-1]
    font = ImageFont.load_default(size=max(10, min(16, cell // 8)))
    left, top = 90, 24
    sheet = Image.new("RGB", (left + pixels.shape[1], top + pixels.shape[0]), "white")
    sheet.paste(Image.fromarray(pixels.numpy()), (left, top))
    draw = ImageDraw.Draw(sheet)
    for number, value in enumerate(values):
        middle = (number + 0.5) * cell
        draw.text((left + middle, top / 2), f"{columns} {value:g}", fill="black", font=font, anchor="mm")
        draw.text((left - 8, top + middle), f"{rows} {value:g}", fill="black", font=font, anchor="rm")
    return sheet
