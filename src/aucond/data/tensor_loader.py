"""Batches straight from one uint8 tensor: no item, no collation, normalisation and flips on the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from aucond._check import check_number, check_tensor, describe
from aucond.conditions import ConditionSpace
from aucond.data.images import images_to_float
from aucond.data.loader import check_batches
from aucond.data.order import epoch_flips, epoch_order
from aucond.types import Batch

__all__ = ["TensorLoader"]


class TensorLoader:
    """Batches of a data set that holds its images as one uint8 tensor.

    The same (seed, epoch) gives the batches :func:`make_loader` gives for the same data set, without its cost per item.

    Convention:
        ``image`` float32 (B, 3, H, W) in [-1, 1] (``x / 127.5 - 1``), ``condition`` float32 (B, N) normalised,
        ``identity`` int64 (B,) where the data has it, all on ``device``. Order and flips are pure functions of
        (seed, epoch); without ``set_epoch`` every epoch is epoch 0.

    Args:
        dataset: Anything with ``images`` uint8 (M, 3, H, W), ``conditions`` float (M, N) and, if known,
            ``identities`` int64 (M,).
        batch_size: Samples per batch B.
        seed: Of order and flips.
        shuffle: False keeps the order of the data set.
        drop_last: Leave out the last, smaller batch.
        flip: Mirror half of the images of an epoch at random; None does as ``dataset.flip`` says.
        space: How conditions change when their image is mirrored; None takes ``dataset.space``.
        device: Where the batches are to be; None leaves them where the images are.
        resident: Keep all images on ``device``; None does so on an accelerator when they fill at most half of
            its free memory. Otherwise each batch is sent as uint8, a quarter of the bytes of floats.

    Raises:
        TypeError: A data set without these tensors.
        ValueError: Tensors of other shapes, flips without a space, no batch in an epoch.

    >>> class Set:
    ...     images = torch.zeros(10, 3, 8, 8, dtype=torch.uint8)
    ...     conditions = torch.zeros(10, 2)
    >>> batch = next(iter(TensorLoader(Set(), batch_size=4)))
    >>> batch["image"].shape, batch["image"].min().item()
    (torch.Size([4, 3, 8, 8]), -1.0)
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = True,
        flip: bool | None = None,
        space: ConditionSpace | None = None,
        device: torch.device | str | None = None,
        resident: bool | None = None,
    ) -> None:
        images, conditions, identities = _tensors(dataset)
        check_batches(len(images), batch_size, drop_last)
        check_number("seed", seed, low=0, integer=True)
        self.batch_size, self.seed, self.shuffle, self.drop_last = batch_size, seed, shuffle, drop_last
        self.flip = bool(getattr(dataset, "flip", False)) if flip is None else flip
        # The flips are the data set's own when it has them, so that both loaders show the same images.
        self._flip_seed = int(getattr(dataset, "seed", seed)) if getattr(dataset, "flip", False) else seed
        self.space: ConditionSpace | None = space if space is not None else getattr(dataset, "space", None)
        if self.flip and self.space is None:
            raise ValueError("space: flips need the condition space; pass space= or flip=False")
        if self.space is not None:
            check_tensor("conditions", conditions, ("M", self.space.dim))
        self.device = images.device if device is None else torch.device(device)
        self.resident = _fits(images, self.device) if resident is None else resident
        self._images = images.to(self.device) if self.resident else images
        self._conditions = conditions.to(self.device, torch.float32)
        self._identities = None if identities is None else identities.to(self.device)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, that the next iteration gives."""
        check_number("epoch", epoch, low=0, integer=True)
        self.epoch = epoch

    def __len__(self) -> int:
        count = len(self._images)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        count = len(self._images)
        order = epoch_order(self.seed, self.epoch, count) if self.shuffle else torch.arange(count)
        flips = epoch_flips(self._flip_seed, self.epoch, count)[order] if self.flip else None
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            chosen = slice(start, start + self.batch_size)
            yield self._batch(order[chosen], None if flips is None else flips[chosen])

    def _batch(self, chosen: Tensor, flipped: Tensor | None) -> Batch:
        here = chosen.to(self.device)
        pixels, condition = self._pixels(chosen, here), self._conditions.index_select(0, here)
        if flipped is not None and self.space is not None:
            # Bytes, and whole images picked from both versions: on a CPU ten times faster than torch.where.
            which = (torch.arange(len(chosen)) + len(chosen) * flipped).to(self.device)
            pixels = torch.cat([pixels, pixels.flip(-1)]).index_select(0, which)
            condition = torch.cat([condition, self.space.flip(condition)]).index_select(0, which)
        batch: Batch = {"image": images_to_float(pixels), "condition": condition}
        if self._identities is not None:
            batch["identity"] = self._identities.index_select(0, here)
        return batch

    def _pixels(self, chosen: Tensor, here: Tensor) -> Tensor:
        if self.resident:
            return self._images.index_select(0, here)
        pixels = self._images.index_select(0, chosen.to(self._images.device))
        if self.device.type == "cuda" and pixels.device.type == "cpu":
            return pixels.pin_memory().to(self.device, non_blocking=True)
        return pixels.to(self.device)


def _tensors(dataset: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    for name in ("images", "conditions"):
        if not isinstance(getattr(dataset, name, None), Tensor):
            raise TypeError(
                f"dataset: expected the tensors .images (M, 3, H, W) and .conditions (M, N), got {describe(dataset)} "
                f"without .{name}; use make_loader for other data sets"
            )
    images = check_tensor("dataset.images", dataset.images, ("M", 3, "H", "W"), dtype=torch.uint8)
    conditions = check_tensor("dataset.conditions", dataset.conditions, (len(images), "N"))
    identities = getattr(dataset, "identities", None)
    if identities is not None:
        check_tensor("dataset.identities", identities, (len(images),), dtype=torch.int64)
    return images, conditions, identities


def _fits(images: Tensor, device: torch.device) -> bool:
    if device.type != "cuda":
        return device == images.device
    free, _ = torch.cuda.mem_get_info(device)
    return images.numel() <= free // 2
