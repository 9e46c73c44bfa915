"""Batches in two phases: exact pairs alone, then pairs and unpaired images mixed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from aucond._check import check_number, describe
from aucond.types import Batch

__all__ = ["EpochBatches", "PairedPhases"]

_KINDS = 3
"""Purpose of the draws, beside those of order, flips and partners."""


class EpochBatches(Protocol):
    """Batches whose order follows from the epoch: what :func:`make_loader` and :class:`TensorLoader` give."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0."""
        ...

    def __len__(self) -> int:
        """Batches of an epoch."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the epoch."""
        ...


class PairedPhases:
    """Exact pairs for the first steps, then batches of either kind (SliderGAN Sec. 3.2).

    The paper trains 20 epochs on pairs and 40 on unpaired images. The kind of step s is a pure function of (seed, s):
    it is not alternated, because a generator trained every k-th step would then see one kind alone. An epoch has as
    many batches as the shorter of the two loaders, and draws both afresh; so the Trainer resumes in the middle of it
    as with any loader whose order follows from the epoch.

    Args:
        pairs: Batches with ``target_image`` and ``target_condition``, such as ``make_loader(ExactPairs(...), 16)``.
        unpaired: Batches without, such as a :class:`TensorLoader`.
        paired_steps: How many steps (batches, from the start of training) are pairs only: a third of all.
        paired_share: Share of pairs after that, in [0, 1]; 0 is the paper's.
        seed: Of the mixture.

    Raises:
        TypeError: A loader without ``set_epoch`` or without a length: it could not be resumed exactly.
        ValueError: A number out of range, or a loader without batches.

    >>> class Loader(list):
    ...     def set_epoch(self, epoch: int) -> None: ...
    >>> phases = PairedPhases(Loader(["pair"] * 4), Loader(["photo"] * 4), paired_steps=2, paired_share=0.0)
    >>> list(phases)
    ['pair', 'pair', 'photo', 'photo']
    """

    def __init__(
        self,
        pairs: EpochBatches,
        unpaired: EpochBatches,
        *,
        paired_steps: int,
        paired_share: float = 0.5,
        seed: int = 0,
    ) -> None:
        for name, loader in (("pairs", pairs), ("unpaired", unpaired)):
            if not (callable(getattr(loader, "set_epoch", None)) and hasattr(loader, "__len__")):
                raise TypeError(
                    f"{name}: expected a loader with set_epoch and a length, as make_loader and TensorLoader give, "
                    f"got {describe(loader)}"
                )
            if len(loader) == 0:
                raise ValueError(f"{name}: expected at least one batch an epoch, got none")
        check_number("paired_steps", paired_steps, low=0, integer=True)
        check_number("paired_share", paired_share, low=0.0, high=1.0)
        check_number("seed", seed, low=0, integer=True)
        self.pairs, self.unpaired = pairs, unpaired
        self.paired_steps, self.paired_share, self.seed = paired_steps, float(paired_share), seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, that the next iteration gives."""
        check_number("epoch", epoch, low=0, integer=True)
        self.epoch = epoch

    def __len__(self) -> int:
        return min(len(self.pairs), len(self.unpaired))

    def kinds(self, epoch: int) -> list[bool]:
        """For each batch of an epoch whether it is of exact pairs."""
        seed = int(np.random.SeedSequence([self.seed, epoch, _KINDS]).generate_state(1, np.uint64)[0])
        mixed = torch.rand(len(self), generator=torch.Generator().manual_seed(seed)) < self.paired_share
        steps = torch.arange(len(self)) + epoch * len(self)
        kinds: list[bool] = (mixed | (steps < self.paired_steps)).tolist()
        return kinds

    def __iter__(self) -> Iterator[Batch]:
        opened: dict[bool, Iterator[Batch]] = {}
        for paired in self.kinds(self.epoch):
            if paired not in opened:
                loader = self.pairs if paired else self.unpaired
                loader.set_epoch(self.epoch)
                opened[paired] = iter(loader)
            yield next(opened[paired])
