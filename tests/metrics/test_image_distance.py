"""IED against the double sum over all pairs of pixels, and its properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from aucond.metrics import image_euclidean_distance

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 12), st.integers(1, 12))


def double_sum(x: np.ndarray, y: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """The definition, all (HW)^2 pairs."""
    height, width = x.shape[-2:]
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2)
    apart = ((places[:, None] - places[None]) ** 2).sum(-1)
    weights = np.exp(-apart / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    d = (x - y).reshape(*x.shape[:2], -1)
    return np.einsum("bci,ij,bcj->b", d, weights, d)


def pair(shape: tuple[int, ...], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(shape, generator=rng, dtype=torch.float64) * 2 - 1 for _ in range(2))
    return x, y


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 40.0])
@pytest.mark.parametrize("shape", [(2, 3, 24, 24), (1, 3, 31, 7), (3, 1, 1, 20), (1, 3, 1, 1), (1, 4, 2, 40)])
def test_equals_the_double_sum(shape: tuple[int, ...], sigma: float) -> None:
    x, y = pair(shape, 0)
    expected = double_sum(x.numpy(), y.numpy(), sigma)
    np.testing.assert_allclose(image_euclidean_distance(x, y, sigma=sigma).numpy(), expected, rtol=1e-12)


def test_oscillating_difference_equals_the_double_sum() -> None:
    # A checkerboard is the eigenvector the kernel damps most (2e-4), so cancellation would show here first.
    board = torch.ones(1, 1, 30, 30, dtype=torch.float64)
    board[..., ::2, 1::2] = board[..., 1::2, ::2] = -1
    zero = torch.zeros_like(board)
    expected = double_sum(board.numpy(), zero.numpy())
    np.testing.assert_allclose(image_euclidean_distance(board, zero).numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("sigma", [2.0, 3.0, 5.0, 10.0])
def test_rounding_never_makes_it_negative(sigma: float) -> None:
    # The kernel's own eigenvectors of smallest eigenvalue: what is left of them is rounding of either sign.
    places = torch.arange(40, dtype=torch.float64)
    kernel = torch.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
    smallest = torch.linalg.eigh(kernel).eigenvectors[:, :20].T
    waves = (smallest[:, None, :, None] * smallest[:, None, None, :].flip(0)).contiguous()
    value = image_euclidean_distance(waves, torch.zeros_like(waves), sigma=sigma)
    assert (value >= 0).all()
    assert value.sqrt().isfinite().all()


def test_equals_scipys_gaussian_filter_at_128_pixels() -> None:
    x, y = pair((1, 3, 128, 128), 1)
    d = (x - y)[0].numpy()
    blurred = np.stack([gaussian_filter(c, 1.0, mode="constant", truncate=12) for c in d])
    mass = sum(math.exp(-0.5 * k * k) for k in range(-12, 13)) ** 2 / (2 * math.pi)  # scipy normalises
    np.testing.assert_allclose(
        image_euclidean_distance(x, y)[0].item(), (d * blurred).sum() * mass, rtol=1e-12
    )


def test_two_pixels_by_hand() -> None:
    x = torch.tensor([[[[0.5, -0.25]]]])
    by_hand = (0.5**2 + 0.25**2 - 2 * math.exp(-0.5) * 0.5 * 0.25) / (2 * math.pi)
    assert image_euclidean_distance(x, torch.zeros_like(x)).item() == pytest.approx(by_hand, rel=1e-15)


def test_per_pixel_of_a_constant_difference_is_its_square() -> None:
    x = torch.full((1, 3, 256, 256), 0.3, dtype=torch.float64)
    value = image_euclidean_distance(x, torch.zeros_like(x), per_pixel=True).item()
    assert value == pytest.approx(0.09, rel=0.01)  # the border loses a little
    raw = image_euclidean_distance(x, torch.zeros_like(x)).item()
    assert raw / (3 * 256 * 256) == pytest.approx(value, rel=1e-15)


def test_a_quarter_in_the_unit_range() -> None:
    x, y = pair((2, 3, 16, 16), 2)
    torch.testing.assert_close(
        image_euclidean_distance((x + 1) / 2, (y + 1) / 2) * 4,
        image_euclidean_distance(x, y),
        rtol=1e-12,
        atol=0,
    )


def test_forgives_a_small_shift_where_squares_do_not() -> None:
    stroke = torch.zeros(3, 1, 32, 32)
    stroke[0, 0, 8:24, 16] = 1
    stroke[1, 0, 8:24, 17] = 1  # moved by one pixel
    stroke[2, 0, 8:24, 26] = 1  # moved by ten
    near, far = image_euclidean_distance(stroke[:1].expand(2, -1, -1, -1), stroke[1:])
    squares = (stroke[0] - stroke[1:]).square().sum((1, 2, 3))
    assert squares[0] == squares[1]
    assert near < 0.45 * far


@given(SHAPES, st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_is_a_squared_metric(shape: tuple[int, ...], seed: int) -> None:
    x, y = pair(shape, seed)
    z, _ = pair(shape, seed + 1)
    xy, yz, xz = (image_euclidean_distance(a, b) for a, b in ((x, y), (y, z), (x, z)))
    torch.testing.assert_close(xy, image_euclidean_distance(y, x), rtol=1e-12, atol=0)
    assert (xy > 0).all()
    assert torch.equal(image_euclidean_distance(x, x.clone()), torch.zeros(shape[0], dtype=torch.float64))
    assert (xz.sqrt() <= xy.sqrt() + yz.sqrt() + 1e-12).all()


@given(SHAPES, st.integers(0, 2**31), st.floats(-3, 3))
@settings(max_examples=40, deadline=None)
def test_invariances(shape: tuple[int, ...], seed: int, factor: float) -> None:
    x, y = pair(shape, seed)
    expected = image_euclidean_distance(x, y)

    def check(a: torch.Tensor, b: torch.Tensor, wanted: torch.Tensor = expected) -> None:
        torch.testing.assert_close(image_euclidean_distance(a, b), wanted, rtol=1e-9, atol=1e-12)

    check(x + factor, y + factor)
    check(x * factor, y * factor, expected * factor**2)
    check(x.flip(-1), y.flip(-1))
    check(x.transpose(-1, -2), y.transpose(-1, -2))
    check(x.flip(1), y.flip(1))
    check(x.flip(0), y.flip(0), expected.flip(0))
    pad = (2, 1, 0, 3)
    check(torch.nn.functional.pad(x, pad), torch.nn.functional.pad(y, pad))


def test_one_value_per_image_whatever_the_batch() -> None:
    x, y = pair((5, 3, 16, 16), 3)
    together = image_euclidean_distance(x, y)
    alone = torch.cat([image_euclidean_distance(x[i : i + 1], y[i : i + 1]) for i in range(5)])
    assert torch.equal(together, alone)
    assert image_euclidean_distance(x, y, reduction="mean").item() == pytest.approx(together.mean().item())
    assert image_euclidean_distance(x, y, reduction="sum").item() == pytest.approx(together.sum().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_images_are_summed_in_float64(dtype: torch.dtype) -> None:
    x, y = (image.to(dtype) for image in pair((2, 3, 16, 16), 4))
    value = image_euclidean_distance(x, y)
    assert value.dtype == torch.float64
    np.testing.assert_allclose(value.numpy(), double_sum(x.double().numpy(), y.double().numpy()), rtol=1e-12)


def test_gradient() -> None:
    x, y = pair((2, 2, 5, 6), 5)
    assert torch.autograd.gradcheck(lambda a: image_euclidean_distance(a, y), (x.requires_grad_(),))
