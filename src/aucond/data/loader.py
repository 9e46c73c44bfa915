"""A DataLoader whose order is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset

from aucond._check import check_number, describe
from aucond.data.order import EpochSampler, worker_seed
from aucond.types import Batch

__all__ = ["EpochDataLoader", "check_batches", "make_loader"]


class EpochDataLoader(DataLoader[Any]):
    """A torch DataLoader with ``set_epoch``; :func:`make_loader` makes one."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, that the next iteration gives."""
        if isinstance(self.sampler, EpochSampler):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Any:
        # Told again at every start: another loader may have set the same data set to another epoch.
        if isinstance(self.sampler, EpochSampler):
            self.sampler.set_epoch(self.sampler.epoch)
            if self.generator is not None:
                # Every start draws from it the seed of the workers, and so would otherwise change the next one's.
                self.generator.manual_seed(worker_seed(self.sampler.seed, self.sampler.epoch))
        return super().__iter__()


def make_loader(
    dataset: Dataset[Batch],
    batch_size: int,
    *,
    seed: int = 0,
    shuffle: bool = True,
    drop_last: bool = True,
    num_workers: int = 0,
) -> EpochDataLoader:
    """Make a DataLoader whose batches depend on (seed, epoch) and on nothing else.

    Call ``loader.set_epoch(epoch)`` before each epoch; without it every epoch is epoch 0. For data sets that hold
    their images as one uint8 tensor, :class:`TensorLoader` gives the same batches faster.

    Convention:
        The order is a pure function of (seed, epoch). ``set_epoch`` reaches the data set, also within torch's Subset or
        ConcatDataset. Random numbers that a data set draws from torch's global generator follow from (seed, epoch) and
        the number of workers; without workers they are drawn in this process, from its own generator as it is.

    Args:
        dataset: Any data set of dicts of tensors with a length.
        batch_size: Samples per batch B.
        seed: Of the order, and of what worker processes draw.
        shuffle: False keeps the order of the data set.
        drop_last: Leave out the last, smaller batch.
        num_workers: Processes that read items; 0 reads in this one.

    Raises:
        ValueError: An argument out of range, or fewer samples than one batch with ``drop_last``.

    >>> loader = make_loader([{"image": torch.zeros(3, 8, 8)}] * 5, 2)
    >>> len(loader)
    2
    """
    sampler = EpochSampler(cast(Sized, dataset), seed=seed, shuffle=shuffle)
    check_batches(len(sampler), batch_size, drop_last)
    check_number("num_workers", num_workers, low=0, integer=True)
    return EpochDataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=num_workers,
        # Its own generator: the loader otherwise takes its workers' seed from the global one and so moves it on.
        generator=torch.Generator(),
    )


def check_batches(count: int, batch_size: int, drop_last: bool) -> None:
    """Raise unless an epoch of ``count`` samples has at least one batch."""
    check_number("batch_size", batch_size, low=1, integer=True)
    if not isinstance(drop_last, bool):
        raise TypeError(f"drop_last: expected True or False, got {describe(drop_last)}")
    if count == 0 or (drop_last and count < batch_size):
        hint = "; use a smaller batch or drop_last=False" if count else ""
        raise ValueError(f"batch_size: {count} samples give no batch of {batch_size}{hint}")
