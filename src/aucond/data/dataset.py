"""A data set of annotated images, decoded once and kept as uint8."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from aucond._check import check_choice, check_number, describe, nearest
from aucond.conditions import ConditionSpace
from aucond.data.annotations import Annotations, Record
from aucond.data.images import check_size, decode_images, images_to_float
from aucond.data.order import epoch_flips
from aucond.data.problems import DatasetError, OnError, Problem, report_problems
from aucond.types import Batch

__all__ = ["AnnotatedImages"]

logger = logging.getLogger("aucond.data")


class AnnotatedImages(Dataset[Batch]):
    """Images with their conditions, from any layout that is read into :class:`Annotations`.

    All images are decoded when the data set is made, so a broken one is known before training starts, and an
    epoch costs no decoding. An item is a dict: ``image`` float32 (3, H, W) in [-1, 1], ``condition`` float32 (N,),
    and ``identity``, an int64 scalar, where the data knows who it is.

    Convention:
        RGB, channels first. Conditions are normalised values of ``space``. With ``flip`` half of the images of
        an epoch are mirrored left to right and their conditions with ``space.flip``; which ones is a pure
        function of (seed, epoch).

    Args:
        annotations: The records to use.
        space: The space of their conditions.
        split: Use only the records of this split; None uses all.
        size: Height and width, or one number for both; images are cut around the centre and resampled. None
            keeps their size, which must then be one for all.
        on_error: ``"raise"``: one DatasetError lists every broken entry; ``"skip"``: they are listed in the log of
            ``aucond.data`` and in ``skipped``.
        flip: Mirror half of the images at random.
        seed: Of the flips.
        cache: A folder for a memory-mapped copy of the decoded images; None keeps them in memory.

    Raises:
        DatasetError: Broken entries (unless skipped), or no usable image at all.
        ValueError: An argument out of its range, a split that is not there.
    """

    images: Tensor
    """All images uint8 (M, 3, H, W)."""
    conditions: Tensor
    """All conditions float32 (M, N)."""
    identities: Tensor | None
    """Who is in each image, int64 (M,), positions in ``identity_names``; None when the data does not say."""

    def __init__(
        self,
        annotations: Annotations,
        space: ConditionSpace,
        *,
        split: str | None = None,
        size: int | tuple[int, int] | None = None,
        on_error: OnError = "raise",
        flip: bool = False,
        seed: int = 0,
        cache: str | Path | None = None,
    ) -> None:
        if not isinstance(space, ConditionSpace):
            raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
        check_choice("on_error", on_error, ("raise", "skip"))
        check_number("seed", seed, low=0, integer=True)
        self.space, self.split, self.flip, self.seed = space, split, bool(flip), seed
        self.root = annotations.root
        chosen = _of_split(annotations, split)
        paths = [record.path for record in chosen]
        self.images, kept, broken = decode_images(
            paths, check_size(size), None if cache is None else Path(cache)
        )
        self.skipped: tuple[Problem, ...] = (*annotations.problems, *broken)
        report_problems(self.root, self.skipped, on_error)
        for note in annotations.notes:
            logger.warning("%s: %s", self.root, note)
        if not kept:
            raise DatasetError(self.root, self.skipped or [Problem(self.root, "there is no usable image")])
        records = [chosen[i] for i in kept]
        self.paths = tuple(record.path for record in records)
        self.conditions = torch.tensor([record.condition for record in records], dtype=torch.float32)
        self.identity_names, self.identities = _identities(annotations.records, records)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the flips of an epoch, counted from 0."""
        self._flips = epoch_flips(self.seed, epoch, len(self.paths)) if self.flip else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Batch:
        image, condition = images_to_float(self.images[index]), self.conditions[index].clone()
        if self._flips is not None and bool(self._flips[index]):
            image, condition = image.flip(-1), self.space.flip(condition)
        item: Batch = {"image": image, "condition": condition}
        if self.identities is not None:
            item["identity"] = self.identities[index].clone()
        return item

    def __repr__(self) -> str:
        height, width = self.images.shape[-2:]
        return f"{type(self).__name__}({self.root}: {len(self)} images {height}x{width}, {self.space})"


def _of_split(annotations: Annotations, split: str | None) -> list[Record]:
    if split is None:
        return list(annotations.records)
    known = sorted({record.split for record in annotations.records if record.split is not None})
    if not known:
        raise ValueError(f"split: {annotations.root} has no splits, got {split!r}; pass split=None")
    if split not in known:
        hint = nearest(split, known) if isinstance(split, str) else ""
        raise ValueError(
            f"split: expected one of {', '.join(map(repr, known))} as in {annotations.root}, got {split!r}{hint}"
        )
    return [record for record in annotations.records if record.split == split]


def _identities(everyone: tuple[Record, ...], records: list[Record]) -> tuple[tuple[str, ...], Tensor | None]:
    # Numbered over the whole data set, so that a person has the same number in every split.
    names = tuple(sorted({record.identity for record in everyone if record.identity is not None}))
    if not names:
        return (), None
    number = {name: i for i, name in enumerate(names)}
    return names, torch.tensor([number[record.identity] for record in records if record.identity is not None])
