"""Whole critic losses, scores and penalty together, for those who want one call."""

from __future__ import annotations

import torch
from torch import Tensor

from aucond._check import check_number, check_same_shape, check_tensor, describe
from aucond.losses._reduce import score_of
from aucond.losses.adversarial import RelativisticForm, relativistic_average_critic_loss, wgan_critic_loss
from aucond.losses.explicit_gradient import why_not_explicit
from aucond.losses.penalties import Critic, PenaltyMethod, gradient_penalty, interpolate
from aucond.types import Reduction

__all__ = ["relativistic_average_loss", "wgan_gp_loss"]


def _scores(critic: Critic, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    check_tensor("real", real, ("B", "C", "H", "W"))
    check_tensor("fake", fake, ("B", "C", "H", "W"))
    check_same_shape("real", real, "fake", fake)
    if not callable(critic):
        raise TypeError(f"critic: expected a callable from images to scores, got {describe(critic)}")
    real, fake, batch = real.detach(), fake.detach(), real.shape[0]
    if real.dtype == fake.dtype and why_not_explicit(critic) is None:
        # Such a critic sees every image on its own, so one pass over both gives the same scores sooner.
        real_scores, fake_scores = score_of(critic(torch.cat([real, fake])), 2 * batch).chunk(2)
        return real_scores, fake_scores
    return score_of(critic(real), batch), score_of(critic(fake), batch)


def wgan_gp_loss(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    gp_weight: float = 10.0,
    rng: torch.Generator | None = None,
    method: PenaltyMethod = "auto",
    reduction: Reduction = "mean",
) -> Tensor:
    """WGAN-GP critic loss, ``E[D(fake)] - E[D(real)] + gp_weight E[(||grad D(x)||_2 - 1)^2]`` (GANimation).

    ``x`` is uniform on the segments between the i-th real and the i-th fake.

    Convention:
        Trains the critic only: both image batches are detached. The loss averages the patch scores;
        the penalty differentiates their sum, as the published code does.

    Args:
        critic: Images to a CriticOutput or a tensor of scores.
        real: Real images, ``(B, C, H, W)``.
        fake: Generated images, same shape.
        gp_weight: Weight of the penalty, at least 0; 0 leaves it out.
        rng: Source of the interpolation; None is torch's global generator.
        method: As in :func:`gradient_penalty`.
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The loss, to be minimised by the critic.

    >>> critic = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 4, bias=False))
    >>> loss = wgan_gp_loss(critic, torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4))
    >>> loss.shape
    torch.Size([])
    """
    check_number("gp_weight", gp_weight, low=0)
    loss = wgan_critic_loss(*_scores(critic, real, fake), reduction)
    if gp_weight == 0:
        return loss
    points = interpolate(real.detach(), fake.detach(), rng=rng)
    return loss + gp_weight * gradient_penalty(critic, points, method=method, reduction=reduction)


def relativistic_average_loss(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    form: RelativisticForm = "slidergan",
    gp_weight: float = 10.0,
    method: PenaltyMethod = "auto",
    reduction: Reduction = "mean",
) -> Tensor:
    """SliderGAN's critic loss: relativistic average terms and a gradient penalty at the generated images (Eq. 6).

    ``E[sigmoid(b)] - E[sigmoid(a)] + gp_weight E[(||grad C(fake)||_2 - 1)^2]``, ``a`` and ``b`` as in
    :func:`relativistic_average_critic_loss`.

    Convention:
        The negative of Eq. 6 as printed, so that it is minimised. Trains the critic only: both image
        batches are detached. Contrast with :func:`wgan_gp_loss`: the penalty is taken at the generated
        images, not between.

    Args:
        critic: Images to a CriticOutput or a tensor of scores.
        real: Real images, ``(B, C, H, W)``.
        fake: Generated images, same shape.
        form: ``"slidergan"`` or ``"log"``.
        gp_weight: Weight of the penalty, at least 0; 0 leaves it out.
        method: As in :func:`gradient_penalty`.
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The loss, to be minimised by the critic.

    >>> critic = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 4, bias=False))
    >>> loss = relativistic_average_loss(critic, torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4), gp_weight=0)
    >>> bool(loss.abs() <= 1)
    True
    """
    check_number("gp_weight", gp_weight, low=0)
    loss = relativistic_average_critic_loss(*_scores(critic, real, fake), reduction, form=form)
    if gp_weight == 0:
        return loss
    return loss + gp_weight * gradient_penalty(critic, fake.detach(), method=method, reduction=reduction)
