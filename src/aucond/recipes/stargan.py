"""StarGAN (Choi et al., CVPR 2018): its objective, Eq. 1 to 6 and 8, made of the library's pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from aucond._check import check_choice, check_number, describe
from aucond.conditions import ConditionSpace
from aucond.losses import AdversarialLoss, Wasserstein, cycle_identity_loss, gradient_penalty, interpolate
from aucond.nn import AttentionGenerator, PatchCritic
from aucond.recipes._pieces import check_behaviours, checked_space, with_noise
from aucond.recipes._weights import check_weights
from aucond.targets import ShuffleTargets, TargetSampler
from aucond.types import Batch, LossTerms

__all__ = ["StarGAN", "StarGANWeights"]


@dataclass(frozen=True)
class StarGANWeights:
    """The weights of StarGAN's terms; the defaults are the paper's (Section 3.1 and Eq. 8).

    Args:
        adversarial: Of the critic's score (1).
        gradient_penalty: lambda_gp of Eq. 8 (10).
        classification: lambda_cls of Eq. 5 and 6 (1).
        reconstruction: lambda_rec of Eq. 6 (10, before a mean absolute difference).
        classes: ``"exclusive"``: one label an image, cross entropy, as the paper trains expressions (RaFD).
            ``"independent"``: any number of labels, the sum of their binary cross entropies, as the published code
            trains attributes (CelebA).
    """

    adversarial: float = 1.0
    gradient_penalty: float = 10.0
    classification: float = 1.0
    reconstruction: float = 10.0
    classes: Literal["exclusive", "independent"] = "exclusive"

    def __post_init__(self) -> None:
        check_weights(self)
        check_choice("StarGANWeights.classes", self.classes, ("exclusive", "independent"))

    @classmethod
    def paper(cls) -> StarGANWeights:
        """Section 3.1 and Eq. 8 as printed.

        >>> StarGANWeights.paper().reconstruction
        10.0
        """
        return cls()


class StarGAN:
    """The objective of StarGAN, for any set of labels.

    Each method is one equation of the paper. Beside :class:`~aucond.GANimation` the condition is a label, the head
    classifies, and nothing is said about a mask: with a :class:`~aucond.recipes.MasklessGenerator` there is none,
    with an :class:`~aucond.AttentionGenerator` it is free.

    Args:
        generator: Edits.
        critic: Scores, and classifies with the head named ``"condition"``
            (``partial(ClassificationHead, num_classes=space.dim)``).
        space: The labels (:func:`~aucond.labels`); by default the generator's.
        weights: See :class:`StarGANWeights`.
        targets: Chooses the target labels c; by default those of the other images in the batch, as published.
        adversarial: Any of the adversarial losses; the paper trains with Eq. 8, Wasserstein with a gradient penalty.
        instance_noise: Standard deviation of Gaussian noise on every image the critic sees, as in
            :class:`~aucond.GANimation`; the paper has none.

    Raises:
        ValueError: No labels are known, or the critic has no head ``"condition"``.
        TypeError: A piece of the wrong kind.

    >>> from functools import partial
    >>> from aucond import ClassificationHead, PatchCritic, labels
    >>> from aucond.recipes import MasklessGenerator
    >>> space = labels(["neutral", "happy"])
    >>> generator = MasklessGenerator(space, base_channels=4, num_residual_blocks=1)
    >>> head = partial(ClassificationHead, num_classes=space.dim)
    >>> objective = StarGAN(generator, PatchCritic({"condition": head}, base_channels=4, num_layers=3))
    >>> rng = torch.Generator().manual_seed(0)
    >>> batch = {"image": torch.rand(2, 3, 16, 16, generator=rng), "condition": torch.eye(2)}
    >>> list(objective.critic_loss(batch, rng))
    ['adversarial', 'gradient_penalty', 'classification']
    >>> list(objective.generator_loss(batch, rng))
    ['adversarial', 'classification', 'reconstruction']
    """

    advice: ClassVar[dict[str, str]] = {
        "edit_too_small": "raise StarGANWeights.classification or lower .reconstruction",
        "edit_too_large": "raise StarGANWeights.reconstruction",
        "not_finite": "raise StarGANWeights.gradient_penalty or lower the learning rate",
    }
    """What the Trainer's monitor tells the user to move, by what it saw."""

    def __init__(
        self,
        generator: AttentionGenerator,
        critic: PatchCritic,
        *,
        space: ConditionSpace | None = None,
        weights: StarGANWeights | None = None,
        targets: TargetSampler | None = None,
        adversarial: AdversarialLoss | None = None,
        instance_noise: float = 0.0,
    ) -> None:
        check_number("instance_noise", instance_noise, low=0.0)
        check_behaviours(targets, adversarial)
        if weights is not None and not isinstance(weights, StarGANWeights):
            raise TypeError(f"weights: expected a StarGANWeights, got {describe(weights)}")
        self.generator = generator
        self.critic = critic
        self.space = checked_space(generator, critic, space)
        self.weights = weights if weights is not None else StarGANWeights.paper()
        self.targets = targets if targets is not None else ShuffleTargets(jitter=0.0)
        self.adversarial = adversarial if adversarial is not None else Wasserstein()
        self.instance_noise = instance_noise

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """The critic's side, Eq. 5: ``-L_adv + lambda_cls L_cls^r``, with L_adv of Eq. 8.

        Args:
            batch: ``image`` (B, 3, H, W) in [-1, 1] and ``condition``, the labels (B, N) as 0 and 1.
            rng: Source of the targets, of the points of the penalty and of the noise.
        """
        image, current = batch["image"], batch["condition"]
        target = self.targets(current, self.space, rng)
        with torch.no_grad():
            fake = self.generator.edit(image, target, current).image
        # The critic treats every image on its own, so one pass over both halves gives the same numbers sooner.
        scores, predictions = self.critic(self.seen(torch.cat([image, fake]), rng))
        real_score, fake_score = scores.chunk(2)
        prediction = predictions["condition"][: image.shape[0]]
        points = self.seen(interpolate(image, fake, rng=rng), rng)
        return LossTerms(
            {
                "adversarial": self.weights.adversarial * self.adversarial.critic(real_score, fake_score),
                "gradient_penalty": self.weights.gradient_penalty * gradient_penalty(self.critic, points),
                "classification": self.classification_term(prediction, current),
            }
        )

    def generator_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """The generator's side, Eq. 6: ``L_adv + lambda_cls L_cls^f + lambda_rec L_rec``.

        Args:
            batch: As of :meth:`critic_loss`.
            rng: Source of the targets and of the noise.
        """
        image, current = batch["image"], batch["condition"]
        target = self.targets(current, self.space, rng)
        edited = self.generator.edit(image, target, current)
        restored = self.generator.edit(edited.image, current, target)
        fake_score, predictions = self.critic(self.seen(edited.image, rng))
        real_score = self.critic(self.seen(image, rng)).score if self.adversarial.needs_real else None
        return LossTerms(
            {
                "adversarial": self.weights.adversarial * self.adversarial.generator(fake_score, real_score),
                "classification": self.classification_term(predictions["condition"], target),
                "reconstruction": self.reconstruction_term(restored.image, image),
            },
            monitor={"edit_size": (edited.image - image).abs().mean()},
        )

    def seen(self, image: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """What the critic is shown of images (B, 3, H, W): themselves, or themselves with instance noise."""
        return with_noise(image, self.instance_noise, rng)

    def classification_term(self, logits: Tensor, label: Tensor) -> Tensor:
        """Eq. 2 (real images, their own labels) and Eq. 3 (edits, the target labels): ``E[-log D_cls(c | x)]``.

        Args:
            logits: The head's (B, N).
            label: The labels (B, N), 0 or 1.
        """
        if self.weights.classes == "exclusive":
            loss = F.cross_entropy(logits, label)
        else:
            loss = F.binary_cross_entropy_with_logits(logits, label, reduction="none").sum(1).mean()
        return self.weights.classification * loss

    def reconstruction_term(self, restored: Tensor, image: Tensor) -> Tensor:
        """Eq. 4: the weighted distance of the image edited there and back (B, 3, H, W) from the image itself."""
        return self.weights.reconstruction * cycle_identity_loss(restored, image)
