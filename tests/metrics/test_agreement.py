"""Correlation, ICC(3,1), R2 against numpy, scipy and an analysis of variance written out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr

from aucond.conditions import OPENFACE_AUS
from aucond.metrics import ConditionAgreement, condition_agreement


def icc_3_1(ratings: np.ndarray) -> float:
    """Shrout and Fleiss (1979) for n targets and k judges, from the mean squares of the two-way table."""
    n, k = ratings.shape
    grand = ratings.mean()
    between = k * ((ratings.mean(1) - grand) ** 2).sum() / (n - 1)
    judges = n * ((ratings.mean(0) - grand) ** 2).sum()
    residual = ((ratings - grand) ** 2).sum() - between * (n - 1) - judges
    error = residual / ((n - 1) * (k - 1))
    return float((between - error) / (between + (k - 1) * error))


def test_the_analysis_of_variance_gives_the_published_example() -> None:
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert icc_3_1(np.array(table, dtype=float)) == pytest.approx(0.71, abs=0.005)


def samples(count: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    target = torch.rand(count, size, generator=rng, dtype=torch.float64)
    noise = torch.randn(count, size, generator=rng, dtype=torch.float64)
    return 0.7 * target + 0.1 + 0.2 * noise, target


@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_equals_independent_implementations(count: int, size: int, seed: int) -> None:
    p, y = samples(count, size, seed)
    report = condition_agreement(p, y)
    assert report.count == count
    for i in range(size):
        a, b = p[:, i].numpy(), y[:, i].numpy()
        if count > 2:
            assert report.correlation[i].item() == pytest.approx(pearsonr(a, b)[0], abs=1e-9)
        assert report.icc[i].item() == pytest.approx(icc_3_1(np.stack([a, b], 1)), abs=1e-9)
        r2 = 1 - ((a - b) ** 2).sum() / ((b - b.mean()) ** 2).sum()
        assert report.r2[i].item() == pytest.approx(r2, rel=1e-9, abs=1e-9)
        assert report.mean_absolute[i].item() == pytest.approx(np.abs(a - b).mean(), rel=1e-12)
        assert report.root_mean_square[i].item() == pytest.approx(np.sqrt(((a - b) ** 2).mean()), rel=1e-9)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**31), st.floats(-1e3, 1e3))
@settings(max_examples=40, deadline=None)
def test_batches_do_not_matter(lengths: list[int], seed: int, offset: float) -> None:
    p, y = samples(sum(lengths) + 1, 3, seed)
    p, y = p + offset, y + offset
    agreement = ConditionAgreement(3)
    for a, b in zip(p.split([*lengths, 1]), y.split([*lengths, 1]), strict=True):
        agreement.update(a, b)
    streamed, at_once = agreement.compute(), condition_agreement(p, y)
    for figure in ("correlation", "icc", "r2", "mean_absolute", "root_mean_square"):
        torch.testing.assert_close(getattr(streamed, figure), getattr(at_once, figure), rtol=1e-7, atol=1e-7)


def test_what_each_figure_forgives() -> None:
    _, y = samples(100, 1, 0)
    shifted, halved = condition_agreement(y + 0.3, y), condition_agreement(y / 2, y)
    assert shifted.correlation.item() == pytest.approx(1)
    assert shifted.icc.item() == pytest.approx(1)
    assert shifted.r2.item() < 0.5
    assert halved.correlation.item() == pytest.approx(1)
    assert halved.icc.item() == pytest.approx(0.8)


def test_undefined_is_nan_and_none_in_json() -> None:
    varying = torch.rand(10, 1, generator=torch.Generator().manual_seed(0))
    constant = torch.full((10, 1), 0.3)
    report = condition_agreement(torch.cat([varying, constant], 1), torch.cat([constant, varying], 1))
    assert report.correlation.isnan().tolist() == [True, True]
    assert report.icc.isnan().tolist() == [True, False]
    assert report.r2.isnan().tolist() == [True, False]
    assert report.icc[1].item() == pytest.approx(0, abs=1e-6)
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["0"]["correlation"] is None
    assert plain["1"]["mean_absolute"] == pytest.approx(report.mean_absolute[1].item())


def test_names_come_from_the_space_and_reset_forgets() -> None:
    agreement = ConditionAgreement(OPENFACE_AUS)
    agreement.update(*samples(5, 17, 0))
    agreement.reset()
    agreement.update(*samples(4, 17, 1))
    report = agreement.compute()
    assert report.count == 4
    assert list(report.to_dict()) == list(OPENFACE_AUS.names)
    torch.testing.assert_close(
        report.icc, condition_agreement(*samples(4, 17, 1), condition=OPENFACE_AUS).icc, rtol=1e-9, atol=1e-9
    )
