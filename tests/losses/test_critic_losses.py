"""The whole critic losses are the sums of their parts, and train the critic only."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aucond.losses import (
    gradient_penalty,
    interpolate,
    relativistic_average_critic_loss,
    relativistic_average_loss,
    wgan_critic_loss,
    wgan_gp_loss,
)
from aucond.nn import PatchCritic


@pytest.fixture
def critic():
    torch.manual_seed(0)
    return PatchCritic({"condition": 3}, base_channels=4, num_layers=2).double()


def images(batch=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, 8, 8, generator=rng, dtype=torch.float64)


def rng():
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("method", ["auto", "autograd", "explicit"])
def test_wgan_gp_is_the_sum_of_its_parts(critic, method, reduction):
    real, fake = images(seed=1), images(seed=2)
    expected = wgan_critic_loss(critic(real).score, critic(fake).score, reduction)
    penalty = gradient_penalty(
        critic, interpolate(real, fake, rng=rng()), reduction=reduction, method="autograd"
    )
    loss = wgan_gp_loss(critic, real, fake, gp_weight=7.0, rng=rng(), method=method, reduction=reduction)
    torch.testing.assert_close(loss, expected + 7.0 * penalty)


def test_wgan_gp_equals_the_published_two_losses(critic):
    """The published code: -mean D(real) + mean D(fake), then 10 * mean (norm - 1)^2 with alpha on the real image."""
    real, fake = images(seed=1), images(seed=2)
    alpha = torch.rand(3, 1, 1, 1, generator=rng()).double()
    mixed = (alpha * real + (1 - alpha) * fake).requires_grad_()
    score = critic(mixed).score
    (gradient,) = torch.autograd.grad(score, mixed, torch.ones_like(score), create_graph=True)
    norm = torch.sqrt(torch.sum(gradient.reshape(3, -1) ** 2, dim=1))
    expected = -critic(real).score.mean() + critic(fake).score.mean() + 10 * torch.mean((norm - 1) ** 2)
    torch.testing.assert_close(wgan_gp_loss(critic, real, fake, rng=rng()), expected)


@pytest.mark.parametrize("form", ["slidergan", "log"])
@pytest.mark.parametrize("method", ["auto", "autograd"])
def test_relativistic_average_is_the_sum_of_its_parts(critic, form, method):
    """SliderGAN Eq. 6: the penalty is taken at the generated images."""
    real, fake = images(seed=1), images(seed=2)
    expected = relativistic_average_critic_loss(critic(real).score, critic(fake).score, form=form)
    expected = expected + 10 * gradient_penalty(critic, fake, method="autograd")
    torch.testing.assert_close(
        relativistic_average_loss(critic, real, fake, form=form, method=method), expected
    )


@pytest.mark.parametrize("loss", [wgan_gp_loss, relativistic_average_loss])
def test_trains_the_critic_only(critic, loss):
    real, fake = images(seed=1).requires_grad_(), images(seed=2).requires_grad_()
    loss(critic, real, fake).backward()
    assert real.grad is None
    assert fake.grad is None
    assert all(p.grad is not None for p in (*critic.features.parameters(), *critic.score.parameters()))


@pytest.mark.parametrize("loss", [wgan_gp_loss, relativistic_average_loss])
def test_weight_0_leaves_the_penalty_out(critic, loss):
    """Not even computed: this critic could not be differentiated."""
    calls = []

    def opaque(x):
        calls.append(len(x))
        return critic(x).score.detach()

    assert loss(opaque, images(seed=1), images(seed=2), gp_weight=0).isfinite()
    assert calls == [3, 3]


def test_a_critic_with_batch_statistics_sees_real_and_fake_apart():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3)).double()
    real, fake = images(seed=1), 3 * images(seed=2)
    expected = critic(fake).mean() - critic(real).mean()
    torch.testing.assert_close(wgan_gp_loss(critic, real, fake, gp_weight=0), expected)
    together = critic(torch.cat([real, fake]))
    assert abs(together[3:].mean() - together[:3].mean() - expected) > 1e-3


def test_batch_size_1(critic):
    assert wgan_gp_loss(critic, images(1), images(1, 1), reduction="none").shape == (1,)
    assert relativistic_average_loss(critic, images(1), images(1, 1), reduction="none").shape == (1,)


def test_descent_makes_the_critic_tell_real_from_fake(critic):
    real, fake = images(8, 1) * 0.1 + 0.5, images(8, 2) * 0.1 - 0.5
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2, betas=(0.5, 0.999))
    for _ in range(60):
        optimizer.zero_grad()
        wgan_gp_loss(critic, real, fake, rng=rng()).backward()
        optimizer.step()
    assert (critic(real).score.mean() - critic(fake).score.mean()).item() > 1.0
