"""What the papers' tables measure of one trained generator and critic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from paper_data import CLASSES, Annotation, Edits
from torch import Tensor, nn

from aucond import AttentionGenerator, GANimation
from aucond.faces import IdentityEncoder
from aucond.metrics import (
    classification_accuracy,
    condition_error,
    identity_cosine,
    image_euclidean_distance,
    mask_statistics,
)
from aucond.recipes import SliderGAN

SHORTEST = 0.25
"""Conditions shorter than this have no meaningful relative error and are left out of Table 4."""


@dataclass(frozen=True, eq=False)
class Task:
    """Edits as one annotation writes them: conditions before and after."""

    source: Tensor
    current: Tensor
    target: Tensor
    truth: Tensor

    @classmethod
    def of(cls, edits: Edits, annotation: Annotation) -> Task:
        """Write edits down in an annotation."""
        current, target = annotation.annotate(edits.current), annotation.annotate(edits.target)
        return cls(edits.source, current, target, edits.truth)


@dataclass(frozen=True, eq=False)
class Trials:
    """The edits that systems of one annotation are asked for, and the judges that had no part in any training."""

    expressions: Task
    speech: Task
    discrete: Task
    classes: Tensor
    classifier: nn.Module
    encoder: IdentityEncoder


@torch.inference_mode()
def edited(generator: AttentionGenerator, task: Task) -> tuple[Tensor, Tensor]:
    """The edits (M, 3, H, W) and their masks."""
    outputs = [
        generator.edit(*part)
        for part in zip(task.source.split(50), task.target.split(50), task.current.split(50), strict=True)
    ]
    return torch.cat([o.image for o in outputs]), torch.cat([o.attention for o in outputs])


@torch.inference_mode()
def read(objective: GANimation | SliderGAN, images: Tensor) -> Tensor:
    """The conditions that the critic's head reads from images, shown to it as in its training.

    A critic that has only seen noisy pictures may be lost without the noise.
    """
    rng = torch.Generator().manual_seed(0)
    parts = [objective.critic(objective.seen(part, rng)) for part in images.split(50)]
    return torch.cat([part.predictions["condition"] for part in parts])


def relative_error(prediction: Tensor, target: Tensor) -> float:
    """SliderGAN Table 4: mean of ``||p - y|| / ||y||`` over samples that are not next to neutral."""
    kept = target.norm(dim=1) >= SHORTEST
    return float(condition_error(prediction[kept], target[kept], relative=True, reduction="mean"))


def ied(a: Tensor, b: Tensor) -> float:
    """Mean squared IED per pixel of images in [-1, 1]."""
    return float(image_euclidean_distance(a, b, per_pixel=True, reduction="mean"))


def score(
    generator: AttentionGenerator, objective: GANimation | SliderGAN, trials: Trials
) -> dict[str, float]:
    """Every figure of the tables for one trained system: its averaged generator, and the critic it was trained with."""
    generator.eval()
    objective.critic.eval()
    images, masks = edited(generator, trials.expressions)
    spoken, _ = edited(generator, trials.speech)
    discrete, _ = edited(generator, trials.discrete)
    current, target = trials.expressions.current, trials.expressions.target
    return {
        "ied": ied(images, trials.expressions.truth),
        "ied_speech": ied(spoken, trials.speech.truth),
        **recognition(trials.classifier, discrete, trials.classes),
        "regression_error": relative_error(read(objective, trials.expressions.source), current),
        "consistency": relative_error(read(objective, images), target),
        "identity_cosine": float(
            identity_cosine(trials.encoder, images, trials.expressions.source, reduction="mean")
        ),
        "attention_mean": float(mask_statistics(masks, reduction="mean").mean),
    }


def references(trials: Trials) -> dict[str, dict[str, float]]:
    """The same figures of doing nothing, and of the truth itself."""

    def figures(pick: Callable[[Task], Tensor]) -> dict[str, float]:
        expressions = pick(trials.expressions)
        return {
            "ied": ied(expressions, trials.expressions.truth),
            "ied_speech": ied(pick(trials.speech), trials.speech.truth),
            **recognition(trials.classifier, pick(trials.discrete), trials.classes),
            "identity_cosine": float(
                identity_cosine(trials.encoder, expressions, trials.expressions.source, reduction="mean")
            ),
        }

    return {"source": figures(lambda e: e.source), "truth": figures(lambda e: e.truth)}


def recognition(classifier: nn.Module, images: Tensor, classes: Tensor) -> dict[str, float]:
    """Table 2: how often the classifier sees the expression that was asked for, on average and for each."""
    hits = torch.cat(
        [
            classification_accuracy(classifier, part, labels)
            for part, labels in zip(images.split(100), classes.split(100), strict=True)
        ]
    )
    each = {f"accuracy_{name}": float(hits[classes == i].mean()) for i, name in enumerate(CLASSES)}
    return {"accuracy": float(hits.mean()), **each}
