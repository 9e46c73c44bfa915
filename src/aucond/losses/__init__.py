"""Losses: pure functions on tensors, no weight hidden inside, one value per sample with ``reduction="none"``."""

from __future__ import annotations

from aucond.losses.adversarial import (
    RelativisticForm,
    hinge_critic_loss,
    hinge_generator_loss,
    least_squares_critic_loss,
    least_squares_generator_loss,
    non_saturating_critic_loss,
    non_saturating_generator_loss,
    relativistic_average_critic_loss,
    relativistic_average_generator_loss,
    relativistic_pairing_critic_loss,
    relativistic_pairing_generator_loss,
    wgan_critic_loss,
    wgan_generator_loss,
)
from aucond.losses.adversarial_objects import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    NonSaturating,
    RelativisticAverage,
    RelativisticPairing,
    Wasserstein,
)
from aucond.losses.attention import attention_l1_loss, attention_l2_loss, attention_tv_loss
from aucond.losses.condition import condition_regression_loss
from aucond.losses.critic_losses import relativistic_average_loss, wgan_gp_loss
from aucond.losses.explicit_gradient import HasScoreLayers, explicit_gradient, why_not_explicit
from aucond.losses.identity import IdentityLoss, identity_loss
from aucond.losses.penalties import (
    Critic,
    PenaltyMethod,
    gradient_penalty,
    interpolate,
    r1_penalty,
    r2_penalty,
)
from aucond.losses.reconstruction import cycle_identity_loss, paired_reconstruction_loss

__all__ = [
    "AdversarialLoss",
    "Critic",
    "HasScoreLayers",
    "Hinge",
    "IdentityLoss",
    "LeastSquares",
    "NonSaturating",
    "PenaltyMethod",
    "RelativisticAverage",
    "RelativisticForm",
    "RelativisticPairing",
    "Wasserstein",
    "attention_l1_loss",
    "attention_l2_loss",
    "attention_tv_loss",
    "condition_regression_loss",
    "cycle_identity_loss",
    "explicit_gradient",
    "gradient_penalty",
    "hinge_critic_loss",
    "hinge_generator_loss",
    "identity_loss",
    "interpolate",
    "least_squares_critic_loss",
    "least_squares_generator_loss",
    "non_saturating_critic_loss",
    "non_saturating_generator_loss",
    "paired_reconstruction_loss",
    "r1_penalty",
    "r2_penalty",
    "relativistic_average_critic_loss",
    "relativistic_average_generator_loss",
    "relativistic_average_loss",
    "relativistic_pairing_critic_loss",
    "relativistic_pairing_generator_loss",
    "wgan_critic_loss",
    "wgan_generator_loss",
    "wgan_gp_loss",
    "why_not_explicit",
]
