from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, StackDataset, Subset

from aucond.conditions import ConditionSpace
from aucond.data import AnnotatedImages, ConditionFolder, EpochSampler, TensorLoader, make_loader
from aucond.data.order import epoch_flips, epoch_order

SPACE = ConditionSpace(["jaw", "smileLeft", "smileRight"], mirror={"smileLeft": "smileRight"})


@pytest.fixture(params=[False, True], ids=["plain", "flipped"])
def dataset(request: pytest.FixtureRequest, write_folder: Any) -> AnnotatedImages:
    names = "abcdefghijk"
    rows = "".join(f"{name}.png,{i % 3},{i / 11},0.25,0.75\n" for i, name in enumerate(names))
    root = write_folder("file_name,identity,jaw,smileLeft,smileRight\n" + rows, names)
    return ConditionFolder(root, SPACE, flip=request.param, seed=9)


def batches(loader: Any, epoch: int) -> list[Any]:
    loader.set_epoch(epoch)
    return list(loader)


def same(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(
        set(a) == set(b) and all(torch.equal(a[key], b[key]) for key in a)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("kind", [make_loader, TensorLoader])
def test_batches_follow_from_seed_and_epoch_alone(dataset: AnnotatedImages, kind: Any) -> None:
    loader = kind(dataset, 4, seed=5)
    first = batches(loader, 2)
    state = torch.random.get_rng_state()
    other = batches(loader, 3)
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator must not move"
    assert not same(first, other)
    assert same(batches(loader, 2), first)
    assert same(batches(kind(dataset, 4, seed=5), 2), first)
    assert not same(batches(kind(dataset, 4, seed=6), 2), first)
    assert same(list(kind(dataset, 4, seed=5)), batches(loader, 0))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
def test_both_loaders_give_the_same_batches(dataset: AnnotatedImages, shuffle: bool, drop_last: bool) -> None:
    slow = make_loader(dataset, 4, seed=1, shuffle=shuffle, drop_last=drop_last)
    fast = TensorLoader(dataset, 4, seed=1, shuffle=shuffle, drop_last=drop_last)
    assert len(slow) == len(fast) == (2 if drop_last else 3)
    for epoch in (0, 1, 7):
        assert same(batches(slow, epoch), batches(fast, epoch))


def test_worker_processes_give_the_same_batches(dataset: AnnotatedImages) -> None:
    here, there = make_loader(dataset, 4), make_loader(dataset, 4, num_workers=1)
    for epoch in (0, 3):
        assert same(batches(here, epoch), batches(there, epoch))


def test_worker_processes_open_the_cache_themselves(write_folder: Any, tmp_path: Path) -> None:
    root = write_folder("file_name,jaw,smileLeft,smileRight\na.png,0,0.1,1\nb.png,1,0.2,0\n", "ab")
    cached = ConditionFolder(root, SPACE, cache=tmp_path / "cache")
    there = make_loader(cached, 2, num_workers=1)
    # Fork hands the map on by itself; this way the data set is pickled.
    there.multiprocessing_context = "spawn"
    assert same(batches(there, 1), batches(make_loader(ConditionFolder(root, SPACE), 2), 1))


@pytest.mark.parametrize("kind", [make_loader, TensorLoader])
def test_every_sample_comes_once_an_epoch(dataset: AnnotatedImages, kind: Any) -> None:
    loader = kind(dataset, 4, drop_last=False)
    jaws = torch.cat([batch["condition"][:, 0] for batch in batches(loader, 1)])
    assert torch.equal(jaws.sort().values, dataset.conditions[:, 0])
    unshuffled = kind(dataset, 4, shuffle=False, drop_last=False)
    assert torch.equal(
        torch.cat([b["condition"][:, 0] for b in batches(unshuffled, 5)]), dataset.conditions[:, 0]
    )


def test_batches_of_the_fast_loader(dataset: AnnotatedImages) -> None:
    batch = next(iter(TensorLoader(dataset, 4)))
    assert batch["image"].shape == (4, 3, 12, 10) and batch["image"].dtype == torch.float32
    assert batch["image"].is_contiguous()
    assert batch["condition"].shape == (4, 3) and batch["identity"].dtype == torch.int64
    before = dataset.images.clone()
    batch["image"].zero_()
    batch["condition"].zero_()
    assert torch.equal(dataset.images, before) and float(dataset.conditions.max()) > 0


def plain(**changes: Any) -> Any:
    tensors = {"images": torch.randint(256, (5, 3, 4, 4), dtype=torch.uint8), "conditions": torch.rand(5, 3)}
    return SimpleNamespace(**{**tensors, **changes})


def test_fast_loader_takes_any_three_tensors() -> None:
    data = plain(identities=torch.arange(5))
    (batch,) = TensorLoader(data, 5, shuffle=False, resident=False, device="cpu")
    assert torch.equal(batch["image"], data.images.float() / 127.5 - 1)
    assert torch.equal(batch["identity"], torch.arange(5))
    assert "identity" not in next(iter(TensorLoader(plain(), 2)))


def test_fast_loader_flips_with_the_space() -> None:
    data = plain()
    loader = TensorLoader(data, 5, shuffle=False, flip=True, space=SPACE, seed=4)
    (batch,) = batches(loader, 6)
    flips = epoch_flips(4, 6, 5)
    assert 0 < int(flips.sum()) < 5
    for i, flipped in enumerate(flips.tolist()):
        image, condition = data.images[i].float() / 127.5 - 1, data.conditions[i]
        assert torch.equal(batch["image"][i], image.flip(-1) if flipped else image)
        assert torch.equal(batch["condition"][i], SPACE.flip(condition) if flipped else condition)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("resident", [None, True, False])
def test_fast_loader_on_a_gpu_gives_the_same_numbers(resident: bool | None) -> None:
    data = plain()
    arguments: dict[str, Any] = {"flip": True, "space": SPACE, "seed": 4}
    there = TensorLoader(data, 2, device="cuda", resident=resident, **arguments)
    for a, b in zip(there, TensorLoader(data, 2, **arguments), strict=True):
        assert a["image"].is_cuda and torch.equal(a["image"].cpu(), b["image"])
        assert torch.equal(a["condition"].cpu(), b["condition"])


def test_orders_of_neighbouring_seeds_and_epochs_are_unrelated() -> None:
    orders = {tuple(epoch_order(seed, epoch, 20).tolist()) for seed in range(6) for epoch in range(6)}
    assert len(orders) == 36
    assert sorted(next(iter(orders))) == list(range(20))
    share = torch.stack([epoch_flips(0, epoch, 1000) for epoch in range(10)]).float().mean()
    assert abs(float(share) - 0.5) < 0.02


def test_sampler_tells_the_data_set(dataset: AnnotatedImages) -> None:
    class Recorder(list[int]):
        epoch = -1

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

    recorder = Recorder(range(5))
    make_loader(recorder, 2).set_epoch(3)  # type: ignore[arg-type]
    assert recorder.epoch == 3


@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: Subset(data, range(11)),
        lambda data: Subset(ConcatDataset([range(11), Subset(data, range(11))]), range(11, 22)),
    ],
    ids=["subset", "nested"],
)
def test_wrapped_data_sets_flip_anew_in_every_epoch(dataset: AnnotatedImages, wrap: Any) -> None:
    bare, wrapped = make_loader(dataset, 4, seed=1), make_loader(wrap(dataset), 4, seed=1)
    for epoch in (0, 1, 7):
        assert same(batches(wrapped, epoch), batches(bare, epoch))


def test_sampler_tells_every_data_set_of_a_mapping_and_none_below_one_that_listens() -> None:
    class Recorder(list[int]):
        epoch = -1
        dataset: Any = None

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

    outer, inner, other = Recorder(range(5)), Recorder(range(5)), Recorder(range(5))
    outer.dataset = inner
    EpochSampler(StackDataset(one=outer, other=other)).set_epoch(3)  # type: ignore[arg-type]
    assert (outer.epoch, inner.epoch, other.epoch) == (3, -1, 3)


class Drawing(Dataset[dict[str, torch.Tensor]]):
    """Items that are random numbers."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"drawn": torch.rand(2)}


def test_what_worker_processes_draw_follows_from_seed_and_epoch() -> None:
    loader = make_loader(Drawing(), 3, seed=2, num_workers=1)
    third = batches(loader, 3)
    assert same(batches(loader, 3), third)
    assert not same(batches(loader, 4), third)
    assert not same(batches(make_loader(Drawing(), 3, seed=3, num_workers=1), 3), third)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: make_loader([1, 2, 3], 4),
            ValueError,
            "batch_size: 3 samples give no batch of 4; use a smaller batch",
        ),
        (lambda: make_loader([], 4, drop_last=False), ValueError, "batch_size: 0 samples give no batch of 4"),
        (lambda: make_loader([1], 0), ValueError, "batch_size: expected an integer at least 1, got 0"),
        (lambda: make_loader([1], 1.5), TypeError, "batch_size: expected an integer"),
        (lambda: make_loader([1], 1, seed=-1), ValueError, "seed: expected an integer at least 0"),
        (
            lambda: make_loader([1], 1, num_workers=-1),
            ValueError,
            "num_workers: expected an integer at least 0",
        ),
        (lambda: make_loader([1], 1, drop_last=1), TypeError, "drop_last: expected True or False, got 1"),
        (lambda: make_loader(iter([1]), 1), TypeError, "dataset: expected a data set with a length"),
        (
            lambda: make_loader([1], 1).set_epoch(-1),
            ValueError,
            "epoch: expected an integer at least 0, got -1",
        ),
        (lambda: EpochSampler([1]).set_epoch(1.0), TypeError, "epoch: expected an integer"),
        (
            lambda: TensorLoader([1, 2], 1),
            TypeError,
            "dataset: expected the tensors .images .* without .images",
        ),
        (lambda: TensorLoader(plain(conditions=None), 1), TypeError, "without .conditions"),
        (
            lambda: TensorLoader(plain(images=torch.zeros(5, 3, 4, 4)), 1),
            TypeError,
            "dataset.images: expected a uint8",
        ),
        (
            lambda: TensorLoader(plain(conditions=torch.zeros(4, 3)), 1),
            ValueError,
            r"dataset.conditions: .* \(5, N\)",
        ),
        (
            lambda: TensorLoader(plain(identities=torch.zeros(5)), 1),
            TypeError,
            "dataset.identities: expected a int64",
        ),
        (lambda: TensorLoader(plain(), 6), ValueError, "batch_size: 5 samples give no batch of 6"),
        (lambda: TensorLoader(plain(), 1, flip=True), ValueError, "space: flips need the condition space"),
        (
            lambda: TensorLoader(plain(), 1, space=ConditionSpace(["a"])),
            ValueError,
            r"conditions: .* \(M, 1\)",
        ),
        (
            lambda: TensorLoader(plain(), 1).set_epoch(-2),
            ValueError,
            "epoch: expected an integer at least 0, got -2",
        ),
    ],
)
def test_wrong_arguments_are_named(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
