"""Penalties on a critic's slope: known answers, independence of the batch, both ways of writing the gradient."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from aucond.losses import gradient_penalty, interpolate, r1_penalty, r2_penalty
from aucond.types import CriticOutput

BOTH = pytest.mark.parametrize("method", ["autograd", "explicit"])


def images(batch=3, channels=3, height=8, width=8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, height, width, generator=rng, dtype=torch.float64)


def linear_critic(slope, patches=1):
    """A linear critic whose summed score has a gradient of exactly this norm: every pixel weighs the same."""
    conv = nn.Conv2d(3, 1, 4, stride=4, bias=False).double()
    nn.init.constant_(conv.weight, slope / (48 * patches) ** 0.5)
    return nn.Sequential(conv)


def small_critic(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(5, 1, 3, padding=1, bias=False),
    ).double()


@BOTH
@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("patches", [1, 4])
def test_zero_for_an_exactly_1_lipschitz_linear_critic(method, batch, patches):
    side = 4 * int(patches**0.5)
    penalty = gradient_penalty(
        linear_critic(1.0, patches), images(batch, height=side, width=side), method=method, reduction="none"
    )
    assert penalty.shape == (batch,)
    assert penalty.abs().max() < 1e-28


@BOTH
@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize(
    ("slope", "center", "value"), [(3.0, 1.0, 4.0), (0.5, 1.0, 0.25), (3.0, 0.0, 9.0), (2, 5, 9)]
)
def test_known_answer_of_other_slopes(method, batch, slope, center, value):
    penalty = gradient_penalty(
        linear_critic(slope), images(batch, height=4, width=4), center=center, method=method
    )
    assert penalty.item() == pytest.approx(value, rel=1e-12)


def test_score_is_summed_over_patches_not_averaged():
    """Four patches of slope 1 each on their own pixels: the sum's gradient has norm 2, the mean's would have 1/2."""
    penalty = gradient_penalty(linear_critic(1.0), images(2, height=8, width=8))
    assert penalty.item() == pytest.approx(1.0, rel=1e-12)


@BOTH
def test_equals_the_published_formula(method):
    """Written as the published code does it: ones for every patch score, norm over all pixels, mean over the batch."""
    critic, points = small_critic(), images()
    x = points.clone().requires_grad_()
    score = critic(x)
    (gradient,) = torch.autograd.grad(score, x, grad_outputs=torch.ones_like(score), create_graph=True)
    norm = torch.sqrt(torch.sum(gradient.view(gradient.size(0), -1) ** 2, dim=1))
    torch.testing.assert_close(gradient_penalty(critic, points, method=method), torch.mean((norm - 1) ** 2))


@BOTH
@pytest.mark.parametrize("penalty", [r1_penalty, r2_penalty])
def test_r1_and_r2_are_the_squared_norm(method, penalty):
    points = images(4, height=4, width=4)
    assert penalty(linear_critic(3.0), points, method=method).item() == pytest.approx(9.0, rel=1e-12)
    critic, points = small_critic(), images()
    expected = gradient_penalty(critic, points, center=0.0, method="autograd", reduction="none")
    torch.testing.assert_close(penalty(critic, points, method=method, reduction="none"), expected)


@BOTH
@pytest.mark.parametrize("center", [0.0, 1.0])
def test_a_flat_critic_gives_no_nan(method, center):
    critic = small_critic()
    nn.init.zeros_(critic[4].weight)
    penalty = gradient_penalty(critic, images(), center=center, method=method)
    penalty.backward()
    assert penalty.item() == center**2
    for parameter in critic.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@settings(max_examples=15, deadline=None)
@given(batch=st.integers(1, 5), seed=st.integers(0, 10**6), method=st.sampled_from(["autograd", "explicit"]))
def test_an_image_does_not_know_its_batch(batch, seed, method):
    critic, points = small_critic(seed % 3), images(batch, seed=seed)
    call = partial(gradient_penalty, critic, method=method, reduction="none")
    alone = torch.cat([call(point[None]) for point in points])
    torch.testing.assert_close(call(points), alone)
    torch.testing.assert_close(gradient_penalty(critic, points, method=method), alone.mean())
    torch.testing.assert_close(gradient_penalty(critic, points, method=method, reduction="sum"), alone.sum())


@BOTH
@pytest.mark.parametrize("penalty", [gradient_penalty, r1_penalty])
def test_gradients_in_the_weights(method, penalty):
    # Smooth in the weights only between the kinks: seeds are such that no unit is near one.
    torch.manual_seed(1)
    critic = nn.Sequential(nn.Conv2d(3, 2, 3, stride=2), nn.LeakyReLU(0.2), nn.Conv2d(2, 1, 1)).double()
    points = images(2, height=5, width=4)
    names = [name.split(".") for name, _ in critic.named_parameters()]
    weights = [weight.detach().clone().requires_grad_() for weight in critic.parameters()]

    def of_weights(*values):
        for (layer, kind), value in zip(names, values, strict=True):
            critic[int(layer)]._parameters[kind] = value
        return penalty(critic, points, method=method)

    assert gradcheck(of_weights, weights, check_undefined_grad=False)
    assert gradgradcheck(of_weights, weights, check_undefined_grad=False)


def test_points_that_require_a_gradient_get_it():
    """D(x) = sum x^2 / 2 has gradient x: the penalty is (|x| - 1)^2 and its gradient 2 (|x| - 1) x / |x|."""
    points = images(2).requires_grad_()
    gradient_penalty(lambda x: x.square().sum((1, 2, 3)) / 2, points, reduction="sum").backward()
    x = points.detach()
    norm = x.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(points.grad, 2 * (norm - 1) * x / norm)


def test_points_that_require_none_are_left_alone():
    points = images(2)
    gradient_penalty(small_critic(), points).backward()
    assert points.grad is None
    assert not points.requires_grad


@BOTH
def test_can_be_measured_without_a_graph(method):
    critic, points = small_critic(), images(2)
    expected = gradient_penalty(critic, points, method=method)
    with torch.no_grad():
        measured = gradient_penalty(critic, points, method=method)
    assert not measured.requires_grad
    torch.testing.assert_close(measured, expected.detach())


def test_reads_a_critic_output():
    critic, points = small_critic(), images(2)
    wrapped = gradient_penalty(lambda x: CriticOutput(critic(x), {"condition": x.mean((2, 3))}), points)
    torch.testing.assert_close(wrapped, gradient_penalty(critic, points))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gradients_are_summed_in_float32(dtype):
    """1024 x 3 slopes of 1/8 have norm sqrt(48); summed in half precision their squares would stall."""
    penalty = gradient_penalty(
        lambda x: x.sum((1, 2, 3)) / 8, torch.zeros(1, 3, 32, 32, dtype=dtype), center=0.0
    )
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(48.0, rel=1e-6)


class TestInterpolate:
    def test_lies_on_the_segment_with_one_alpha_per_image(self):
        real, fake = images(5, seed=1), images(5, seed=2)
        points = interpolate(real, fake, rng=torch.Generator().manual_seed(0))
        alpha = (points - fake) / (real - fake)
        assert (alpha.flatten(1).std(1) < 1e-9).all()
        assert ((alpha >= 0) & (alpha <= 1)).all()
        assert alpha[:, 0, 0, 0].std() > 0.05

    def test_is_uniform(self):
        points = interpolate(
            torch.ones(4000, 1, 1, 1), torch.zeros(4000, 1, 1, 1), rng=torch.Generator().manual_seed(0)
        )
        below = (points.flatten()[:, None] < torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])).float().mean(0)
        torch.testing.assert_close(below, torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9]), atol=0.03, rtol=0)

    def test_is_decided_by_the_generator_alone(self):
        real, fake = images(3, seed=1), images(3, seed=2)
        torch.manual_seed(0)
        first = interpolate(real, fake, rng=torch.Generator().manual_seed(7))
        torch.manual_seed(1)
        assert torch.equal(first, interpolate(real, fake, rng=torch.Generator().manual_seed(7)))
        assert not torch.equal(first, interpolate(real, fake, rng=torch.Generator().manual_seed(8)))

    def test_leaves_the_global_generator_alone(self):
        torch.manual_seed(0)
        expected = torch.rand(2)
        torch.manual_seed(0)
        interpolate(images(), images(), rng=torch.Generator().manual_seed(7))
        assert torch.equal(torch.rand(2), expected)

    def test_keeps_dtype(self):
        half = torch.zeros(2, 3, 4, 4, dtype=torch.bfloat16)
        assert interpolate(half, half).dtype == torch.bfloat16
