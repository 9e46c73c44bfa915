"""A data set of annotated images, decoded once and kept as uint8."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from aucond._check import check_choice, check_number, describe, nearest
from aucond.conditions import ConditionSpace
from aucond.data.annotations import Annotations, Record
from aucond.data.images import MappedFile, check_size, decode_images, images_to_float
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
        function of (seed, epoch). A pickle holds the name of a ``cache``'s file in place of the images, which are then
        mapped anew: worker processes share them, writes into them are lost.

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
        cache: A folder for a memory-mapped copy of the decoded images; None keeps them in memory. Where files have
            changed, another copy is made and the old one stays: empty the folder when it grows too large.

    Raises:
        DatasetError: Broken entries (unless skipped), or no usable image at all.
        TypeError: An argument of another kind.
        ValueError: An argument out of its range, a split that is not there, a record whose condition is none of the
            space, or records of which only some have an identity.
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
        if not isinstance(annotations, Annotations):
            raise TypeError(
                f"annotations: expected Annotations, as the readers give, got {describe(annotations)}"
            )
        if not isinstance(space, ConditionSpace):
            raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
        check_choice("on_error", on_error, ("raise", "skip"))
        check_number("seed", seed, low=0, integer=True)
        self.space, self.split, self.flip, self.seed = space, split, bool(flip), seed
        self.root = annotations.root
        chosen = _of_split(annotations, split, on_error)
        conditions = _conditions(chosen, space)
        self.identity_names, identities = _identities(annotations.records, chosen)
        paths = [record.path for record in chosen]
        self.images, kept, broken, file = decode_images(
            paths, check_size(size), None if cache is None else Path(cache)
        )
        self._mapped: tuple[MappedFile, Tensor] | None = None if file is None else (file, self.images)
        self.skipped: tuple[Problem, ...] = (*annotations.problems, *broken)
        report_problems(self.root, self.skipped, on_error)
        for note in annotations.notes:
            logger.warning("%s: %s", self.root, note)
        if not kept:
            raise DatasetError(self.root, self.skipped or [Problem(self.root, "there is no usable image")])
        self.paths = tuple(paths[i] for i in kept)
        self.conditions = conditions[kept]
        self.identities = None if identities is None else identities[kept]
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the flips of an epoch, counted from 0."""
        self._flips = epoch_flips(self.seed, epoch, len(self.paths)) if self.flip else None

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_mapped": None}
        # The caller may have set other images by now.
        if self._mapped is not None and self._mapped[1] is self.images:
            state["_mapped"] = self._mapped[0]
            del state["images"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        file: MappedFile | None = state["_mapped"]
        if file is not None:
            self.images = file.images()
            self._mapped = (file, self.images)

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


def _of_split(annotations: Annotations, split: str | None, on_error: OnError) -> list[Record]:
    if split is None:
        return list(annotations.records)
    known = sorted({record.split for record in annotations.records if record.split is not None})
    if split not in known:
        # It may be missing because all its entries are broken.
        report_problems(annotations.root, annotations.problems, on_error)
        if annotations.problems and not annotations.records:
            raise DatasetError(annotations.root, annotations.problems)
    if not known:
        raise ValueError(f"split: {annotations.root} has no splits, got {split!r}; pass split=None")
    if split not in known:
        hint = nearest(split, known) if isinstance(split, str) else ""
        raise ValueError(
            f"split: expected one of {', '.join(map(repr, known))} as in {annotations.root}, got {split!r}{hint}"
        )
    return [record for record in annotations.records if record.split == split]


def _conditions(records: list[Record], space: ConditionSpace) -> Tensor:
    """The conditions of records, float32 (M, N); checked, for records may come from anywhere."""
    for record in records:
        if len(record.condition) != space.dim:
            raise ValueError(
                f"annotations: expected conditions of {space.dim} values as in {space}, got {len(record.condition)} "
                f"for {record.path}"
            )
    # In float64, as a large value may leave its range by being rounded.
    values = torch.tensor([record.condition for record in records], dtype=torch.float64)
    values = values.reshape(len(records), space.dim)
    try:
        space.validate(values, name="annotations")
    except ValueError:
        # All at once is fast, one by one tells which it is.
        for record, condition in zip(records, values, strict=True):
            space.validate(condition, name=f"annotations: {record.path}")
        raise
    return values.float()


def _identities(everyone: tuple[Record, ...], records: list[Record]) -> tuple[tuple[str, ...], Tensor | None]:
    nameless = [record for record in records if record.identity is None]
    if len(nameless) == len(records):
        return (), None
    if nameless:
        raise ValueError(
            "annotations: expected an identity of every image or of none, got "
            f"{len(records) - len(nameless)} of {len(records)}, none of {nameless[0].path}"
        )
    # Numbered over the whole data set, so that a person has the same number in every split.
    names = tuple(sorted({record.identity for record in everyone if record.identity is not None}))
    number = {name: i for i, name in enumerate(names)}
    return names, torch.tensor([number[record.identity] for record in records if record.identity is not None])
