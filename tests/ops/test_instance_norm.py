"""Instance normalisation: torch's numbers and gradients in every layout."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import aucond.ops
from aucond.ops.instance_norm import _together, instance_norm

LAYOUTS = pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)
SIZES = [(2, 3, 4, 5), (1, 6, 7, 1), (3, 1, 2, 2), (2, 5, 33, 32)]


def inputs(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format) -> list[Tensor]:
    rng = torch.Generator().manual_seed(0)
    features = 3 + torch.randn(shape, generator=rng, dtype=torch.float64)
    weight, bias = (torch.randn(shape[1], generator=rng, dtype=torch.float64) for _ in range(2))
    features = features.to(dtype).contiguous(memory_format=layout)
    return [v.to(dtype).requires_grad_() for v in (features, weight, bias)]


@LAYOUTS
@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)], ids=str)
def test_torchs_numbers_and_gradients(
    layout: torch.memory_format, shape: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    values = inputs(shape, dtype, layout)
    exact = [v.detach().double().contiguous().requires_grad_() for v in values]
    ours, theirs = instance_norm(*values), F.instance_norm(exact[0], weight=exact[1], bias=exact[2])
    torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)
    upstream = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mine = torch.autograd.grad(ours, values, upstream.to(dtype))
    for one, other in zip(mine, torch.autograd.grad(theirs, exact, upstream), strict=True):
        scale = float(other.abs().max()) + 1
        torch.testing.assert_close(one.double(), other, rtol=0, atol=5 * tolerance * scale)
    assert ours.stride() == values[0].stride() or 1 in shape


def test_only_channels_last_memory_takes_the_other_way() -> None:
    assert _together(*inputs((2, 3, 4, 5), torch.float32, torch.channels_last))
    assert not _together(*inputs((2, 3, 4, 5), torch.float32, torch.contiguous_format))
    assert not _together(*inputs((2, 3, 4, 5), torch.bfloat16, torch.channels_last))


@LAYOUTS
def test_first_and_second_derivatives(layout: torch.memory_format) -> None:
    values = inputs((2, 2, 2, 3), torch.float64, layout)
    assert gradcheck(instance_norm, values)
    assert gradgradcheck(instance_norm, values)


@pytest.mark.parametrize("wanted", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1)], ids=str)
def test_only_some_gradients_wanted(wanted: tuple[int, ...]) -> None:
    values = inputs((2, 3, 4, 5), torch.float64, torch.channels_last)
    for value, want in zip(values, wanted, strict=True):
        value.requires_grad_(bool(want))
    chosen = [v for v in values if v.requires_grad]
    expected = torch.autograd.grad(
        (F.instance_norm(values[0], weight=values[1], bias=values[2]) ** 2).sum(), chosen
    )
    for one, other in zip(
        torch.autograd.grad((instance_norm(*values) ** 2).sum(), chosen), expected, strict=True
    ):
        torch.testing.assert_close(one, other)


def test_a_flat_map_gives_the_bias_and_no_nan() -> None:
    values = inputs((2, 3, 4, 4), torch.float32, torch.channels_last)
    values[0] = torch.full_like(values[0], 7.0).requires_grad_()
    result = instance_norm(*values)
    torch.testing.assert_close(result, values[2][:, None, None].expand_as(result))
    assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(result.sum(), values))


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"features: expected .* \(B, C, H, W\), got .* \(3, 4\)"):
        instance_norm(torch.zeros(3, 4), torch.ones(4), torch.zeros(4))


def test_it_is_exported() -> None:
    assert aucond.ops.instance_norm is instance_norm


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_of_another_length_are_refused_in_any_layout(layout):
    features = torch.rand(2, 4, 3, 3).contiguous(memory_format=layout)
    with pytest.raises(
        ValueError, match=r"weight: expected a floating tensor of shape \(4,\), got .* \(1,\)"
    ):
        instance_norm(features, torch.ones(1), torch.zeros(4))
    with pytest.raises(ValueError, match=r"bias: expected a floating tensor of shape \(4,\), got .* \(1,\)"):
        instance_norm(features, torch.ones(4), torch.zeros(1))
