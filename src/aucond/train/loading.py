"""The batches of an epoch, in an order that is a pure function of seed and epoch, shared among processes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from aucond._check import check_number, describe
from aucond.train.randomness import derived_seed, seed_global_state
from aucond.types import Batch

__all__ = ["EpochLoader", "batch_size", "to_device"]


class EpochLoader:
    """Reads one epoch after another from any iterable of batches.

    Order: before each epoch the global generators and every ``generator`` of the loader and its samplers are seeded
    from (seed, epoch), and every ``set_epoch`` of the loader, its samplers and its dataset is called. A shuffling
    DataLoader thereby gives the same batches for the same (seed, epoch), in whatever process. Datasets that draw their
    own random numbers repeat them too. A DataLoader's workers are started anew for each epoch even with
    ``persistent_workers=True``: those that live on keep the dataset and the generators of the first epoch. (A
    DataLoader hidden in another iterable must be without that option.)

    Several processes: process r of n takes the r-th of n contiguous slices of every batch, so that the slices of all
    processes, joined in order, are the batch that one process would have had. A DataLoader with a batch sampler loads
    the slice only; any other iterable gives its batch in every process, of which the slice is kept. A loader of which
    neighbouring samples belong together says how many with ``samples_kept_together``; no slice parts them.

    Args:
        loader: An iterable of batches that can be iterated again for each epoch.
        seed: Any integer from 0.
        process: This process's index.
        processes: How many there are.

    Raises:
        TypeError: If ``loader`` is no iterable.
        ValueError: If the loader is already split among processes.
    """

    def __init__(self, loader: Iterable[Any], seed: int, *, process: int = 0, processes: int = 1) -> None:
        if not isinstance(loader, Iterable):
            raise TypeError(f"loader: expected an iterable of batches, got {describe(loader)}")
        loader = _with_new_workers(loader)
        self._parts = _parts(loader)
        if processes > 1 and any(isinstance(part, DistributedSampler) for part in self._parts):
            raise ValueError(
                "loader: expected a loader of whole batches, got one with a DistributedSampler; "
                "the Trainer shares every batch among the processes itself"
            )
        self._seed = seed
        self._length = _length(loader)
        self._source: Iterable[Any] = loader
        if processes > 1:
            self._source = _sliced(loader, process, processes)

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of epoch number ``epoch`` (from 0) without the first ``skip``.

        Skipped batches are read and dropped: only so does a dataset that draws random numbers go on as it would have.

        Raises:
            TypeError: If a batch is no mapping that holds tensors.
            ValueError: If the epoch has no batch, or fewer than ``skip``.
        """
        if skip and self._length == skip:
            return
        self._prepare(epoch)
        count = 0
        for batch in self._source:
            count += 1
            if count > skip:
                yield _checked(batch)
        if count == 0:
            raise ValueError(
                f"loader: expected batches in epoch {epoch}, got none; "
                "is the dataset empty, or the loader an iterator that is used up after one pass?"
            )
        if count < skip:
            raise ValueError(
                f"loader: {skip} batches of epoch {epoch} were used before the checkpoint, now it has only {count}; "
                "resume with the data and batch size of the interrupted run"
            )

    def _prepare(self, epoch: int) -> None:
        seed = derived_seed(self._seed, "epoch", epoch)
        seed_global_state(seed)
        for part in self._parts:
            generator = getattr(part, "generator", None)
            if isinstance(generator, torch.Generator):
                generator.manual_seed(seed)
            if callable(getattr(part, "set_epoch", None)):
                part.set_epoch(epoch)


def batch_size(batch: Mapping[str, Any]) -> int:
    """How many samples a batch has: the first size of its image, or of its first tensor."""
    tensors = [batch["image"]] if "image" in batch else [v for v in batch.values() if isinstance(v, Tensor)]
    return int(tensors[0].shape[0])


def to_device(batch: Batch, device: torch.device, *, channels_last: bool) -> Batch:
    """The batch with its tensors on ``device``, images in channels_last memory if asked; other entries as they are."""

    def moved(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if channels_last and value.dim() == 4:
            return value.to(device, non_blocking=True, memory_format=torch.channels_last)
        return value.to(device, non_blocking=True)

    return cast(Batch, {name: moved(value) for name, value in batch.items()})


def _length(loader: Iterable[Any]) -> int | None:
    """How many batches an epoch has, if that is sure before reading them."""
    # The length of a streamed dataset is its own estimate.
    streamed = isinstance(getattr(loader, "dataset", None), IterableDataset)
    if streamed or not isinstance(loader, Sized):
        return None
    try:
        return len(loader)
    except TypeError:  # a sampler without a length
        return None


def _with_new_workers(loader: Iterable[Any]) -> Iterable[Any]:
    """The loader itself, or its like that starts its workers anew, and with the epoch's dataset, for each epoch."""
    if not isinstance(loader, DataLoader) or not loader.persistent_workers:
        return loader
    like = copy.copy(loader)
    vars(like)["persistent_workers"] = False  # which DataLoader does not allow to be set
    return like


def _parts(loader: Iterable[Any]) -> list[Any]:
    batches = getattr(loader, "batch_sampler", None)
    found = [
        loader,
        getattr(loader, "dataset", None),
        getattr(loader, "sampler", None),
        batches,
        getattr(batches, "sampler", None),
    ]
    unique = {id(part): part for part in found if part is not None}
    return list(unique.values())


def _checked(batch: Any) -> Batch:
    if not isinstance(batch, Mapping):
        raise TypeError(
            f"loader: expected batches that are dicts of tensors (see Batch), got {describe(batch)}"
        )
    tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
    if not tensors or any(value.dim() == 0 for value in tensors.values()):
        shapes = {name: tuple(value.shape) for name, value in tensors.items()}
        raise TypeError(f"loader: expected batches of tensors (B, ...), got a dict with the shapes {shapes}")
    return cast(Batch, batch)


class _Share:
    """Which samples of a batch are one process's."""

    def __init__(self, process: int, processes: int, together: int) -> None:
        check_number("loader.samples_kept_together", together, low=1, integer=True)
        self._process, self._processes, self._together = process, processes, together

    def of(self, size: int) -> slice:
        groups = -(-size // self._together)
        if groups < self._processes:
            least = f"{self._together} samples" if self._together > 1 else "one sample"
            raise ValueError(
                f"loader: a batch of {size} cannot be shared among {self._processes} processes; "
                f"use a batch size of at least {least} per process, and drop_last=True if the last batch is short"
            )
        start, stop = (groups * r // self._processes for r in (self._process, self._process + 1))
        return slice(start * self._together, stop * self._together)


def _sliced(loader: Iterable[Any], process: int, processes: int) -> Iterable[Any]:
    share = _Share(process, processes, getattr(loader, "samples_kept_together", 1))
    if not isinstance(loader, DataLoader) or not isinstance(loader.batch_sampler, Iterable):
        return _SlicedBatches(loader, share)
    return DataLoader(
        loader.dataset,
        batch_sampler=_SlicedIndices(loader.batch_sampler, share),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor,
    )


class _SlicedIndices:
    """A batch sampler that keeps one process's slice of every batch's indices."""

    def __init__(self, batches: Iterable[Sequence[int]], share: _Share) -> None:
        self._batches, self._share = batches, share

    def __iter__(self) -> Iterator[list[int]]:
        for indices in self._batches:
            yield list(indices[self._share.of(len(indices))])


class _SlicedBatches:
    """Batches of which one process's slice is kept."""

    def __init__(self, batches: Iterable[Any], share: _Share) -> None:
        self._batches, self._share = batches, share

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            own = self._share.of(batch_size(_checked(batch)))
            yield cast(
                Batch, {k: v[own] if isinstance(v, Tensor | list | tuple) else v for k, v in batch.items()}
            )
