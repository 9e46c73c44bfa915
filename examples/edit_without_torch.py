"""Edit an aligned face picture with numpy, onnxruntime and Pillow only; torch and aucond need not be installed.

    python examples/export_onnx.py --output onnx          # once, where torch is
    python examples/edit_without_torch.py onnx face.png smile.png AU12=0.9 AU06=0.5

The middle square of the picture is taken as the face crop. The *change* is put back at the picture's own size:
pixels that the edit mask does not attend to keep their value, and fine detail stays unless something else (teeth in
place of lips) comes into view, as in ``aucond.edit``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

Floats = NDArray[np.float32]


class Editor:
    """The exported networks of one folder."""

    def __init__(self, folder: Path) -> None:
        self.facts: dict[str, Any] = json.loads((folder / "editor.json").read_text(encoding="utf-8"))
        providers = ["CPUExecutionProvider"]
        self.generator = onnxruntime.InferenceSession(folder / "generator.onnx", providers=providers)
        reader = folder / "reader.onnx"
        self.reader = onnxruntime.InferenceSession(reader, providers=providers) if reader.is_file() else None

    def edit(self, photo: Image.Image, changes: dict[str, float]) -> Image.Image:
        """Set the named components and keep the others; returns the whole picture."""
        before = np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))
        height, width = before.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = before[top : top + side, left : left + side]
        size = self.facts["size"]
        small = np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BOX), np.float32)
        image = (small / 127.5 - 1).transpose(2, 0, 1)[None]
        current = self.read(image)
        target = self.target(current, changes)
        condition = target - current if self.facts["relative"] else target
        _, color, attention = self.generator.run(None, {"image": image, "condition": condition})
        floor = self.facts["attention_floor"]
        mask = np.maximum(attention - floor, 0) / (1 - floor)
        change = mask * (color - image)
        step = np.clip((np.abs(change).mean(1) - 0.25) / 0.5, 0, 1)
        replaced = enlarged(step * step * (3 - 2 * step), side, Image.Resampling.BILINEAR)
        detail = square / np.float32(127.5) - 1 - enlarged(image[0], side, Image.Resampling.BICUBIC)
        moved = enlarged(change[0], side, Image.Resampling.BICUBIC) - replaced * detail
        weight = enlarged(mask[0], side, Image.Resampling.BILINEAR)
        moved = np.clip(np.rint(square + 127.5 * moved), 0, 255).astype(np.uint8)
        after = before.copy()
        after[top : top + side, left : left + side] = np.where(weight > 0, moved, square)
        return Image.fromarray(after)

    def read(self, image: Floats) -> Floats:
        """The condition of a face as it is (1, N); neutral where the folder has no reader."""
        if self.reader is None:
            return np.zeros((1, len(self.facts["names"])), np.float32)
        condition: Floats = self.reader.run(None, {"image": image})[0]
        return condition

    def target(self, current: Floats, changes: dict[str, float]) -> Floats:
        """The current condition with the named components set."""
        target = current.copy()
        names = self.facts["names"]
        for name, value in changes.items():
            if name not in names:
                raise SystemExit(f"{name}: expected one of {', '.join(names)}")
            low, high = self.facts["low"][names.index(name)], self.facts["high"][names.index(name)]
            if not low <= value <= high:
                raise SystemExit(f"{name}: expected a number in [{low:g}, {high:g}], got {value:g}")
            target[0, names.index(name)] = value
        return target


def enlarged(maps: Floats, side: int, method: Image.Resampling) -> Floats:
    """Maps (C, h, w) as (side, side, C)."""
    layers = [np.asarray(Image.fromarray(layer).resize((side, side), method)) for layer in maps]
    return np.stack(layers, axis=-1)


def main() -> None:
    """Read the command line, edit, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="what export_onnx.py wrote")
    parser.add_argument("photo", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("changes", nargs="+", help="what to change, such as AU12=0.9")
    arguments = parser.parse_args()
    changes = {}
    for word in arguments.changes:
        name, _, value = word.partition("=")
        try:
            changes[name] = float(value)
        except ValueError:
            raise SystemExit(f"{word}: expected NAME=NUMBER, such as AU12=0.9") from None
    with Image.open(arguments.photo) as photo:
        Editor(arguments.folder).edit(photo, changes).save(arguments.output)


if __name__ == "__main__":
    main()
