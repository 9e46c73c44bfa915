"""Convolutions to a few channels, four pixels at a time: torch's numbers and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from aucond.ops import NarrowConv2d, narrow
from aucond.ops.narrow import narrow_pays


def layer_and_input(
    channels: tuple[int, int], kernel: int, size: tuple[int, int, int], dtype: torch.dtype = torch.float64
) -> tuple[NarrowConv2d, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = NarrowConv2d(*channels, kernel).to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = torch.randn(size[0], channels[0], *size[1:], dtype=dtype)
    return layer, features.contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("size", [(2, 8, 12), (1, 2, 2), (3, 10, 6)], ids=str)
@pytest.mark.parametrize("channels", [(5, 4), (3, 6), (2, 1)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)], ids=str)
def test_equals_torchs_convolution_and_both_its_gradients(
    kernel: int, size: tuple[int, int, int], channels: tuple[int, int], dtype: torch.dtype, tolerance: float
) -> None:
    layer, features = layer_and_input(channels, kernel, size, dtype)
    assert narrow_pays(features, layer.weight)
    exact = [v.detach().double().contiguous().requires_grad_() for v in (features, layer.weight)]
    ours, theirs = layer(features), F.conv2d(*exact, padding=kernel // 2)
    torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    upstream = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mine = torch.autograd.grad(ours, (features, layer.weight), upstream.to(dtype))
    for one, other in zip(mine, torch.autograd.grad(theirs, exact, upstream), strict=True):
        scale = float(other.abs().max()) + 1
        torch.testing.assert_close(one.double(), other, rtol=0, atol=5 * tolerance * scale)


def test_four_pixels_are_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    strides: list[int] = []
    original = F.conv2d
    monkeypatch.setattr(
        narrow.F, "conv2d", lambda *a, **k: strides.append(k.get("stride", 1)) or original(*a, **k)
    )
    layer, features = layer_and_input((5, 4), 7, (2, 8, 12))
    layer(features)
    assert strides == [2]


def test_first_and_second_derivatives() -> None:
    layer, features = layer_and_input((2, 2), 3, (1, 4, 2))
    weight = layer.weight.detach().requires_grad_()
    assert gradcheck(narrow._four_at_a_time, (features, weight))
    assert gradgradcheck(narrow._four_at_a_time, (features, weight))


@pytest.mark.parametrize("size", [(1, 5, 8), (1, 8, 5)], ids=str)
def test_an_odd_side_takes_the_plain_way(size: tuple[int, int, int]) -> None:
    layer, features = layer_and_input((3, 4), 7, size)
    assert not narrow_pays(features, layer.weight)
    torch.testing.assert_close(layer(features), F.conv2d(features, layer.weight, padding=3))


def test_only_few_outputs_in_channels_last_memory_pay() -> None:
    layer, features = layer_and_input((3, 4), 7, (2, 8, 8), torch.float32)
    assert not narrow_pays(features.contiguous(), layer.weight)
    assert not narrow_pays(features, layer.weight.contiguous())
    assert not narrow_pays(features.bfloat16(), layer.weight)
    many, _ = layer_and_input((3, 9), 7, (2, 8, 8), torch.float32)
    assert not narrow_pays(features, many.weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not narrow_pays(features, layer.weight)


def test_compilers_and_tracers_see_a_plain_convolution() -> None:
    layer, features = layer_and_input((3, 4), 7, (2, 8, 8), torch.float32)
    exported = torch.export.export(layer, (features.detach(),))
    [node] = [n for n in exported.graph.nodes if "conv2d" in str(n.target)]
    assert node.args[1].target == "p_weight" or "weight" in str(node.args[1])
    with torch.no_grad():
        traced = torch.jit.trace(layer, features.detach())
    assert "pad" not in str(traced.graph)


def test_a_wrong_number_of_channels_is_torchs_error() -> None:
    layer, _ = layer_and_input((3, 4), 7, (1, 8, 8))
    with pytest.raises(RuntimeError, match="channels"):
        layer(torch.zeros(1, 5, 8, 8, dtype=torch.float64))


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="kernel_size: expected an odd number, got 6"):
        NarrowConv2d(8, 4, 6)
