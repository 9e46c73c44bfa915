"""SliderGAN (Ververas & Zafeiriou, IJCV 2020): its objective, Eq. 4 to 14, made of the library's pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from aucond._check import check_choice, check_number, describe
from aucond.conditions import ConditionSpace
from aucond.losses import (
    AdversarialLoss,
    IdentityLoss,
    RelativisticAverage,
    attention_l1_loss,
    condition_regression_loss,
    cycle_identity_loss,
    gradient_penalty,
    interpolate,
    paired_reconstruction_loss,
)
from aucond.nn import AttentionGenerator, PatchCritic
from aucond.recipes._monitor import watch_edit
from aucond.recipes._pieces import check_behaviours, checked_space, with_noise
from aucond.recipes._weights import check_weights
from aucond.targets import ShuffleTargets, TargetSampler
from aucond.types import Batch, LossTerms

__all__ = ["SliderGAN", "SliderGANWeights"]

_CHANNELS = 3
"""Of an image: what a sum over channels has more than a mean."""


@dataclass(frozen=True)
class SliderGANWeights:
    """The weights of SliderGAN's terms, and the norm of its image distances.

    The defaults are Section 3.2's; where the paper says nothing, the field says what is taken instead.

    Args:
        adversarial: lambda_adv (30), of the whole of Eq. 6: the scores and the gradient penalty.
        gradient_penalty: lambda_gp inside Eq. 6 (not printed; 10 as in WGAN-GP, which the paper refers to). Its
            effective weight is ``adversarial * gradient_penalty``; contrast with
            :class:`~aucond.GANimationWeights`, where it stands alone.
        expression: lambda_exp (1000) of Eq. 7 and 8, means over the N parameters.
        reconstruction: lambda_rec (10) of Eq. 9.
        generation: lambda_gen (10) of Eq. 10; only batches with exact pairs have this term.
        identity: lambda_id (4) of Eq. 11; only with an :class:`~aucond.IdentityLoss`.
        attention: lambda_att (0.3) of Eq. 12.
        image_norm: What Eq. 9 and 10 divide the sum over pixels and channels by: ``"per_pixel"`` by W H, as printed;
            ``"mean"`` by 3 W H, as most code does.
    """

    adversarial: float = 30.0
    gradient_penalty: float = 10.0
    expression: float = 1000.0
    reconstruction: float = 10.0
    generation: float = 10.0
    identity: float = 4.0
    attention: float = 0.3
    image_norm: Literal["per_pixel", "mean"] = "per_pixel"

    def __post_init__(self) -> None:
        check_weights(self)
        check_choice("SliderGANWeights.image_norm", self.image_norm, ("per_pixel", "mean"))

    @classmethod
    def paper(cls) -> SliderGANWeights:
        """Section 3.2 and Eq. 4 to 14 as printed.

        >>> SliderGANWeights.paper().expression
        1000.0
        """
        return cls()

    @classmethod
    def small_faces(cls) -> SliderGANWeights:
        """What small networks on 64-pixel faces are trained with in minutes: not published.

        The term of exact pairs dominates; the adversarial side is there to sharpen. Chosen by reasoning and used for
        the editor that is shipped. The example raises ``expression`` to 40.
        """
        return cls(
            adversarial=1.0,
            gradient_penalty=10.0,
            expression=20.0,
            reconstruction=10.0,
            generation=100.0,
            identity=4.0,
            attention=0.1,
            image_norm="mean",
        )


class SliderGAN:
    """The objective of SliderGAN, for any condition space; semi-supervised.

    Each method is one equation of the paper. A batch that carries exact pairs (``target_image`` and
    ``target_condition``) gets the term of Eq. 10 and is edited to the pairs' conditions; any other batch is unpaired
    and its targets come from ``targets``. Which batch is which, and when, is the loader's affair
    (:class:`~aucond.data.PairedPhases`).

    The variants: SliderGAN-RaD is ``adversarial=RelativisticAverage()``, the default; SliderGAN-WGP is
    ``adversarial=Wasserstein()``.

    Args:
        generator: The generator, with an absolute or a relative condition.
        critic: Scores, and predicts the parameters with the head named ``"condition"``.
        space: The space of the conditions; by default the generator's.
        weights: See :class:`SliderGANWeights`.
        targets: Chooses the target conditions p_trg of unpaired batches.
        adversarial: Any of the adversarial losses.
        penalty_points: Where the critic's gradient is measured: ``"generated"`` images (Eq. 6) or points
            ``"between"`` real and generated ones (WGAN-GP). None: ``"generated"`` for a loss whose generator side
            looks at real images too (RaD), else ``"between"`` (WGP).
        identity: The identity term of Eq. 11; None leaves it out.
        instance_noise: Standard deviation of Gaussian noise on every image the critic sees, as in
            :class:`~aucond.GANimation`; the paper has none.

    Raises:
        ValueError: No space is known, or the critic has no head ``"condition"``.
        TypeError: A piece of the wrong kind.

    >>> from aucond import AttentionGenerator, PatchCritic, pca_blendshapes
    >>> space = pca_blendshapes(30)
    >>> generator = AttentionGenerator(space, base_channels=4, num_residual_blocks=1)
    >>> objective = SliderGAN(generator, PatchCritic({"condition": space}, base_channels=4, num_layers=3))
    >>> rng = torch.Generator().manual_seed(0)
    >>> batch = {"image": torch.rand(4, 3, 16, 16, generator=rng), "condition": torch.rand(4, 30, generator=rng)}
    >>> list(objective.critic_loss(batch, rng))
    ['adversarial', 'gradient_penalty', 'expression']
    >>> list(objective.generator_loss(batch, rng))
    ['adversarial', 'expression', 'reconstruction', 'attention']
    >>> pairs = batch | {"target_image": batch["image"].flip(0), "target_condition": batch["condition"].flip(0)}
    >>> list(objective.generator_loss(pairs, rng))
    ['adversarial', 'expression', 'reconstruction', 'generation', 'attention']
    """

    advice: ClassVar[dict[str, str]] = {
        "collapsed_to_0": "lower SliderGANWeights.attention or .identity, or raise .generation or .expression",
        "collapsed_to_1": "raise SliderGANWeights.attention, so that keeping the input pays",
        "saturated": "raise SliderGANWeights.attention or lower the learning rate",
        "edit_too_small": "raise SliderGANWeights.generation or .expression, or lower .identity",
        "edit_too_large": "raise SliderGANWeights.reconstruction or lower .expression",
        "not_finite": "raise SliderGANWeights.gradient_penalty or lower the learning rate",
    }
    """What the Trainer's monitor tells the user to move, by what it saw."""

    def __init__(
        self,
        generator: AttentionGenerator,
        critic: PatchCritic,
        *,
        space: ConditionSpace | None = None,
        weights: SliderGANWeights | None = None,
        targets: TargetSampler | None = None,
        adversarial: AdversarialLoss | None = None,
        penalty_points: Literal["generated", "between"] | None = None,
        identity: IdentityLoss | None = None,
        instance_noise: float = 0.0,
    ) -> None:
        check_number("instance_noise", instance_noise, low=0.0)
        check_behaviours(targets, adversarial)
        if weights is not None and not isinstance(weights, SliderGANWeights):
            raise TypeError(f"weights: expected a SliderGANWeights, got {describe(weights)}")
        if identity is not None and not isinstance(identity, IdentityLoss):
            raise TypeError(f"identity: expected an IdentityLoss(encoder), got {describe(identity)}")
        if penalty_points is not None:
            check_choice("penalty_points", penalty_points, ("generated", "between"))
        self.generator = generator
        self.critic = critic
        self.space = checked_space(generator, critic, space)
        self.weights = weights if weights is not None else SliderGANWeights.paper()
        self.targets = targets if targets is not None else ShuffleTargets(jitter=0.0)
        self.adversarial = adversarial if adversarial is not None else RelativisticAverage()
        self.penalty_points = penalty_points or ("generated" if self.adversarial.needs_real else "between")
        self.identity = identity
        self.instance_noise = instance_noise

    def to(self, device: torch.device | str) -> SliderGAN:
        """Move the networks and the encoder of the identity term."""
        for network in (self.generator, self.critic, self.identity):
            if network is not None:
                network.to(device)
        return self

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """The critic's side, Eq. 14: ``-L_adv + lambda_exp L_exp,D``.

        Args:
            batch: ``image`` (B, 3, H, W) in [-1, 1] and ``condition`` (B, N); with exact pairs ``target_condition``
                (B, N) and ``target_image`` (B, 3, H, W).
            rng: Source of the targets, of the points of the penalty and of the noise.
        """
        image, current = batch["image"], batch["condition"]
        target = self.target(batch, rng)
        with torch.no_grad():
            fake = self.generator.edit(image, target, current).image
        # The critic treats every image on its own, so one pass over both halves gives the same numbers sooner.
        scores, predictions = self.critic(self.seen(torch.cat([image, fake]), rng))
        real_score, fake_score = scores.chunk(2)
        prediction = predictions["condition"][: image.shape[0]]
        points = fake if self.penalty_points == "generated" else interpolate(image, fake, rng=rng)
        penalty = self.weights.gradient_penalty * gradient_penalty(self.critic, self.seen(points, rng))
        return LossTerms(
            {
                "adversarial": self.weights.adversarial * self.adversarial.critic(real_score, fake_score),
                "gradient_penalty": self.weights.adversarial * penalty,
                "expression": self.expression_term(prediction, current),
            }
        )

    def generator_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """The generator's side, Eq. 13, with the term of Eq. 10 where the batch has exact pairs.

        Args:
            batch: As of :meth:`critic_loss`.
            rng: Source of the targets and of the noise.
        """
        image, current = batch["image"], batch["condition"]
        target = self.target(batch, rng)
        edited = self.generator.edit(image, target, current)
        restored = self.generator.edit(edited.image, current, target)
        fake_score, predictions = self.critic(self.seen(edited.image, rng))
        terms = {
            "adversarial": self.adversarial_term(fake_score, image, rng),
            "expression": self.expression_term(predictions["condition"], target),
            "reconstruction": self.reconstruction_term(restored.image, image),
        }
        if "target_image" in batch:
            terms["generation"] = self.generation_term(edited.image, batch["target_image"])
        if self.identity is not None:
            terms["identity"] = self.weights.identity * self.identity(edited.image, image)
        terms["attention"] = self.attention_term(edited.attention, restored.attention)
        return LossTerms(terms, monitor=watch_edit(edited, image))

    def target(self, batch: Batch, rng: torch.Generator | None = None) -> Tensor:
        """p_trg (B, N): the pair's where the batch has exact pairs, else drawn."""
        if "target_condition" in batch:
            return batch["target_condition"]
        if "target_image" in batch:
            raise ValueError(
                "batch: expected 'target_condition' beside 'target_image', got an exact pair without its condition"
            )
        return self.targets(batch["condition"], self.space, rng)

    def seen(self, image: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """What the critic is shown of images (B, 3, H, W): themselves, or themselves with instance noise."""
        return with_noise(image, self.instance_noise, rng)

    def adversarial_term(
        self, fake_score: Tensor, image: Tensor, rng: torch.Generator | None = None
    ) -> Tensor:
        """Eq. 5 and 6 from the generator's side; the real images have a part in it if the loss is relativistic."""
        real_score = None
        if self.adversarial.needs_real:
            with torch.no_grad():
                real_score = self.critic(self.seen(image, rng)).score
        return self.weights.adversarial * self.adversarial.generator(fake_score, real_score)

    def expression_term(self, prediction: Tensor, condition: Tensor) -> Tensor:
        """Eq. 7 and 8: the weighted mean squared distance of predicted (B, N) from wanted parameters (B, N)."""
        return self.weights.expression * condition_regression_loss(prediction, condition, norm="mse")

    def reconstruction_term(self, restored: Tensor, image: Tensor) -> Tensor:
        """Eq. 9: the weighted distance of the image edited there and back (B, 3, H, W) from the image itself."""
        return self.weights.reconstruction * self._per_pixel(cycle_identity_loss(restored, image))

    def generation_term(self, edited: Tensor, truth: Tensor) -> Tensor:
        """Eq. 10: the weighted distance of the edit (B, 3, H, W) from the pair's true image."""
        return self.weights.generation * self._per_pixel(paired_reconstruction_loss(edited, truth))

    def attention_term(self, mask: Tensor, mask_back: Tensor) -> Tensor:
        """Eq. 12: the weighted means of both passes' masks (B, 1, H, W)."""
        return self.weights.attention * (attention_l1_loss(mask) + attention_l1_loss(mask_back))

    def _per_pixel(self, mean: Tensor) -> Tensor:
        return _CHANNELS * mean if self.weights.image_norm == "per_pixel" else mean
