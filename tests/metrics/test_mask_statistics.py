"""Mask figures by hand and their properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aucond.metrics import mask_statistics


def test_by_hand() -> None:
    attention = torch.tensor(
        [[[[0.0, 0.25], [0.995, 0.75]]], [[[0.5, 0.5], [0.5, 0.5]]]], dtype=torch.float64
    )
    figures = mask_statistics(attention)
    assert figures.mean.tolist() == pytest.approx([1.995 / 4, 0.5])
    assert figures.closed.tolist() == [0.25, 0]
    assert figures.open.tolist() == [0.25, 0]
    assert figures.saturated.tolist() == [0.5, 0]
    quarter = -0.25 * math.log2(0.25) - 0.75 * math.log2(0.75)
    last = -0.995 * math.log2(0.995) - 0.005 * math.log2(0.005)
    assert figures.entropy.tolist() == pytest.approx([(2 * quarter + last) / 4, 1])
    square = (0.25**2 + 0.995**2 + 0.75**2) / 4 - (1.995 / 4) ** 2
    assert figures.spread.tolist() == pytest.approx([math.sqrt(square), 0])


def test_the_limits_themselves_are_not_saturated() -> None:
    at = mask_statistics(torch.tensor([[[[0.01, 0.99]]]], dtype=torch.float64))
    assert at.saturated.item() == 0


def test_a_collapsed_mask_is_finite() -> None:
    figures = mask_statistics(torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)]))
    assert torch.stack(list(figures)).isfinite().all()
    assert figures.closed.tolist() == [1, 0]
    assert figures.open.tolist() == [0, 1]
    assert figures.entropy.tolist() == figures.spread.tolist() == [0, 0]


@given(st.integers(0, 2**31), st.floats(0.1, 20))
@settings(max_examples=40, deadline=None)
def test_bounds_complement_and_reduction(seed: int, sharpness: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.sigmoid(sharpness * torch.randn(3, 1, 5, 7, generator=rng, dtype=torch.float64))
    figures, keep = mask_statistics(mask), mask_statistics(1 - mask)
    assert all(((value >= 0) & (value <= 1)).all() for value in figures)
    assert (figures.spread <= 0.5).all()
    torch.testing.assert_close(keep.mean, 1 - figures.mean)
    torch.testing.assert_close(keep.entropy, figures.entropy)
    torch.testing.assert_close(keep.spread, figures.spread)
    assert torch.equal(keep.saturated, figures.saturated)
    for one, mean, total in zip(
        figures, mask_statistics(mask, reduction="mean"), mask_statistics(mask, reduction="sum"), strict=True
    ):
        torch.testing.assert_close(mean, one.mean())
        torch.testing.assert_close(total, one.sum())
