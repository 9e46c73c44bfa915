"""Derivatives of operations with a hand-written backward, where one input depends on another, as in every network."""

import pytest
import torch

from aucond import OPENFACE_AUS, AttentionGenerator, mask_blend_with_tv
from aucond.ops import WinogradConv2d
from aucond.ops._second_order import differentiable_gradients
from aucond.ops.instance_norm import instance_norm


def gradients(function, value):
    """The first gradient as such, and as an expression that may be differentiated again."""
    output = function(value)
    return [
        torch.autograd.grad(output, value, create_graph=create_graph, retain_graph=True)[0]
        for create_graph in (False, True)
    ]


# 64 pixels: from there on the blend runs in compiled code, where numba is installed.
@pytest.mark.parametrize("size", [8, 64])
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_blend_of_a_colour_and_a_mask_that_come_from_the_image(size, backend):
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, size, size, generator=rng, dtype=torch.float64).requires_grad_()

    def blended(image, backend=backend):
        color, attention = (2 * image).tanh(), image.mean(1, keepdim=True).sigmoid()
        terms = mask_blend_with_tv(image, color, attention, backend=backend)
        return terms.image.square().sum() + terms.tv.sum() + terms.norm.sum()

    (expected,) = torch.autograd.grad(blended(image, "reference"), image)
    for found in gradients(blended, image):
        torch.testing.assert_close(found.detach(), expected)


def test_instance_norm_whose_weight_comes_from_the_features():
    rng = torch.Generator().manual_seed(1)
    features = torch.randn(2, 4, 40, 40, generator=rng, dtype=torch.float64)
    features = features.contiguous(memory_format=torch.channels_last).requires_grad_()

    def normalised(features):
        return instance_norm(features, features.mean((0, 2, 3)), features.amax((0, 2, 3))).pow(3).sum()

    first, again = gradients(normalised, features)
    torch.testing.assert_close(again.detach(), first)


def test_winograd_whose_weight_comes_from_the_features(monkeypatch):
    monkeypatch.setattr("aucond.ops.winograd.LEAST_CHANNELS", 0)
    monkeypatch.setattr("aucond.ops.winograd.LEAST_TILES", 0)
    layer = WinogradConv2d(4, 4).double().to(memory_format=torch.channels_last)
    features = torch.randn(2, 4, 12, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    features = features.contiguous(memory_format=torch.channels_last).requires_grad_()

    def convolved(features):
        weight = features.mean((0, 2, 3))[:, None, None, None] * layer.weight
        weight = weight.contiguous(memory_format=torch.channels_last)
        return torch.func.functional_call(layer, {"weight": weight}, (features,)).square().sum()

    from aucond.ops.winograd import winograd_pays

    assert winograd_pays(features, layer.weight)
    first, again = gradients(convolved, features)
    torch.testing.assert_close(again.detach(), first)


def test_partial_derivatives_and_what_is_not_wanted():
    a = torch.tensor(3.0, requires_grad=True)
    b = 2 * a
    product = differentiable_gradients(torch.mul, [a, b], [torch.tensor(1.0)], [True, False])
    assert product[0] == 6 and product[1] is None
    assert differentiable_gradients(torch.mul, [a, b], [None], [True, True]) == [None, None]
    assert differentiable_gradients(torch.mul, [a, b], [torch.tensor(1.0)], [False, False]) == [None, None]


def test_a_generators_jacobian_by_torch_func():
    torch.manual_seed(0)
    network = AttentionGenerator(OPENFACE_AUS, base_channels=4, num_residual_blocks=1)
    image, condition = torch.rand(2, 3, 16, 16), torch.rand(2, 17)

    def corner(condition, layout=torch.contiguous_format):
        return network(image.contiguous(memory_format=layout), condition).image[:, :, 0, 0]

    expected = torch.autograd.functional.jacobian(corner, condition)
    torch.testing.assert_close(torch.func.jacrev(corner)(condition), expected)
    network.to(memory_format=torch.channels_last)
    found = torch.func.jacrev(lambda y: corner(y, torch.channels_last))(condition)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_mask_terms_by_torch_func():
    image, mask = torch.rand(2, 3, 16, 16), torch.rand(2, 1, 16, 16)

    def varied(mask):
        return mask_blend_with_tv(image, -image, mask).tv.sum()

    wanted = mask.clone().requires_grad_()
    (expected,) = torch.autograd.grad(varied(wanted), wanted)
    torch.testing.assert_close(torch.func.grad(varied)(mask), expected)
