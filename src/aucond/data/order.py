"""The order and the flips of an epoch, pure functions of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from aucond._check import check_number, describe

__all__ = ["EpochSampler", "epoch_flips", "epoch_order", "worker_seed"]

_ORDER, _FLIPS, _WORKERS = 0, 1, 4  # 2 and 3 are the partners' and the kinds', of pairs.py and phases.py.


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """Return a permutation of ``range(count)``, int64, the same for the same (seed, epoch).

    >>> bool((epoch_order(0, 3, 10) == epoch_order(0, 3, 10)).all())
    True
    >>> bool((epoch_order(0, 3, 10) == epoch_order(0, 4, 10)).all())
    False
    """
    return torch.randperm(count, generator=_generator(seed, epoch, _ORDER))


def epoch_flips(seed: int, epoch: int, count: int) -> Tensor:
    """Return which of ``count`` images are mirrored in an epoch, bool, each with probability one half."""
    return torch.rand(count, generator=_generator(seed, epoch, _FLIPS)) < 0.5


def worker_seed(seed: int, epoch: int) -> int:
    """Return the seed of what a loader's worker processes draw in an epoch."""
    return _mixed(seed, epoch, _WORKERS)


class EpochSampler(Sampler[int]):
    """Indices of a data set in an order that depends on (seed, epoch) and on nothing else.

    ``set_epoch`` also tells the data set, where that has a ``set_epoch`` of its own (random flips). Where it has none,
    the data sets in its ``dataset`` or ``datasets`` are told, as those of torch's Subset and ConcatDataset.

    Args:
        dataset: Anything with a length.
        seed: A non-negative integer.
        shuffle: False gives the indices in their order in every epoch.

    >>> sampler = EpochSampler(range(4), seed=1)
    >>> sampler.set_epoch(2)
    >>> sorted(sampler)
    [0, 1, 2, 3]
    """

    def __init__(self, dataset: Sized, *, seed: int = 0, shuffle: bool = True) -> None:
        if not isinstance(dataset, Sized):
            raise TypeError(f"dataset: expected a data set with a length, got {describe(dataset)}")
        check_number("seed", seed, low=0, integer=True)
        self.dataset, self.seed, self.shuffle, self.epoch = dataset, seed, shuffle, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, that the next iteration gives."""
        check_number("epoch", epoch, low=0, integer=True)
        self.epoch = epoch
        _tell_epoch(self.dataset, epoch)

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        if not self.shuffle:
            return iter(range(count))
        return iter(epoch_order(self.seed, self.epoch, count).tolist())

    def __len__(self) -> int:
        return len(self.dataset)


def _tell_epoch(dataset: Any, epoch: int) -> None:
    """Call ``set_epoch`` of a data set or, where it has none, of those that it wraps."""
    set_epoch = getattr(dataset, "set_epoch", None)
    if set_epoch is not None:
        set_epoch(epoch)
        return
    wrapped = [dataset.dataset] if hasattr(dataset, "dataset") else []
    several = getattr(dataset, "datasets", ())
    if isinstance(several, Mapping):
        wrapped += several.values()
    elif isinstance(several, list | tuple):
        wrapped += several
    for one in wrapped:
        _tell_epoch(one, epoch)


def _generator(seed: int, epoch: int, purpose: int) -> torch.Generator:
    return torch.Generator().manual_seed(_mixed(seed, epoch, purpose))


def _mixed(seed: int, epoch: int, purpose: int) -> int:
    check_number("seed", seed, low=0, integer=True)
    check_number("epoch", epoch, low=0, integer=True)
    # Mixed, not added: (seed 0, epoch 1) and (seed 1, epoch 0) share nothing.
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1, np.uint64)[0])
