import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from aucond.nn.blocks import FiLM, InstanceNorm, PlanesConv2d, ResidualBlock, ResizeConv2d


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    condition_dim=st.integers(1, 6),
    batch=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_planes_conv_is_the_convolution_of_concatenated_planes(height, width, condition_dim, batch, seed):
    rng = torch.Generator().manual_seed(seed)
    layer = PlanesConv2d(3, condition_dim, 5, kernel_size=7).double()
    image = torch.randn(batch, 3, height, width, generator=rng, dtype=torch.float64)
    condition = torch.randn(batch, condition_dim, generator=rng, dtype=torch.float64)
    planes = condition[:, :, None, None].expand(-1, -1, height, width)
    plain = F.conv2d(torch.cat([image, planes], 1), layer.weight, padding=3)
    torch.testing.assert_close(layer(image, condition), plain, rtol=1e-12, atol=1e-12)


def test_planes_conv_has_the_gradients_of_the_plain_convolution():
    layer = PlanesConv2d(3, 4, 5).double()
    image = torch.randn(2, 3, 9, 8, dtype=torch.float64, requires_grad=True)
    condition = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    inputs = (image, condition, layer.weight)
    ours = torch.autograd.grad(layer(image, condition).pow(2).sum(), inputs)
    planes = condition[:, :, None, None].expand(-1, -1, 9, 8)
    plain = F.conv2d(torch.cat([image, planes], 1), layer.weight, padding=3)
    for mine, theirs in zip(ours, torch.autograd.grad(plain.pow(2).sum(), inputs), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("height, width", [(1, 1), (2, 5), (7, 4)])
def test_resize_conv_is_nearest_doubling_then_conv3x3(height, width):
    layer = ResizeConv2d(4, 6).double()
    x = torch.randn(2, 4, height, width, dtype=torch.float64, requires_grad=True)
    plain = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), layer.weight, padding=1)
    torch.testing.assert_close(layer(x), plain, rtol=1e-12, atol=1e-12)
    ours = torch.autograd.grad(layer(x).pow(2).sum(), (x, layer.weight))
    theirs = torch.autograd.grad(plain.pow(2).sum(), (x, layer.weight))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10)


def test_instance_norm_equals_torch_instance_norm():
    ours, theirs = InstanceNorm(5), torch.nn.InstanceNorm2d(5, affine=True)
    with torch.no_grad():
        for norm in (ours, theirs):
            norm.weight.copy_(torch.linspace(0.5, 2, 5))
            norm.bias.copy_(torch.linspace(-1, 1, 5))
    x = torch.randn(3, 5, 6, 7)
    torch.testing.assert_close(ours(x), theirs(x))


def test_film_of_a_zero_condition_changes_nothing_and_of_another_one_scales_and_shifts():
    film = FiLM(2, 3)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(film(x, torch.zeros(2, 2)), x)
    with torch.no_grad():
        film.project.weight.zero_()
        film.project.weight[0, 0] = 0.5  # scale of channel 0 under condition 0
        film.project.weight[4, 1] = -2.0  # shift of channel 1 under condition 1
    modulated = film(x, torch.ones(2, 2))
    torch.testing.assert_close(modulated[:, 0], 1.5 * x[:, 0])
    torch.testing.assert_close(modulated[:, 1], x[:, 1] - 2)
    torch.testing.assert_close(modulated[:, 2], x[:, 2])


def test_constant_planes_vanish_behind_a_normalisation_inside_the_image_but_film_does_not():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    first, second = torch.rand(1, 17), torch.rand(1, 17)
    planes, norm = PlanesConv2d(3, 17, 16), InstanceNorm(16)
    inside = (slice(None), slice(None), slice(4, -4), slice(4, -4))

    def change(function):
        a, b = function(first)[inside], function(second)[inside]
        return ((a - b).norm() / a.norm()).item()

    erased = change(lambda y: norm(planes(image, y)))
    block = ResidualBlock(16, condition_dim=17)
    kept = change(lambda y: block(norm(planes(image, torch.zeros(1, 17))), y))
    assert erased < 0.3 < kept
