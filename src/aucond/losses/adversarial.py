"""Adversarial losses on scores: what the critic and what the generator minimise.

Every function takes scores and gives a loss to MINIMISE, and all come in pairs of one signature,
``..._critic_loss(real_scores, fake_scores)`` and ``..._generator_loss(fake_scores, real_scores=None)``,
so that one can stand in for another.

Convention:
    Scores are unbounded and higher means more real, ``(B,)``, ``(B, 1)`` or patch maps ``(B, 1, h, w)``.
    The loss is formed for every patch and a sample's value is the MEAN over its patches, as in the published
    codes; ``reduction="none"`` gives these values ``(B,)``. Real and fake scores have one shape.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch.nn.functional as F
from torch import Tensor

from aucond._check import check_choice
from aucond.losses._reduce import check_score_pair, check_scores, in_float, mean_per_sample, reduce_samples
from aucond.types import Reduction

__all__ = [
    "RelativisticForm",
    "hinge_critic_loss",
    "hinge_generator_loss",
    "least_squares_critic_loss",
    "least_squares_generator_loss",
    "non_saturating_critic_loss",
    "non_saturating_generator_loss",
    "relativistic_average_critic_loss",
    "relativistic_average_generator_loss",
    "relativistic_pairing_critic_loss",
    "relativistic_pairing_generator_loss",
    "wgan_critic_loss",
    "wgan_generator_loss",
]

RelativisticForm: TypeAlias = Literal["slidergan", "log"]
"""``"slidergan"``: plain sigmoids (SliderGAN Eq. 5, 6); ``"log"``: their cross entropies (the usual RaGAN)."""


def _need_real(real_scores: Tensor | None, loss: str) -> Tensor:
    if real_scores is None:
        raise ValueError(
            f"real_scores: expected the scores of the real images, got None ({loss} is relativistic: "
            "its generator loss compares fakes with reals)"
        )
    return real_scores


def _finish(per_patch: Tensor, reduction: Reduction) -> Tensor:
    return reduce_samples(mean_per_sample(per_patch), reduction)


def _fakes(fake_scores: Tensor, real_scores: Tensor | None) -> Tensor:
    """Check the scores of a generator loss that looks at the fakes only."""
    if real_scores is not None:
        check_score_pair(real_scores, fake_scores)
    return in_float(check_scores("fake_scores", fake_scores))


def wgan_critic_loss(real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Wasserstein critic loss, ``E[D(fake)] - E[D(real)]`` (GANimation, the critic's first two terms).

    Args:
        real_scores: Scores of real images, ``(B,)``, ``(B, 1)`` or ``(B, 1, h, w)``.
        fake_scores: Scores of generated images, same shape.
        reduction: ``"none"`` gives ``(B,)``: the i-th fake's score minus the i-th real's.

    Returns:
        The loss, to be minimised by the critic.

    >>> import torch
    >>> wgan_critic_loss(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 1.0]))
    tensor(-2.)
    """
    real, fake = check_score_pair(real_scores, fake_scores)
    return _finish(fake - real, reduction)


def wgan_generator_loss(
    fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Wasserstein generator loss, ``-E[D(fake)]``; ``real_scores`` are not used.

    >>> import torch
    >>> wgan_generator_loss(torch.tensor([1.0, 3.0]))
    tensor(-2.)
    """
    return _finish(-_fakes(fake_scores, real_scores), reduction)


def relativistic_average_critic_loss(
    real_scores: Tensor,
    fake_scores: Tensor,
    reduction: Reduction = "mean",
    *,
    form: RelativisticForm = "slidergan",
) -> Tensor:
    """Relativistic average critic loss: how much more real are reals than the average fake, and vice versa.

    With ``a = C(real) - mean C(fake)`` and ``b = C(fake) - mean C(real)`` (SliderGAN Eq. 5):
    ``form="slidergan"`` is ``E[sigmoid(b)] - E[sigmoid(a)]``, the negative of SliderGAN Eq. 6 without its
    penalty; ``form="log"`` is ``-E[log sigmoid(a)] - E[log(1 - sigmoid(b))]`` (Jolicoeur-Martineau 2019).

    Convention:
        The means are over the whole batch given and all its patches, as Eq. 5 has it, so a sample's value
        depends on the others by definition. The two expectations are added, not halved.

    Args:
        real_scores: Scores of real images, ``(B,)``, ``(B, 1)`` or ``(B, 1, h, w)``.
        fake_scores: Scores of generated images, same shape.
        reduction: ``"none"`` gives ``(B,)``: the i-th real's term plus the i-th fake's.
        form: Which of the two forms.

    Returns:
        The loss, to be minimised by the critic.

    >>> import torch
    >>> relativistic_average_critic_loss(torch.tensor([0.0]), torch.tensor([0.0]))
    tensor(0.)
    """
    check_choice("form", form, ("slidergan", "log"))
    real, fake = check_score_pair(real_scores, fake_scores)
    real_over_fake, fake_over_real = real - fake.mean(), fake - real.mean()
    if form == "slidergan":
        return _finish(fake_over_real.sigmoid() - real_over_fake.sigmoid(), reduction)
    return _finish(F.softplus(-real_over_fake) + F.softplus(fake_over_real), reduction)


def relativistic_average_generator_loss(
    fake_scores: Tensor,
    real_scores: Tensor | None = None,
    reduction: Reduction = "mean",
    *,
    form: RelativisticForm = "slidergan",
) -> Tensor:
    """Relativistic average generator loss: the critic's with real and fake exchanged.

    Both terms are in the generator's objective (SliderGAN Eq. 6), so ``real_scores`` are needed.

    >>> import torch
    >>> relativistic_average_generator_loss(torch.tensor([0.0]), torch.tensor([0.0]))
    tensor(0.)

    Raises:
        ValueError: ``real_scores`` is missing or of another shape.
    """
    real = _need_real(real_scores, "RelativisticAverage")
    check_score_pair(real, fake_scores)
    return relativistic_average_critic_loss(fake_scores, real, reduction, form=form)


def relativistic_pairing_critic_loss(
    real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """Relativistic pairing critic loss, ``E[softplus(-(C(real) - C(fake)))]`` (R3GAN, 2024).

    The i-th real is paired with the i-th fake. To be used with :func:`~aucond.losses.r1_penalty` and
    :func:`~aucond.losses.r2_penalty`.

    >>> import torch
    >>> relativistic_pairing_critic_loss(torch.tensor([1.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    real, fake = check_score_pair(real_scores, fake_scores)
    return _finish(F.softplus(fake - real), reduction)


def relativistic_pairing_generator_loss(
    fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Relativistic pairing generator loss, ``E[softplus(-(C(fake) - C(real)))]`` (R3GAN, 2024).

    >>> import torch
    >>> relativistic_pairing_generator_loss(torch.tensor([1.0]), torch.tensor([1.0]))
    tensor(0.6931)

    Raises:
        ValueError: ``real_scores`` is missing or of another shape.
    """
    real, fake = check_score_pair(_need_real(real_scores, "RelativisticPairing"), fake_scores)
    return _finish(F.softplus(real - fake), reduction)


def least_squares_critic_loss(
    real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """Least-squares critic loss, ``0.5 E[(D(real) - 1)^2] + 0.5 E[D(fake)^2]`` (LSGAN Eq. 9; CycleGAN).

    >>> import torch
    >>> least_squares_critic_loss(torch.tensor([0.0]), torch.tensor([2.0]))
    tensor(2.5000)
    """
    real, fake = check_score_pair(real_scores, fake_scores)
    return _finish(0.5 * (real - 1).square() + 0.5 * fake.square(), reduction)


def least_squares_generator_loss(
    fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Least-squares generator loss, ``0.5 E[(D(fake) - 1)^2]`` (LSGAN Eq. 9).

    Contrast with CycleGAN, which halves the critic's loss but not the generator's: give this a weight of
    2 there.

    >>> import torch
    >>> least_squares_generator_loss(torch.tensor([3.0]))
    tensor(2.)
    """
    return _finish(0.5 * (_fakes(fake_scores, real_scores) - 1).square(), reduction)


def hinge_critic_loss(real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Hinge critic loss, ``E[max(0, 1 - D(real))] + E[max(0, 1 + D(fake))]`` (Lim & Ye 2017, SAGAN Eq. 4).

    >>> import torch
    >>> hinge_critic_loss(torch.tensor([0.5]), torch.tensor([-2.0]))
    tensor(0.5000)
    """
    real, fake = check_score_pair(real_scores, fake_scores)
    return _finish(F.relu(1 - real) + F.relu(1 + fake), reduction)


def hinge_generator_loss(
    fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Hinge generator loss, ``-E[D(fake)]``; ``real_scores`` are not used.

    >>> import torch
    >>> hinge_generator_loss(torch.tensor([3.0]))
    tensor(-3.)
    """
    return wgan_generator_loss(fake_scores, real_scores, reduction)


def non_saturating_critic_loss(
    real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy critic loss, ``-E[log s(D(real))] - E[log(1 - s(D(fake)))]``, s the sigmoid (GAN 2014).

    >>> import torch
    >>> non_saturating_critic_loss(torch.tensor([0.0]), torch.tensor([0.0]))
    tensor(1.3863)
    """
    real, fake = check_score_pair(real_scores, fake_scores)
    return _finish(F.softplus(-real) + F.softplus(fake), reduction)


def non_saturating_generator_loss(
    fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Non-saturating generator loss, ``-E[log s(D(fake))]``, s the sigmoid (GAN 2014).

    >>> import torch
    >>> non_saturating_generator_loss(torch.tensor([0.0]))
    tensor(0.6931)
    """
    return _finish(F.softplus(-_fakes(fake_scores, real_scores)), reduction)
