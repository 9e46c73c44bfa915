"""3x3 convolutions by Winograd's algorithm: torch's numbers and gradients, and only where it is asked for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from aucond.ops import WinogradConv2d, winograd
from aucond.ops.winograd import winograd_pays


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 0)
    monkeypatch.setattr(winograd, "LEAST_TILES", 0)


def layer_and_input(
    channels: tuple[int, int], size: tuple[int, int, int], dtype: torch.dtype = torch.float64
) -> tuple[WinogradConv2d, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = WinogradConv2d(*channels).to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = torch.randn(size[0], channels[0], *size[1:], dtype=dtype)
    return layer, features.contiguous(memory_format=torch.channels_last).requires_grad_()


# The sizes around multiples of four, and smaller than a tile.
SIZES = [(2, 8, 12), (1, 5, 6), (3, 7, 9), (2, 1, 1), (1, 2, 3)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [(5, 7), (3, 2)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)], ids=str)
@pytest.mark.usefixtures("always")
def test_equals_torchs_convolution_and_both_its_gradients(
    size: tuple[int, int, int], channels: tuple[int, int], dtype: torch.dtype, tolerance: float
) -> None:
    layer, features = layer_and_input(channels, size, dtype)
    exact = [v.detach().double().contiguous().requires_grad_() for v in (features, layer.weight)]
    ours, theirs = layer(features), F.conv2d(*exact, padding=1)
    torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    upstream = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mine = torch.autograd.grad(ours, (features, layer.weight), upstream.to(dtype))
    for one, other in zip(mine, torch.autograd.grad(theirs, exact, upstream), strict=True):
        scale = float(other.abs().max()) + 1
        torch.testing.assert_close(one.double(), other, rtol=0, atol=5 * tolerance * scale)
    assert mine[1].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("always")
def test_the_algorithm_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    products: list[int] = []
    original = torch.bmm
    monkeypatch.setattr(torch, "bmm", lambda a, b: products.append(len(a)) or original(a, b))
    layer, features = layer_and_input((5, 7), (2, 8, 12))
    layer(features).sum().backward()
    assert products == [36, 36, 36]  # the output, and both gradients


@pytest.mark.usefixtures("always")
def test_an_error_no_larger_than_a_few_times_that_of_torch() -> None:
    layer, features = layer_and_input((64, 64), (2, 16, 16), torch.float32)
    exact = F.conv2d(features.double(), layer.weight.double(), padding=1)
    plain = F.conv2d(features, layer.weight, padding=1)
    assert (layer(features) - exact).norm() < 6 * (plain - exact).norm()
    assert (layer(features) - exact).norm() < 5e-6 * exact.norm()


@pytest.mark.usefixtures("always")
def test_first_and_second_derivatives() -> None:
    layer, features = layer_and_input((2, 2), (1, 5, 4))
    weight = layer.weight.detach().requires_grad_()

    def call(features: Tensor, weight: Tensor) -> Tensor:
        found: Tensor = winograd._Winograd.apply(features, weight)  # type: ignore[no-untyped-call]
        return found

    assert gradcheck(call, (features, weight))
    assert gradgradcheck(call, (features, weight))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("wanted", ["features", "weight"])
def test_only_one_gradient_wanted(wanted: str) -> None:
    layer, features = layer_and_input((3, 4), (2, 6, 6))
    chosen = {"features": features, "weight": layer.weight}[wanted]
    for value in (features, layer.weight):
        value.requires_grad_(value is chosen)
    (ours,) = torch.autograd.grad(layer(features).square().sum(), chosen)
    plain = F.conv2d(features, layer.weight, padding=1).square().sum()
    torch.testing.assert_close(ours, torch.autograd.grad(plain, chosen)[0])


def test_only_large_work_in_channels_last_memory_pays() -> None:
    layer, features = layer_and_input((256, 256), (8, 32, 32), torch.float32)
    assert winograd_pays(features, layer.weight)
    assert not winograd_pays(features.contiguous(), layer.weight)
    assert not winograd_pays(features, layer.weight.contiguous())
    assert not winograd_pays(features[:1], layer.weight)
    assert not winograd_pays(features[:, :64], layer.weight[:64, :64])
    assert not winograd_pays(features.bfloat16(), layer.weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not winograd_pays(features, layer.weight)


@pytest.mark.usefixtures("always")
def test_compilers_and_tracers_see_a_plain_convolution() -> None:
    layer, features = layer_and_input((3, 4), (2, 8, 8), torch.float32)
    exported = torch.export.export(layer, (features.detach(),))
    assert any("conv2d" in str(node.target) for node in exported.graph.nodes)
    with torch.no_grad():
        traced = torch.jit.trace(layer, features.detach())
    assert "bmm" not in str(traced.graph)


def test_a_wrong_number_of_channels_is_torchs_error() -> None:
    layer, _ = layer_and_input((3, 4), (1, 8, 8))
    with pytest.raises(RuntimeError, match="channels"):
        layer(torch.zeros(1, 5, 8, 8, dtype=torch.float64))
