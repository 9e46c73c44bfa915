"""How many images a second the loaders give by themselves: the training must never wait for them.

Random uint8 images in memory, memory-mapped from a file, and on a GPU resident there; with and without flips.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import copy_bandwidth, environment, interleaved, parser, prepare, save, table
from torch import Tensor

from aucond import OPENFACE_AUS
from aucond.data import TensorLoader, images_to_float, make_loader


class Images:
    """A data set as the loaders want it: uint8 images and conditions."""

    space = OPENFACE_AUS

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.conditions = torch.rand(len(images), OPENFACE_AUS.dim)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": images_to_float(self.images[index]), "condition": self.conditions[index]}

    def set_epoch(self, epoch: int) -> None:
        """Every epoch is the same."""


def drain(loader: Iterable[Any]) -> int:
    """Take all batches of an epoch."""
    return sum(len(batch["image"]) for batch in loader)


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__)
    made.add_argument("--images", type=int, default=4000, help="how many images the data set has")
    made.add_argument("--size", type=int, default=128, help="of the images, pixels")
    made.add_argument("--batch", type=int, default=25, help="images a batch")
    options = made.parse_args()
    device = prepare(options)
    count, size = (64, 16) if options.quick else (options.images, options.size)
    rounds = options.rounds or (2 if options.quick else 5)
    info = environment(device, options.quick)
    pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images"
        path.write_bytes(pixels.numpy().tobytes())
        mapped = torch.from_file(str(path), shared=False, size=pixels.numel(), dtype=torch.uint8)
        mapped = mapped.view(pixels.shape)
        common: dict[str, Any] = {"batch_size": options.batch, "device": device}
        loaders: dict[str, Iterable[Any]] = {
            "memory": TensorLoader(Images(pixels), resident=device.type == "cpu", **common),
            "memory, flips": TensorLoader(Images(pixels), flip=True, resident=device.type == "cpu", **common),
            "memory-mapped file": TensorLoader(Images(mapped), resident=device.type == "cpu", **common),
            "item by item (make_loader)": make_loader(Images(pixels), options.batch),  # type: ignore[arg-type]
        }
        if device.type == "cuda":
            loaders["resident on the device, flips"] = TensorLoader(
                Images(pixels), flip=True, resident=True, **common
            )
        works = {name: partial(drain, loader) for name, loader in loaders.items()}
        seconds = interleaved(works, device, rounds=rounds)
        images = {name: drain(loader) for name, loader in loaders.items()}
    rows = [
        {"loader": name, "images_per_second": images[name] / value, "seconds_per_epoch": value}
        for name, value in seconds.items()
    ]
    print(table(rows))
    results = {
        "environment": info,
        "size": size,
        "batch": options.batch,
        "images": count,
        "rounds": rounds,
        "copy_bandwidth": copy_bandwidth(device, options.quick),
        "rows": rows,
    }
    save("loader", results, options)


if __name__ == "__main__":
    main()
