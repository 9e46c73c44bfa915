"""Huge weights over tiny maps: torch's convolution as a matrix product, with its gradients."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from aucond.losses import explicit_gradient, gradient_penalty, why_not_explicit
from aucond.losses.explicit_gradient import autograd_only
from aucond.ops import WideConv2d
from aucond.ops.convolution import convolve, input_gradient, pays, weight_gradient

module = importlib.import_module("aucond.ops.convolution")


@pytest.fixture
def small_counts_as_wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let layers of test size take the matrix product; counts how often one does."""
    monkeypatch.setattr(module, "LEAST_WEIGHTS", 1)
    monkeypatch.setattr(module, "WEIGHTS_PER_PATCH", 0)
    calls: list[int] = []
    patches = module._patches
    monkeypatch.setattr(module, "_patches", lambda *a: calls.append(1) or patches(*a))
    yield calls


SETTINGS = [
    ((2, 2), (1, 1), (4, 4)),
    ((1, 1), (0, 0), (2, 2)),
    ((2, 3), (1, 0), (3, 2)),
    ((3, 1), (2, 1), (1, 3)),
]


def operands(kernel: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 5, 6), (4, 3, *kernel), (4,))
    features, weight, bias = (torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes)
    weight = weight.contiguous(memory_format=torch.channels_last)
    return features.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize(("stride", "padding", "kernel"), SETTINGS, ids=str)
def test_equals_torchs_convolution_and_both_its_gradients(
    stride: tuple[int, int], padding: tuple[int, int], kernel: tuple[int, int]
) -> None:
    features, weight, bias = operands(kernel)
    settings = (stride, padding, (1, 1), 1)
    expected = F.conv2d(features, weight, bias, stride, padding)
    ours = convolve(features, weight, bias, settings)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    upstream = torch.randn_like(expected)
    theirs = torch.autograd.grad(expected, (features, weight, bias), upstream)
    for one, other in zip(torch.autograd.grad(ours, (features, weight, bias), upstream), theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    by_hand = input_gradient(upstream, weight, features.shape, settings)
    torch.testing.assert_close(by_hand, theirs[0], rtol=1e-12, atol=1e-12)
    of_weight = weight_gradient(upstream, features, weight, settings)
    torch.testing.assert_close(of_weight, theirs[1], rtol=1e-12, atol=1e-12)
    assert of_weight.stride() == weight.stride() or 1 in kernel


def test_first_and_second_derivatives() -> None:
    features, weight, bias = operands((4, 4))
    settings = ((2, 2), (1, 1), (1, 1), 1)

    def call(*values: Tensor) -> Tensor:
        return convolve(*values, settings)

    assert gradcheck(call, (features, weight, bias))
    assert gradgradcheck(call, (features, weight, bias))


def test_the_layer_chooses_and_is_the_same_function(small_counts_as_wide: list[int]) -> None:
    layer = WideConv2d(3, 5, 4, stride=2, padding=1).double()
    plain = nn.Conv2d(3, 5, 4, stride=2, padding=1).double()
    plain.load_state_dict(layer.state_dict())
    image = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(image), plain(image))
    assert not small_counts_as_wide
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(layer(image), plain(image), rtol=1e-12, atol=1e-12)
    assert len(small_counts_as_wide) == 1


def critic(conv: type[nn.Conv2d]) -> nn.Sequential:
    torch.manual_seed(3)
    made = nn.Sequential(
        conv(3, 4, 4, 2, 1),
        nn.LeakyReLU(0.2),
        conv(4, 6, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(6, 1, 3, 1, 1),
    ).double()
    return made.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def test_the_penalty_is_that_of_plain_layers_by_either_method(small_counts_as_wide: list[int]) -> None:
    points = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    found = []
    for conv, method in ((nn.Conv2d, "autograd"), (WideConv2d, "autograd"), (WideConv2d, "explicit")):
        network = critic(conv)
        penalty = gradient_penalty(network, points, method=method)  # type: ignore[arg-type]
        penalty.backward()  # type: ignore[no-untyped-call]
        grads = [torch.zeros(()) if p.grad is None else p.grad for p in network.parameters()]
        found.append([penalty.detach(), *grads[:-1]])
    for other in found[1:]:
        for mine, expected in zip(other, found[0], strict=True):
            torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)
    assert len(small_counts_as_wide) >= 6


def test_the_explicit_gradient_knows_the_layer_and_can_be_switched_off() -> None:
    network = critic(WideConv2d)
    assert why_not_explicit(network) is None
    points = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    assert explicit_gradient(network, points).shape == points.shape
    with autograd_only(network):
        assert "autograd_only" in str(why_not_explicit(network))


def test_when_it_pays() -> None:
    settings = ((2, 2), (1, 1), (1, 1), 1)
    wide = torch.empty(2048, 1024, 4, 4, device="meta")
    assert not pays((8, 1024, 4, 4), wide, settings)
    wide = torch.empty(1024, 512, 4, 4).contiguous(memory_format=torch.channels_last)
    assert pays((16, 512, 8, 8), wide, settings)
    assert not pays((17, 512, 8, 8), wide, settings)
    assert not pays((16, 512, 8, 8), wide.contiguous(), settings)
    assert not pays((16, 512, 8, 8), wide, ((2, 2), (1, 1), (2, 2), 1))
    assert not pays((16, 512, 8, 8), wide.bfloat16(), settings)
    assert not pays((1, 512, 1, 1), wide, settings)
    with torch.autocast("cpu", torch.bfloat16):
        assert not pays((16, 512, 8, 8), wide, settings)
