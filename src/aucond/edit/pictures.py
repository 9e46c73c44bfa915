"""Pictures of edits: labelled rows of images, and moving ones, written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aucond._check import check_number, check_tensor, describe
from aucond._files import atomic_file

__all__ = ["label_rows", "save_gif", "save_png", "tile"]


def tile(rows: Sequence[Tensor], *, scale: int = 1) -> Tensor:
    """Join rows of images into one picture.

    Args:
        rows: Batches of one size, each (B, 3, H, W) in [-1, 1] or, for a mask, (B, 1, H, W) in [0, 1], which is
            shown from black (0) to white (1).
        scale: Every pixel becomes scale x scale pixels.

    Returns:
        (3, R * H * scale, B * W * scale) in [-1, 1].

    >>> tile([torch.zeros(4, 3, 8, 8), torch.rand(4, 1, 8, 8)]).shape
    torch.Size([3, 16, 32])
    """
    if not rows:
        raise ValueError("rows: expected at least one batch of images, got none")
    check_number("scale", scale, low=1, integer=True)
    pictures = []
    for number, row in enumerate(rows):
        check_tensor(f"rows[{number}]", row, ("B", "C", "H", "W"))
        if row.shape[1] == 1:
            row = (2 * row - 1).expand(-1, 3, -1, -1)
        first = rows[0].shape
        if row.shape[1] != 3 or row.shape[0] != first[0] or row.shape[2:] != first[2:]:
            raise ValueError(
                f"rows[{number}]: expected images (3 channels) or masks (1 channel) of the first row's "
                f"count and size {tuple(first)}, got {describe(rows[number])}"
            )
        pictures.append(torch.cat(list(row.detach().float().cpu()), dim=2))
    picture = torch.cat(pictures, dim=1)
    return picture.repeat_interleave(scale, 1).repeat_interleave(scale, 2)


def label_rows(picture: Tensor, labels: Sequence[str], *, width: int = 96) -> Tensor:
    """Add a white margin at the left that says what each of the equally high rows shows.

    Args:
        picture: (3, H, W) in [-1, 1], as :func:`tile` gives it.
        labels: One text a row.
        width: Pixels of the margin.

    Returns:
        (3, H, W + width) in [-1, 1].
    """
    from PIL import Image, ImageDraw, ImageFont

    check_tensor("picture", picture, (3, "H", "W"))
    if not labels or picture.shape[1] % len(labels):
        raise ValueError(
            f"labels: expected a number of labels that divides the height {picture.shape[1]}, got {len(labels)}"
        )
    row_height = picture.shape[1] // len(labels)
    margin = Image.new("L", (width, picture.shape[1]), 255)
    draw = ImageDraw.Draw(margin)
    font = ImageFont.load_default(size=max(10, min(16, row_height // 4)))
    for number, label in enumerate(labels):
        draw.text((6, (number + 0.5) * row_height), label, fill=0, font=font, anchor="lm")
    grey = torch.frombuffer(bytearray(margin.tobytes()), dtype=torch.uint8).reshape(1, *margin.size[::-1])
    return torch.cat([(grey.float() / 127.5 - 1).expand(3, -1, -1), picture], dim=2)


def save_png(picture: Tensor, path: str | Path) -> None:
    """Write a picture (3, H, W) in [-1, 1] as a PNG file, whole or not at all."""
    _write(path, [check_tensor("picture", picture, (3, "H", "W"))], "PNG", {})


def save_gif(frames: Sequence[Tensor], path: str | Path, *, frames_per_second: float = 12.0) -> None:
    """Write pictures (3, H, W) in [-1, 1] as a GIF that repeats for ever, whole or not at all."""
    check_number("frames_per_second", frames_per_second, low=0.1, high=50.0)
    if not frames:
        raise ValueError("frames: expected at least one picture, got none")
    shape = frames[0].shape
    for number, frame in enumerate(frames):
        check_tensor(f"frames[{number}]", frame, (3, *shape[1:]))
    _write(path, frames, "GIF", {"duration": round(1000 / frames_per_second), "loop": 0})


def _write(path: str | Path, pictures: Sequence[Tensor], kind: str, options: Mapping[str, Any]) -> None:
    from PIL import Image

    images = []
    for picture in pictures:
        pixels = ((picture.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        images.append(Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()))
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": images[1:]} if kind == "GIF" else {}
    images[0].save(buffer, format=kind, **more, **options)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as stream:
        stream.write(buffer.getvalue())
