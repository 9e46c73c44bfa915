"""What masked recipes check of their pieces, and how they show images to the critic."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aucond._check import describe
from aucond.conditions import ConditionSpace
from aucond.nn import AttentionGenerator, PatchCritic


def checked_space(
    generator: AttentionGenerator, critic: PatchCritic, space: ConditionSpace | None
) -> ConditionSpace:
    """The space given, or else the generator's, if both networks fit it."""
    space = space if space is not None else generator.space
    if space is None:
        raise ValueError(
            "space: expected a ConditionSpace, here or as the generator's condition, got None and a bare length"
        )
    if space.dim != generator.condition_dim:
        raise ValueError(
            f"space: expected {generator.condition_dim} conditions as the generator has, got {space.dim}"
        )
    if "condition" not in critic.heads:
        raise ValueError(
            f"critic: expected a head named 'condition', got heads {sorted(critic.heads)}; "
            "build it as PatchCritic({'condition': space})"
        )
    return space


def check_behaviours(targets: Any, adversarial: Any) -> None:
    """Raise unless each is None or an object of its kind; a class in place of its object is the usual slip."""
    if targets is not None and (isinstance(targets, type) or not callable(targets)):
        raise TypeError(
            f"targets: expected a target sampler such as ShuffleTargets(), got {describe(targets)}"
        )
    if isinstance(adversarial, type) or (
        adversarial is not None and not (hasattr(adversarial, "critic") and hasattr(adversarial, "generator"))
    ):
        got = f"the class {adversarial.__name__}" if isinstance(adversarial, type) else describe(adversarial)
        raise TypeError(
            f"adversarial: expected an adversarial loss such as Wasserstein() or Hinge(), an object, got {got}"
        )


def with_noise(image: Tensor, deviation: float, rng: torch.Generator | None) -> Tensor:
    """Images plus Gaussian noise of a standard deviation; with 0 the very images."""
    if deviation == 0:
        return image
    device = image.device if rng is None else rng.device
    noise = torch.randn(image.shape, generator=rng, device=device, dtype=image.dtype).to(image.device)
    return image + deviation * noise
