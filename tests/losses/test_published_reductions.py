"""Every reduction of the published GANimation code, written by hand here, comes out of our terms."""

from __future__ import annotations

import pytest
import torch

from aucond.losses import (
    attention_l1_loss,
    attention_l2_loss,
    attention_tv_loss,
    condition_regression_loss,
    cycle_identity_loss,
    wgan_critic_loss,
    wgan_generator_loss,
)

BATCHES = pytest.mark.parametrize("batch", [1, 4, 25])


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@BATCHES
def test_mask_size(batch):
    """mean(keep-mask) * 0.1."""
    edit = rand(batch, 1, 6, 7)
    keep = 1 - edit
    assert (0.1 * attention_l1_loss(keep)).item() == pytest.approx((torch.mean(keep) * 0.1).item(), rel=1e-12)


@BATCHES
def test_total_variation(batch):
    """Absolute differences summed over the whole batch * 1e-5, the same for either mask."""
    edit = rand(batch, 1, 6, 7)
    keep = 1 - edit
    published = 1e-5 * (
        torch.sum(torch.abs(keep[:, :, :, :-1] - keep[:, :, :, 1:]))
        + torch.sum(torch.abs(keep[:, :, :-1, :] - keep[:, :, 1:, :]))
    )
    for mask in (edit, keep):
        ours = 1e-5 * attention_tv_loss(mask, norm="l1", reduction="sum")
        assert ours.item() == pytest.approx(published.item(), rel=1e-12)
        ours = 1e-5 * batch * attention_tv_loss(mask, norm="l1")
        assert ours.item() == pytest.approx(published.item(), rel=1e-12)


@BATCHES
def test_condition(batch):
    """MSE / batch size * 4000 (160 * MSE at batch 25)."""
    prediction, target = rand(batch, 17, seed=1), rand(batch, 17, seed=2)
    published = torch.nn.functional.mse_loss(prediction, target) / batch * 4000
    ours = 4000 / batch * condition_regression_loss(prediction, target, norm="mse")
    assert ours.item() == pytest.approx(published.item(), rel=1e-12)
    ours = 4000 / (17 * batch) * condition_regression_loss(prediction, target)
    assert ours.item() == pytest.approx(published.item(), rel=1e-12)
    if batch == 25:
        ours = 160 * condition_regression_loss(prediction, target, norm="mse")
        assert ours.item() == pytest.approx(published.item(), rel=1e-12)


@BATCHES
def test_cycle(batch):
    """The mean of absolute differences over everything * 10."""
    first, second = rand(batch, 3, 6, 7, seed=1), rand(batch, 3, 6, 7, seed=2)
    published = torch.mean(torch.abs(first - second)) * 10
    assert (10 * cycle_identity_loss(first, second)).item() == pytest.approx(published.item(), rel=1e-12)


@BATCHES
def test_scores(batch):
    """Means over batch and patches."""
    real, fake = rand(batch, 1, 2, 2, seed=1), rand(batch, 1, 2, 2, seed=2)
    critic = -torch.mean(real) + torch.mean(fake)
    assert wgan_critic_loss(real, fake).item() == pytest.approx(critic.item(), rel=1e-12, abs=1e-15)
    assert wgan_generator_loss(fake).item() == pytest.approx(-torch.mean(fake).item(), rel=1e-12)


@BATCHES
def test_paper_attention(batch):
    """Eq. 2 as printed, written with loops."""
    mask = rand(batch, 1, 4, 5)
    tv = norm = 0.0
    for one in mask[:, 0].tolist():
        tv += sum((one[i + 1][j] - one[i][j]) ** 2 for i in range(3) for j in range(5))
        tv += sum((one[i][j + 1] - one[i][j]) ** 2 for i in range(4) for j in range(4))
        norm += sum(value**2 for row in one for value in row) ** 0.5
    expected = (1e-4 * tv + norm) / batch
    ours = 1e-4 * attention_tv_loss(mask) + attention_l2_loss(mask)
    assert ours.item() == pytest.approx(expected, rel=1e-12)


@BATCHES
def test_slidergan_mask_and_reconstruction(batch):
    """Eq. 9, 10 and 12 divide by W H only: 3 times our mean for images, exactly our mean for masks."""
    first, second = rand(batch, 3, 4, 5, seed=1), rand(batch, 3, 4, 5, seed=2)
    eq_9 = (first - second).abs().sum() / 20 / batch
    assert (3 * cycle_identity_loss(first, second)).item() == pytest.approx(eq_9.item(), rel=1e-12)
    masks = rand(batch, 1, 4, 5, seed=3), rand(batch, 1, 4, 5, seed=4)
    eq_12 = sum(m.abs().sum() for m in masks) / 20 / batch
    ours = attention_l1_loss(masks[0]) + attention_l1_loss(masks[1])
    assert ours.item() == pytest.approx(eq_12.item(), rel=1e-12)
