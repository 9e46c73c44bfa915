"""PSNR and SSIM against scikit-image."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from aucond.metrics import psnr, ssim


def images(shape: tuple[int, ...], seed: int, noise: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth pictures and disturbed ones, in [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(*shape[:2], 4, 5, generator=rng, dtype=torch.float64) * 2 - 1
    x = torch.nn.functional.interpolate(coarse, shape[2:], mode="bicubic").clamp(-1, 1)
    return x, (x + noise * torch.randn(shape, generator=rng, dtype=torch.float64)).clamp(-1, 1)


@pytest.mark.parametrize("shape", [(3, 3, 32, 40), (1, 3, 11, 11), (2, 3, 64, 17)])
@pytest.mark.parametrize("noise", [0.02, 0.5])
def test_equals_scikit_image(shape: tuple[int, ...], noise: float) -> None:
    x, y = images(shape, 0, noise)
    a, b = (((image + 1) / 2).numpy() for image in (x, y))
    for i in range(shape[0]):
        assert psnr(x, y)[i].item() == pytest.approx(
            peak_signal_noise_ratio(a[i], b[i], data_range=1), rel=1e-10
        )
        expected = structural_similarity(
            a[i],
            b[i],
            channel_axis=0,
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert ssim(x, y)[i].item() == pytest.approx(expected, rel=1e-9)


def test_psnr_averages_ratios_not_errors() -> None:
    x = torch.zeros(2, 3, 12, 12)
    y = torch.stack([torch.full((3, 12, 12), 0.2), torch.full((3, 12, 12), 0.02)])
    assert psnr(x, y).tolist() == pytest.approx([20, 40], rel=1e-6)
    assert psnr(x, y, reduction="mean").item() == pytest.approx(30, rel=1e-6)


def test_equal_images() -> None:
    x, _ = images((2, 3, 16, 16), 1)
    assert psnr(x, x).tolist() == [float("inf")] * 2
    np.testing.assert_allclose(ssim(x, x), 1, rtol=1e-12)
    black = torch.full((1, 3, 16, 16), -1.0)
    assert ssim(black, black).item() == 1


@given(st.integers(0, 2**31), st.floats(0.01, 1))
@settings(max_examples=25, deadline=None)
def test_symmetric_bounded_and_one_value_per_image(seed: int, noise: float) -> None:
    x, y = images((3, 3, 16, 20), seed, noise)
    for figure in (psnr, ssim):
        value = figure(x, y)
        assert value.shape == (3,)
        torch.testing.assert_close(value, figure(y, x), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(value[1:2], figure(x[1:2], y[1:2]), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(value.sum(), figure(x, y, reduction="sum"))
    assert (ssim(x, y).abs() <= 1).all()


def test_kornia_and_torchmetrics_load_only_when_used() -> None:
    code = "import sys, aucond.metrics; print([m for m in ('kornia', 'torchmetrics', 'scipy') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
