"""From one value per sample to a loss, and from patch scores to one value per sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aucond._check import check_choice, describe
from aucond.types import CriticOutput, Reduction

__all__ = [
    "check_score_pair",
    "check_scores",
    "in_float",
    "mean_per_sample",
    "reduce_samples",
    "safe_norm",
    "score_of",
]


def reduce_samples(values: Tensor, reduction: Reduction) -> Tensor:
    """Keep, average or sum per-sample values ``(B,)``.

    >>> reduce_samples(torch.tensor([1.0, 3.0]), "mean")
    tensor(2.)
    """
    check_choice("reduction", reduction, ("none", "mean", "sum"))
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()


def in_float(value: Tensor) -> Tensor:
    """Half precision as float32, everything else as it is: what sums are formed in."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def safe_norm(values: Tensor) -> Tensor:
    """Euclidean norm of every sample, ``(B, ...) -> (B,)``, with gradient 0, not NaN, where it is 0.

    Sums of half-precision values are formed and returned in float32.

    >>> safe_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([5., 0.])
    """
    squares = in_float(values).flatten(1).square().sum(1)
    positive = squares > 0
    # Two where's: with one, the square root's infinite slope at 0 would still meet a zero and give NaN.
    return torch.where(positive, torch.where(positive, squares, torch.ones_like(squares)).sqrt(), squares)


def mean_per_sample(values: Tensor) -> Tensor:
    """Average everything but the batch axis: ``(B, ...) -> (B,)``; half precision is summed in float32.

    >>> mean_per_sample(torch.tensor([[[[1.0, 3.0]]]]))
    tensor([2.])
    """
    return in_float(values) if values.dim() == 1 else in_float(values).flatten(1).mean(1)


def check_scores(name: str, value: Any) -> Tensor:
    """Return ``value`` if it is a batch of scores: ``(B,)``, ``(B, 1)`` or a patch map ``(B, 1, h, w)``."""
    message = f"{name}: expected floating scores of shape (B,), (B, 1) or (B, 1, h, w), got {describe(value)}"
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise TypeError(message)
    if value.dim() not in (1, 2, 4) or (value.dim() > 1 and value.shape[1] != 1) or 0 in value.shape:
        raise ValueError(message)
    return value


def check_score_pair(real_scores: Any, fake_scores: Any) -> tuple[Tensor, Tensor]:
    """Return both if they are scores of one shape; half precision as float32.

    Losses are formed in it, not only averaged: a relativistic critic's scores may drift together as far as they like,
    and a difference of two large ones is rounded away in half precision.
    """
    real = check_scores("real_scores", real_scores)
    fake = check_scores("fake_scores", fake_scores)
    if real.shape != fake.shape:
        raise ValueError(
            f"fake_scores: expected the shape of real_scores, {tuple(real.shape)} (as many fakes as reals, "
            f"images of one size), got {describe(fake)}"
        )
    return in_float(real), in_float(fake)


def score_of(output: Any, batch: int) -> Tensor:
    """Take the scores out of what a critic returned and check that there is one (map) for each image."""
    score = output.score if isinstance(output, CriticOutput) else output
    if not isinstance(score, Tensor):
        raise TypeError(f"critic: expected it to return a CriticOutput or a tensor, got {describe(output)}")
    check_scores("critic(image)", score)
    if score.shape[0] != batch:
        raise ValueError(
            f"critic(image): expected one score or score map for each of {batch} images, got {describe(score)}"
        )
    return score
