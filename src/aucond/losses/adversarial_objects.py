"""The adversarial losses as objects, for where a recipe must be able to exchange one for another.

Each object is frozen arguments around a pair of functions of :mod:`aucond.losses.adversarial`: the same
numbers, nothing added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from aucond._check import check_choice
from aucond.losses import adversarial
from aucond.losses.adversarial import RelativisticForm
from aucond.types import Reduction

__all__ = [
    "AdversarialLoss",
    "Hinge",
    "LeastSquares",
    "NonSaturating",
    "RelativisticAverage",
    "RelativisticPairing",
    "Wasserstein",
]


class AdversarialLoss(Protocol):
    """What a recipe asks of an adversarial loss.

    Convention:
        Scores as in :mod:`aucond.losses.adversarial`. Both methods return values to MINIMISE.
    """

    @property
    def needs_real(self) -> bool:
        """Whether the generator's loss needs the scores of real images."""
        ...

    def critic(self, real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean") -> Tensor:
        """The critic's loss."""
        ...

    def generator(
        self, fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
    ) -> Tensor:
        """The generator's loss."""
        ...


@dataclass(frozen=True)
class Wasserstein:
    """Wasserstein losses (GANimation's and StarGAN's); keep the critic near 1-Lipschitz with a gradient penalty.

    >>> import torch
    >>> Wasserstein().critic(torch.tensor([2.0]), torch.tensor([0.5]))
    tensor(-1.5000)
    """

    needs_real: ClassVar[bool] = False

    def critic(self, real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean") -> Tensor:
        """See :func:`~aucond.losses.wgan_critic_loss`."""
        return adversarial.wgan_critic_loss(real_scores, fake_scores, reduction)

    def generator(
        self, fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
    ) -> Tensor:
        """See :func:`~aucond.losses.wgan_generator_loss`."""
        return adversarial.wgan_generator_loss(fake_scores, real_scores, reduction)


@dataclass(frozen=True)
class RelativisticAverage:
    """Relativistic average losses: SliderGAN's (Eq. 5, 6) or the usual logarithmic form.

    Args:
        form: ``"slidergan"`` or ``"log"``.

    >>> import torch
    >>> RelativisticAverage("log").critic(torch.tensor([0.0]), torch.tensor([0.0]))
    tensor(1.3863)
    """

    form: RelativisticForm = "slidergan"
    needs_real: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_choice("form", self.form, ("slidergan", "log"))

    def critic(self, real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean") -> Tensor:
        """See :func:`~aucond.losses.relativistic_average_critic_loss`."""
        return adversarial.relativistic_average_critic_loss(
            real_scores, fake_scores, reduction, form=self.form
        )

    def generator(
        self, fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
    ) -> Tensor:
        """See :func:`~aucond.losses.relativistic_average_generator_loss`."""
        return adversarial.relativistic_average_generator_loss(
            fake_scores, real_scores, reduction, form=self.form
        )


@dataclass(frozen=True)
class RelativisticPairing:
    """R3GAN's relativistic pairing losses; use with :func:`~aucond.losses.r1_penalty` and ``r2_penalty``.

    >>> import torch
    >>> RelativisticPairing().generator(torch.tensor([0.0]), torch.tensor([0.0]))
    tensor(0.6931)
    """

    needs_real: ClassVar[bool] = True

    def critic(self, real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean") -> Tensor:
        """See :func:`~aucond.losses.relativistic_pairing_critic_loss`."""
        return adversarial.relativistic_pairing_critic_loss(real_scores, fake_scores, reduction)

    def generator(
        self, fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
    ) -> Tensor:
        """See :func:`~aucond.losses.relativistic_pairing_generator_loss`."""
        return adversarial.relativistic_pairing_generator_loss(fake_scores, real_scores, reduction)


@dataclass(frozen=True)
class LeastSquares:
    """Least-squares losses (LSGAN, CycleGAN).

    >>> import torch
    >>> LeastSquares().generator(torch.tensor([1.0]))
    tensor(0.)
    """

    needs_real: ClassVar[bool] = False

    def critic(self, real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean") -> Tensor:
        """See :func:`~aucond.losses.least_squares_critic_loss`."""
        return adversarial.least_squares_critic_loss(real_scores, fake_scores, reduction)

    def generator(
        self, fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
    ) -> Tensor:
        """See :func:`~aucond.losses.least_squares_generator_loss`."""
        return adversarial.least_squares_generator_loss(fake_scores, real_scores, reduction)


@dataclass(frozen=True)
class Hinge:
    """Hinge losses.

    >>> import torch
    >>> Hinge().critic(torch.tensor([1.0]), torch.tensor([-1.0]))
    tensor(0.)
    """

    needs_real: ClassVar[bool] = False

    def critic(self, real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean") -> Tensor:
        """See :func:`~aucond.losses.hinge_critic_loss`."""
        return adversarial.hinge_critic_loss(real_scores, fake_scores, reduction)

    def generator(
        self, fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
    ) -> Tensor:
        """See :func:`~aucond.losses.hinge_generator_loss`."""
        return adversarial.hinge_generator_loss(fake_scores, real_scores, reduction)


@dataclass(frozen=True)
class NonSaturating:
    """Cross-entropy critic with the non-saturating generator loss of the first GAN paper.

    >>> import torch
    >>> NonSaturating().generator(torch.tensor([0.0]))
    tensor(0.6931)
    """

    needs_real: ClassVar[bool] = False

    def critic(self, real_scores: Tensor, fake_scores: Tensor, reduction: Reduction = "mean") -> Tensor:
        """See :func:`~aucond.losses.non_saturating_critic_loss`."""
        return adversarial.non_saturating_critic_loss(real_scores, fake_scores, reduction)

    def generator(
        self, fake_scores: Tensor, real_scores: Tensor | None = None, reduction: Reduction = "mean"
    ) -> Tensor:
        """See :func:`~aucond.losses.non_saturating_generator_loss`."""
        return adversarial.non_saturating_generator_loss(fake_scores, real_scores, reduction)
