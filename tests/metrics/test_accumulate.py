"""Running means, and every accumulator over two processes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aucond.metrics import ConditionAgreement, FrechetDistance, KernelDistance, MeanAccumulator
from aucond.metrics._processes import gather_rows, sum_over_processes


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_mean_over_batches_is_the_mean_over_all(lengths: list[int], seed: int) -> None:
    values = torch.rand(sum(lengths) + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scores = MeanAccumulator()
    for batch in values.split([*lengths, 1]):
        scores.update(batch)
    assert scores.count == len(values)
    assert scores.compute() == pytest.approx(values.mean().item(), rel=1e-13)


def test_sums_are_kept_in_float64() -> None:
    scores = MeanAccumulator()
    for _ in range(100):
        scores.update(torch.full((1000,), 1e8) + torch.tensor([0.0, 8.0] * 500))
    assert scores.compute() == 1e8 + 4


def test_takes_integers_booleans_scalars_and_lets_go_of_the_graph() -> None:
    scores = MeanAccumulator()
    scores.update(torch.tensor(True))
    scores.update(torch.tensor([[2, 3]]))
    scores.update(torch.tensor([6.0], requires_grad=True))
    assert scores.compute() == 3
    scores.reset()
    scores.update(torch.tensor([0.5]))
    assert (scores.count, scores.compute()) == (1, 0.5)


def test_nan_is_not_dropped() -> None:
    scores = MeanAccumulator()
    scores.update(torch.tensor([1.0, float("nan")]))
    assert scores.compute() != scores.compute()


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    target = torch.rand(30, 4, generator=rng, dtype=torch.float64)
    prediction = target + 0.2 * torch.randn(30, 4, generator=rng, dtype=torch.float64)
    return prediction, target, torch.randn(30, 3, 2, 1, generator=rng, dtype=torch.float64)


def figures(part: slice) -> dict[str, Any]:
    """Everything that accumulates, over a part of the data; an empty part adds nothing at all."""
    prediction, target, images = (values[part] for values in data())
    mean, agreement = MeanAccumulator(), ConditionAgreement(4)
    frechet = FrechetDistance(nn.Flatten(), name="pixels")
    kernel = KernelDistance(nn.Flatten(), name="pixels", subsets=3, subset_size=10)
    for p, y, x in zip(prediction.split(7), target.split(7), images.split(7), strict=True):
        if len(p):
            mean.update((p - y).abs())
            agreement.update(p, y)
            for distance in (frechet, kernel):
                distance.update(x, real=True)
                distance.update(0.5 * x + 1, real=False)
    report = agreement.compute()
    return {
        "mean": mean.compute(),
        "count": report.count,
        "icc": report.icc.tolist(),
        "r2": report.r2.tolist(),
        "mean_absolute": report.mean_absolute.tolist(),
        "frechet": frechet.compute()._asdict(),
        "kernel": kernel.compute()._asdict(),
        # Asked twice: nothing may be added up a second time.
        "again": [mean.compute(), frechet.compute().value, agreement.compute().count],
    }


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        if dist.get_world_size() != 2:
            raise RuntimeError("expected two processes")
        rows = gather_rows(torch.arange(6).view(3, 2)[: 3 if rank else 1] + 10 * rank)
        own = torch.tensor([1.0 + rank])
        results = {
            "sum": [sum_over_processes(own).item(), sum_over_processes(own).item()],
            "uneven": figures(slice(0, 9) if rank == 0 else slice(9, 30)),
            "one is empty": figures(slice(0, 30) if rank == 1 else slice(0, 0)),
            "rows": rows.tolist(),
        }
        torch.save(results, Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def close(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            close(a[key], b[key])
    elif isinstance(a, float | list):
        assert a == pytest.approx(b, rel=1e-9, abs=1e-9)
    else:
        assert a == b


def test_two_processes_give_what_one_gives() -> None:
    if not dist.is_gloo_available():
        pytest.skip("torch was built without gloo")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        mp.start_processes(worker, args=(folder,), nprocs=2, start_method="spawn")
        first, second = (torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first == second
    assert first["sum"] == [3, 3]
    assert first["rows"] == [[0, 1], [10, 11], [12, 13], [14, 15]]
    alone = figures(slice(0, 30))
    assert alone["frechet"]["real_count"] == 30
    close(first["uneven"], alone)
    close(first["one is empty"], alone)
