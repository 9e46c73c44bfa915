"""Frechet and kernel distance against numpy, and known answers for Gaussians."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor, nn

from aucond.metrics import FrechetDistance, KernelDistance


def as_images(rows: Tensor) -> Tensor:
    return rows.reshape(rows.shape[0], 3, -1, 1)


def gaussians(count: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, 6, generator=rng, dtype=torch.float64) + shift


def frechet(real: Tensor, edited: Tensor, batch: int = 1000) -> float:
    distance = FrechetDistance(nn.Flatten(), name="pixels")
    for rows, kind in ((real, True), (edited, False)):
        for part in as_images(rows).split(batch):
            distance.update(part, real=kind)
    return distance.compute().value


def test_frechet_equals_numpy_and_scipy() -> None:
    mix = gaussians(6, 9).numpy()
    real, edited = gaussians(200, 0) @ torch.tensor(mix), gaussians(150, 1, 0.3, 1.4)
    means = [rows.numpy().mean(0) for rows in (real, edited)]
    covariances = [np.cov(rows.numpy(), rowvar=False) for rows in (real, edited)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet(real, edited) == pytest.approx(expected, rel=1e-8)
    assert frechet(real, edited, batch=7) == pytest.approx(expected, rel=1e-8)


def test_frechet_of_moved_and_of_scaled_sets() -> None:
    real = gaussians(500, 0)
    assert frechet(real, real) == pytest.approx(0, abs=1e-6)
    assert frechet(real, real + 0.5) == pytest.approx(6 * 0.25, rel=1e-6)
    centred = real - real.mean(0)
    # Covariances S and 4 S: tr(S + 4S - 2 * 2S) = tr S.
    assert frechet(centred, 2 * centred) == pytest.approx(torch.cov(centred.T).trace().item(), rel=1e-6)


def test_frechet_of_known_gaussians() -> None:
    # N(0, 1) against N(1, 4) in six dimensions: 6 * 1 + 6 * (1 + 4 - 4).
    assert frechet(gaussians(40000, 0), gaussians(40000, 1, 1.0, 2.0)) == pytest.approx(12, rel=0.02)


def test_kernel_equals_numpy() -> None:
    real, edited = gaussians(40, 0), gaussians(40, 1, 0.5)
    distance = KernelDistance(nn.Flatten(), name="pixels", subsets=1, subset_size=40)
    for part in as_images(real).split(9):
        distance.update(part, real=True)
    distance.update(as_images(edited), real=False)
    result = distance.compute()

    def kernel(a: Tensor, b: Tensor) -> np.ndarray:
        return (a.numpy() @ b.numpy().T / 6 + 1) ** 3

    def without_diagonal(k: np.ndarray) -> float:
        return float((k.sum() - np.trace(k)) / (40 * 39))

    expected = without_diagonal(kernel(real, real)) + without_diagonal(kernel(edited, edited))
    expected -= 2 * float(kernel(real, edited).mean())
    assert result.value == pytest.approx(expected, rel=1e-9)
    assert (result.spread, result.real_count, result.edited_count) == (0, 40, 40)


def test_kernel_draws_by_its_seed_and_leaves_the_global_generator_alone() -> None:
    def value(seed: int) -> tuple[float, float]:
        distance = KernelDistance(nn.Flatten(), name="pixels", subsets=5, subset_size=20, seed=seed)
        distance.update(as_images(gaussians(60, 0)), real=True)
        distance.update(as_images(gaussians(60, 1, 0.5)), real=False)
        return distance.compute()[:2]

    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    first = value(0)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(4)
    assert value(0) == first
    assert value(1) != first
    assert first[1] > 0


@pytest.mark.parametrize("kind", [FrechetDistance, KernelDistance])
def test_features_are_named_counted_and_left_in_their_mode(kind: type) -> None:
    features = nn.Sequential(nn.Flatten(), nn.Dropout(0.9)).train()
    options = {"subset_size": 4, "subsets": 2} if kind is KernelDistance else {}
    distance = kind(features, name="FD-Test", **options)
    distance.update(as_images(gaussians(8, 0)), real=True)
    distance.update(as_images(gaussians(5, 0)), real=False)
    result = distance.compute()
    assert (result.features, result.real_count, result.edited_count) == ("FD-Test", 8, 5)
    assert features[1].training
    distance.reset()
    distance.update(as_images(gaussians(6, 0)), real=True)
    distance.update(as_images(gaussians(6, 0)), real=False)
    assert distance.compute().real_count == 6


@pytest.mark.parametrize("kind", [FrechetDistance, KernelDistance])
def test_without_torchmetrics_it_says_what_to_install(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torchmetrics", "torchmetrics.image", "torchmetrics.image.fid"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'pip install "aucond\[metrics\]"'):
        kind(nn.Flatten(), name="pixels")
