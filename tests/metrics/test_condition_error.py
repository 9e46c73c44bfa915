"""The error of a condition: by hand, and Table 4's ratio."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aucond.metrics import condition_error

P = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
Y = torch.tensor([[3.0, -4.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("norm", "relative", "expected"),
    [
        ("l2", False, [5, 1]),
        ("l2", True, [1, 1]),
        ("mean_absolute", False, [3.5, 0.5]),
        ("mean_absolute", True, [1, 1]),
    ],
)
def test_by_hand(norm: str, relative: bool, expected: list[float]) -> None:
    errors = condition_error(P, Y, norm=norm, relative=relative)  # type: ignore[arg-type]
    assert errors.dtype == torch.float64
    assert errors.tolist() == expected


def test_table_4_as_printed() -> None:
    rng = np.random.default_rng(0)
    fitted, read = rng.normal(size=(50, 30)), rng.normal(size=(50, 30))
    printed = sum(np.linalg.norm(fitted[i] - read[i]) / np.linalg.norm(fitted[i]) for i in range(50)) / 50
    value = condition_error(torch.tensor(read), torch.tensor(fitted), relative=True, reduction="mean")
    assert value.item() == pytest.approx(printed, rel=1e-12)


def test_floor_bounds_the_ratio_of_a_neutral_target() -> None:
    prediction = torch.tensor([[0.3, 0.4], [0.6, 0.8]])
    target = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    errors = condition_error(prediction, target, relative=True, floor=0.5)
    assert errors.tolist() == pytest.approx([1.0, (0.36 + 0.04) ** 0.5], rel=1e-6)


@given(
    st.integers(0, 2**31), st.integers(1, 6), st.floats(0.01, 10), st.sampled_from(["l2", "mean_absolute"])
)
@settings(max_examples=40, deadline=None)
def test_properties(seed: int, size: int, factor: float, norm: str) -> None:
    rng = torch.Generator().manual_seed(seed)
    p, y = (torch.randn(4, size, generator=rng, dtype=torch.float64) for _ in range(2))

    def error(a: torch.Tensor, b: torch.Tensor, **kwargs: bool) -> torch.Tensor:
        return condition_error(a, b, norm=norm, **kwargs)  # type: ignore[arg-type]

    assert (error(y, y) == 0).all()
    torch.testing.assert_close(error(p, y), error(y, p))
    torch.testing.assert_close(error(factor * p, factor * y), factor * error(p, y))
    torch.testing.assert_close(error(factor * p, factor * y, relative=True), error(p, y, relative=True))
    torch.testing.assert_close(
        error(torch.zeros_like(y), y, relative=True), torch.ones(4, dtype=torch.float64)
    )
    order = torch.randperm(size, generator=rng)
    torch.testing.assert_close(error(p[:, order], y[:, order]), error(p, y))
    torch.testing.assert_close(error(p[2:3], y[2:3]), error(p, y)[2:3])


def test_gradient() -> None:
    p = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = torch.linspace(0.1, 1, 12, dtype=torch.float64).view(3, 4)
    assert torch.autograd.gradcheck(lambda q: condition_error(q, y, relative=True), (p,))
