"""GANimation (Pumarola et al., ECCV 2018): its objective, Eq. 1 to 5, made of the library's pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from aucond._check import check_choice, check_number, describe
from aucond.conditions import ConditionSpace
from aucond.losses import (
    AdversarialLoss,
    Wasserstein,
    attention_l1_loss,
    attention_l2_loss,
    attention_tv_loss,
    condition_regression_loss,
    cycle_identity_loss,
    gradient_penalty,
    interpolate,
)
from aucond.nn import AttentionGenerator, PatchCritic
from aucond.recipes._monitor import watch_edit
from aucond.recipes._pieces import check_behaviours, checked_space, with_noise
from aucond.recipes._weights import check_weights
from aucond.targets import ShuffleTargets, TargetSampler
from aucond.types import Batch, LossTerms

__all__ = ["GANimation", "GANimationWeights"]

_KEEP_MASK_ADVICE = {
    "collapsed_to_0": (
        "raise GANimationWeights.attention, which penalises the keep-mask here (or .condition), or lower .cycle"
    ),
    "collapsed_to_1": "lower GANimationWeights.attention, which penalises the keep-mask here",
}


@dataclass(frozen=True)
class GANimationWeights:
    """The weights of GANimation's terms, and the norm each weight belongs to.

    A weight means nothing without its norm: the paper and the published code print the same numbers in front of
    different reductions. :meth:`paper` and :meth:`published_code` are the two pairings; the fields hold them together.

    Args:
        adversarial: Of the critic's score (1 in both).
        gradient_penalty: lambda_gp (10 in both).
        condition: lambda_y of Eq. 3 (4000 before a squared L2 norm; published code: 4000 / batch size before an MSE).
        attention: lambda_A before the mask norm of Eq. 2 (0.1 in both).
        attention_tv: Weight of the mask's total variation per image (lambda_A * lambda_TV = 1e-5 in the paper;
            published code: 1e-5 times the batch size, as it sums over the batch).
        cycle: lambda_idt of Eq. 4 (10 in both, before a mean absolute difference).
        condition_norm: ``"squared_l2"`` sums over the N components, ``"mse"`` averages.
        attention_norm: ``"l2"`` is the Euclidean norm of Eq. 2, ``"l1"`` the published mean.
        tv_norm: ``"l2"`` is Eq. 2's squared differences, ``"l1"`` the published absolute ones.
        penalised_mask: ``"edit"`` penalises A of Eq. 1 and so keeps edits small; ``"keep"`` penalises 1 - A, as the
            published code does, and so keeps the generator editing.
    """

    adversarial: float = 1.0
    gradient_penalty: float = 10.0
    condition: float = 4000.0
    attention: float = 0.1
    attention_tv: float = 1e-5
    cycle: float = 10.0
    condition_norm: Literal["squared_l2", "mse"] = "squared_l2"
    attention_norm: Literal["l2", "l1"] = "l2"
    tv_norm: Literal["l2", "l1"] = "l2"
    penalised_mask: Literal["edit", "keep"] = "edit"

    def __post_init__(self) -> None:
        check_weights(self)
        check_choice("GANimationWeights.condition_norm", self.condition_norm, ("squared_l2", "mse"))
        check_choice("GANimationWeights.attention_norm", self.attention_norm, ("l2", "l1"))
        check_choice("GANimationWeights.tv_norm", self.tv_norm, ("l2", "l1"))
        check_choice("GANimationWeights.penalised_mask", self.penalised_mask, ("edit", "keep"))

    @classmethod
    def paper(cls) -> GANimationWeights:
        """Section 5 and Eq. 2 to 5 as printed.

        >>> GANimationWeights.paper().condition
        4000.0
        """
        return cls()

    @classmethod
    def published_code(cls, batch_size: int = 25) -> GANimationWeights:
        """The published code's effective weights, which depend on the batch size (25 in its settings).

        >>> GANimationWeights.published_code(batch_size=25).condition
        160.0
        """
        check_number("batch_size", batch_size, low=1, integer=True)
        return cls(
            condition=4000.0 / batch_size,
            attention_tv=1e-5 * batch_size,
            condition_norm="mse",
            attention_norm="l1",
            tv_norm="l1",
            penalised_mask="keep",
        )

    @classmethod
    def small_faces(cls) -> GANimationWeights:
        """What the examples start from for small networks on small faces: found by measuring, not published.

        Set against the published code, the adversarial side weighs nearly twenty times more beside the condition: in
        a run of minutes, a generator that mainly has to please the condition head paints what only that head sees.
        """
        return cls(
            adversarial=7.0,
            gradient_penalty=70.0,
            condition=60.0,
            attention=0.1,
            attention_tv=1e-4,
            condition_norm="mse",
            attention_norm="l1",
            tv_norm="l2",
        )


class GANimation:
    """The objective of GANimation, for any condition space.

    Each method is one equation of the paper. The Trainer calls :meth:`critic_loss` and :meth:`generator_loss` and
    looks no further; so can a loop of your own.

    Args:
        generator: The generator, with an absolute or a relative condition.
        critic: Scores, and predicts the condition with the head named ``"condition"``.
        space: The space of the conditions; by default the generator's.
        weights: See :class:`GANimationWeights`.
        targets: Chooses the target conditions y_f.
        adversarial: Any of the adversarial losses; the paper's is Wasserstein with a gradient penalty.
        instance_noise: Standard deviation of Gaussian noise on every image the critic sees (Sonderby et al. 2017), on
            the scale of [-1, 1]; the paper has none. With noise the critic's gradient has to point at features of the
            face, where without it the generator soon finds faint tints that its condition head takes for expressions.
            A critic that has only seen noisy pictures may misread clean ones: show it :meth:`seen` ones, or teach it
            some batches of clean ones at the end (:func:`~aucond.recipes.pretrain_condition_head`).

    Raises:
        ValueError: No space is known, or the critic has no head ``"condition"``.

    >>> from aucond import OPENFACE_AUS, AttentionGenerator, PatchCritic
    >>> generator = AttentionGenerator(OPENFACE_AUS, base_channels=4, num_residual_blocks=1)
    >>> critic = PatchCritic({"condition": OPENFACE_AUS}, base_channels=4, num_layers=3)
    >>> objective = GANimation(generator, critic)
    >>> rng = torch.Generator().manual_seed(0)
    >>> batch = {"image": torch.rand(4, 3, 16, 16, generator=rng), "condition": torch.rand(4, 17, generator=rng)}
    >>> list(objective.critic_loss(batch, rng))
    ['adversarial', 'gradient_penalty', 'condition']
    >>> list(objective.generator_loss(batch, rng))
    ['adversarial', 'condition', 'attention', 'attention_tv', 'cycle']
    """

    advice: Mapping[str, str] = {
        "collapsed_to_0": "lower GANimationWeights.attention (or .cycle), or raise .condition, so that editing pays",
        "collapsed_to_1": "raise GANimationWeights.attention, so that keeping the input pays",
        "saturated": "raise GANimationWeights.attention_tv or lower the learning rate",
        "edit_too_small": "raise GANimationWeights.condition or lower .cycle",
        "edit_too_large": "raise GANimationWeights.cycle or lower .condition",
        "not_finite": "raise GANimationWeights.gradient_penalty or lower the learning rate",
    }
    """What the Trainer's monitor tells the user to move, by what it saw; another with the keep-mask penalised."""

    def __init__(
        self,
        generator: AttentionGenerator,
        critic: PatchCritic,
        *,
        space: ConditionSpace | None = None,
        weights: GANimationWeights | None = None,
        targets: TargetSampler | None = None,
        adversarial: AdversarialLoss | None = None,
        instance_noise: float = 0.0,
    ) -> None:
        check_number("instance_noise", instance_noise, low=0.0)
        if weights is not None and not isinstance(weights, GANimationWeights):
            raise TypeError(f"weights: expected a GANimationWeights, got {describe(weights)}")
        check_behaviours(targets, adversarial)
        self.generator = generator
        self.critic = critic
        self.space = checked_space(generator, critic, space)
        self.weights = weights if weights is not None else GANimationWeights.paper()
        self.targets = targets if targets is not None else ShuffleTargets()
        self.adversarial = adversarial if adversarial is not None else Wasserstein()
        self.instance_noise = instance_noise
        if self.weights.penalised_mask == "keep":
            self.advice = {**self.advice, **_KEEP_MASK_ADVICE}

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """The critic's side: adversarial with gradient penalty, and the first half of Eq. 3.

        Args:
            batch: ``image`` (B, 3, H, W) in [-1, 1] and ``condition`` (B, N).
            rng: Source of the targets and of the points of the penalty.
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
                "condition": self.condition_term(prediction, current),
            }
        )

    def generator_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """The generator's side, Eq. 5: edit to the target, edit back, and be judged.

        Args:
            batch: ``image`` (B, 3, H, W) in [-1, 1] and ``condition`` (B, N).
            rng: Source of the targets.
        """
        image, current = batch["image"], batch["condition"]
        target = self.targets(current, self.space, rng)
        edited = self.generator.edit(image, target, current)
        restored = self.generator.edit(edited.image, current, target)
        fake_score, predictions = self.critic(self.seen(edited.image, rng))
        real_score = self.critic(self.seen(image, rng)).score if self.adversarial.needs_real else None
        norm_edited, tv_edited = self.attention_terms(edited.attention)
        norm_restored, tv_restored = self.attention_terms(restored.attention)
        return LossTerms(
            {
                "adversarial": self.weights.adversarial * self.adversarial.generator(fake_score, real_score),
                "condition": self.condition_term(predictions["condition"], target),
                "attention": norm_edited + norm_restored,
                "attention_tv": tv_edited + tv_restored,
                "cycle": self.cycle_term(restored.image, image),
            },
            monitor=watch_edit(edited, image),
        )

    def seen(self, image: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """What the critic is shown of images (B, 3, H, W): themselves, or themselves with instance noise."""
        return with_noise(image, self.instance_noise, rng)

    def attention_terms(self, attention: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 2: the weighted norm and the weighted total variation of one pass's mask (B, 1, H, W)."""
        mask = attention if self.weights.penalised_mask == "edit" else 1 - attention
        norm = attention_l2_loss(mask) if self.weights.attention_norm == "l2" else attention_l1_loss(mask)
        tv = attention_tv_loss(mask, norm=self.weights.tv_norm)
        return self.weights.attention * norm, self.weights.attention_tv * tv

    def condition_term(self, prediction: Tensor, condition: Tensor) -> Tensor:
        """Eq. 3: the weighted distance of a predicted (B, N) from a wanted condition (B, N)."""
        distance = condition_regression_loss(prediction, condition, norm=self.weights.condition_norm)
        return self.weights.condition * distance

    def cycle_term(self, restored: Tensor, image: Tensor) -> Tensor:
        """Eq. 4: the weighted distance of the image edited there and back (B, 3, H, W) from the image itself."""
        return self.weights.cycle * cycle_identity_loss(restored, image)
