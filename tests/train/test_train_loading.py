from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, RandomSampler, TensorDataset
from toy_training import NoisyFaces, noisy_loader

from aucond.train.loading import EpochLoader, batch_size, to_device
from aucond.train.randomness import preserved_global_state
from aucond.types import Batch


@pytest.fixture(autouse=True)
def _no_trace() -> Iterator[None]:
    with preserved_global_state():
        yield


def images(loader: EpochLoader, epoch: int, skip: int = 0) -> list[Tensor]:
    return [batch["image"] for batch in loader.epoch(epoch, skip)]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_workers": 1},
        {"num_workers": 1, "persistent_workers": True},
        {"generator": torch.Generator().manual_seed(1)},
    ],
    ids=["plain", "worker", "persistent worker", "own generator"],
)
def test_order_and_noise_are_a_function_of_seed_and_epoch(options: dict[str, Any]) -> None:
    loader = EpochLoader(noisy_loader(**options), seed=4)
    first, second = images(loader, 0), images(loader, 1)
    torch.rand(7)
    assert same(images(EpochLoader(noisy_loader(**options), seed=4), 1), second)
    assert same(images(loader, 0), first)
    assert not same(first, second)
    assert not same(images(EpochLoader(noisy_loader(**options), seed=5), 0), first)


@pytest.mark.parametrize("skip", [0, 1, 3, 4])
def test_skipping_gives_the_rest_of_the_epoch(skip: int) -> None:
    loader = EpochLoader(noisy_loader(), seed=4)
    assert same(images(loader, 2, skip), images(loader, 2)[skip:])


@pytest.mark.parametrize("processes", [1, 2])
def test_an_epoch_that_is_used_up_is_not_read_again(processes: int) -> None:
    reads: list[int] = []

    class Counted(NoisyFaces):
        def __getitem__(self, index: int) -> dict[str, Tensor]:
            reads.append(index)
            return super().__getitem__(index)

    loader = EpochLoader(DataLoader(Counted(), 4, shuffle=True), 0, processes=processes)
    assert images(loader, 0, skip=4) == [] and reads == []
    assert len(images(loader, 0, skip=3)) == 1 and len(reads) == 14 // processes


def test_a_streamed_dataset_is_read_though_it_misjudges_its_length() -> None:
    class Stream(IterableDataset[dict[str, Tensor]]):
        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Iterator[dict[str, Tensor]]:
            yield from ({"image": torch.full((3, 2, 2), float(i))} for i in range(4))

    loader = EpochLoader(DataLoader(Stream(), batch_size=None), seed=0)
    assert len(images(loader, 0, skip=2)) == 2


def test_a_sampler_with_its_own_generator_is_seeded() -> None:
    data = NoisyFaces()
    first, second = (
        EpochLoader(
            DataLoader(data, 4, sampler=RandomSampler(data, generator=torch.Generator().manual_seed(seed))),
            seed=0,
        )
        for seed in (1, 2)
    )
    assert same(images(first, 0), images(second, 0))


def test_set_epoch_is_called_wherever_it_is() -> None:
    class Spy:
        def __init__(self) -> None:
            self.dataset, self.epochs = self.Part(), [0]

        class Part:
            epoch = -1

            def set_epoch(self, epoch: int) -> None:
                self.epoch = epoch

        def set_epoch(self, epoch: int) -> None:
            self.epochs.append(epoch)

        def __iter__(self) -> Iterator[dict[str, Tensor]]:
            yield {"image": torch.zeros(1, 3, 2, 2)}

    spy = Spy()
    list(EpochLoader(spy, seed=0).epoch(6))
    assert spy.epochs == [0, 6] and spy.dataset.epoch == 6


class EpochFaces(NoisyFaces):
    """Images that are the number of their epoch."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": torch.full((1, 1, 1), float(self.epoch))}


class OwnLoader(DataLoader[dict[str, Tensor]]):
    """A loader with an epoch and an order of batches of its own, as projects write them."""

    told = 0

    def set_epoch(self, epoch: int) -> None:
        self.told = epoch

    def __iter__(self) -> Any:
        return ({**batch, "told": torch.full((1,), self.told)} for batch in super().__iter__())


@pytest.mark.parametrize("processes", [1, 2])
def test_persistent_workers_know_the_epoch(processes: int) -> None:
    loader = DataLoader(EpochFaces(), 7, num_workers=1, persistent_workers=True)
    epochs = EpochLoader(loader, seed=0, processes=processes)
    for epoch in (0, 1, 5):
        assert [int(image.max()) for image in images(epochs, epoch)] == [epoch, epoch]
    assert loader.persistent_workers and int(next(iter(loader))["image"].max()) == 5


def test_persistent_workers_of_a_loader_of_ones_own_know_the_epoch() -> None:
    epochs = EpochLoader(OwnLoader(EpochFaces(), 14, num_workers=1, persistent_workers=True), seed=0)
    for epoch in (0, 3):
        [batch] = epochs.epoch(epoch)
        assert (int(batch["image"].max()), int(batch["told"])) == (epoch, epoch)  # type: ignore[typeddict-item]


class Pairs(list[Batch]):
    """Batches whose neighbours belong together."""

    samples_kept_together = 2


@pytest.mark.parametrize(("size", "processes"), [(6, 2), (16, 3), (10, 5), (4, 2), (5, 2)])
def test_samples_that_belong_together_come_to_one_process(size: int, processes: int) -> None:
    loader = Pairs([{"image": torch.arange(float(size))[:, None]}])
    parts = [images(EpochLoader(loader, 0, process=r, processes=processes), 0)[0] for r in range(processes)]
    assert torch.cat(parts).flatten().tolist() == list(range(size))
    assert all(part[0] % 2 == 0 for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 2


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("kind", ["loader", "list"])
def test_slices_of_all_processes_are_the_whole_batch(processes: int, kind: str) -> None:
    data = TensorDataset(torch.arange(14.0))

    def collate(items: Any) -> dict[str, Any]:
        return {"image": torch.stack([i[0] for i in items]), "name": [str(int(i[0])) for i in items]}

    def source() -> Any:
        loader = DataLoader(data, 5, shuffle=True, collate_fn=collate)
        return loader if kind == "loader" else list(EpochLoader(loader, seed=9).epoch(0))

    whole = list(EpochLoader(source(), seed=9).epoch(0))
    parts = [
        list(EpochLoader(source(), 9, process=r, processes=processes).epoch(0)) for r in range(processes)
    ]
    assert len(whole) == 3
    for batch, *slices in zip(whole, *parts, strict=True):
        assert torch.equal(batch["image"], torch.cat([s["image"] for s in slices]))
        assert batch["name"] == [n for s in slices for n in s["name"]]  # type: ignore[typeddict-item]
        assert max(map(batch_size, slices)) - min(map(batch_size, slices)) <= 1


def test_to_device_keeps_what_is_no_tensor() -> None:
    batch: Any = {"image": torch.rand(2, 3, 4, 4), "condition": torch.rand(2, 5), "name": ["a", "b"]}
    moved: Any = to_device(batch, torch.device("cpu"), channels_last=True)
    assert moved["image"].is_contiguous(memory_format=torch.channels_last) and moved["name"] == ["a", "b"]
    assert torch.equal(moved["image"], batch["image"]) and torch.equal(moved["condition"], batch["condition"])
    assert to_device(batch, torch.device("cpu"), channels_last=False)["image"].is_contiguous()


def used_up() -> Iterator[dict[str, Tensor]]:
    yield {"image": torch.zeros(2, 3, 2, 2)}


@pytest.mark.parametrize(
    ("loader", "options", "epochs", "error", "message"),
    [
        (5, {}, [(0, 0)], TypeError, "loader: expected an iterable of batches, got 5"),
        ([], {}, [(0, 0)], ValueError, "expected batches in epoch 0, got none"),
        (used_up(), {}, [(0, 0), (1, 0)], ValueError, "expected batches in epoch 1, got none.*used up"),
        ([[1, 2]], {}, [(0, 0)], TypeError, "expected batches that are dicts of tensors.*got a list"),
        ([{"a": "b"}], {}, [(0, 0)], TypeError, "expected batches of tensors"),
        ([{"image": torch.zeros(())}], {}, [(0, 0)], TypeError, "expected batches of tensors"),
        (
            [{"image": torch.zeros(2, 1)}],
            {},
            [(0, 3)],
            ValueError,
            "3 batches of epoch 0 were used.*has only 1",
        ),
        (
            [{"image": torch.zeros(1, 1)}],
            {"processes": 2},
            [(0, 0)],
            ValueError,
            "a batch of 1 cannot be shared among 2 processes.*drop_last=True",
        ),
        (
            Pairs([{"image": torch.zeros(4, 1)}]),
            {"processes": 3},
            [(0, 0)],
            ValueError,
            "a batch of 4 cannot be shared among 3 processes.*at least 2 samples per process",
        ),
        (
            DataLoader(NoisyFaces(), sampler=DistributedSampler(NoisyFaces(), 2, 0)),
            {"processes": 2},
            [(0, 0)],
            ValueError,
            "got one with a DistributedSampler",
        ),
    ],
)
def test_bad_loaders(
    loader: Any, options: dict[str, int], epochs: list[tuple[int, int]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        epoch_loader = EpochLoader(loader, 0, **options)
        for epoch, skip in epochs:
            list(epoch_loader.epoch(epoch, skip))
