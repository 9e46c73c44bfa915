"""Penalties on the slope of a critic: WGAN-GP's and the zero-centred R1 and R2.

Convention:
    The gradient is that of the score SUMMED over an image's patches, with respect to the image; its norm is
    Euclidean over ALL of the image's pixels and channels, so there is one norm per image. Weights stay
    outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from aucond._check import (
    check_choice,
    check_generator,
    check_number,
    check_same_shape,
    check_tensor,
    describe,
)
from aucond.losses._reduce import in_float, reduce_samples, safe_norm, score_of
from aucond.losses.explicit_gradient import explicit_gradient, why_not_explicit
from aucond.types import CriticOutput, Reduction

__all__ = ["Critic", "PenaltyMethod", "gradient_penalty", "interpolate", "r1_penalty", "r2_penalty"]

Critic: TypeAlias = Callable[[Tensor], CriticOutput | Tensor]
"""Any callable from images ``(B, C, H, W)`` to a CriticOutput or a tensor of scores."""

PenaltyMethod: TypeAlias = Literal["auto", "autograd", "explicit"]
"""How the input gradient is formed; see :func:`gradient_penalty`."""


def interpolate(real: Tensor, fake: Tensor, *, rng: torch.Generator | None = None) -> Tensor:
    """Points drawn uniformly on the segments between real and fake images (WGAN-GP, Algorithm 1).

    ``x = fake + alpha (real - fake)`` with one alpha in [0, 1) per image.

    Args:
        real: Real images, ``(B, C, H, W)``.
        fake: Generated images, same shape.
        rng: Source of the alphas; they are drawn on its device. None is torch's global generator.

    Returns:
        The points ``(B, C, H, W)``.

    >>> rng = torch.Generator().manual_seed(0)
    >>> points = interpolate(torch.ones(2, 3, 1, 1), torch.zeros(2, 3, 1, 1), rng=rng)
    >>> points[:, :, 0, 0]
    tensor([[0.4963, 0.4963, 0.4963],
            [0.7682, 0.7682, 0.7682]])
    """
    check_tensor("real", real, ("B", "C", "H", "W"))
    check_tensor("fake", fake, ("B", "C", "H", "W"))
    check_same_shape("real", real, "fake", fake)
    check_generator(rng)
    device = real.device if rng is None else rng.device
    alpha = torch.rand((real.shape[0], 1, 1, 1), generator=rng, device=device).to(real)
    return torch.lerp(fake.to(real.dtype), real, alpha)


def _autograd_gradient(critic: Critic, points: Tensor) -> Tensor:
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        if not (create_graph and points.requires_grad):
            points = points.detach().requires_grad_()
        score = score_of(critic(points), points.shape[0])
        gradient = None
        if score.requires_grad:
            (gradient,) = torch.autograd.grad(
                score.sum(), points, create_graph=create_graph, allow_unused=True
            )
    if gradient is None:
        raise ValueError("critic: expected scores that depend on the image, got scores without a gradient")
    return gradient


def _input_gradient(critic: Critic, points: Tensor, method: PenaltyMethod, name: str) -> Tensor:
    check_choice("method", method, ("auto", "autograd", "explicit"))
    check_tensor(name, points, ("B", "C", "H", "W"))
    if 0 in points.shape:
        raise ValueError(f"{name}: expected at least one image of at least one pixel, got {describe(points)}")
    if not callable(critic):
        raise TypeError(f"critic: expected a callable from images to scores, got {describe(critic)}")
    follow = torch.is_grad_enabled() and points.requires_grad
    if method == "explicit" or (method == "auto" and not follow and why_not_explicit(critic) is None):
        return explicit_gradient(critic, points if follow else points.detach())
    return _autograd_gradient(critic, points)


def gradient_penalty(
    critic: Critic,
    points: Tensor,
    *,
    center: float = 1.0,
    method: PenaltyMethod = "auto",
    reduction: Reduction = "mean",
) -> Tensor:
    """Gradient penalty, ``E[(||grad_x D(x)||_2 - center)^2]`` (WGAN-GP; GANimation and SliderGAN with center 1).

    Convention:
        One norm per image, of the gradient of the score summed over patches, over all pixels and
        channels. The weight (10 in both papers) is the caller's. Where the gradient vanishes the norm's
        own gradient is 0.

    Args:
        critic: Images to a CriticOutput or a tensor of scores.
        points: Where to measure, ``(B, C, H, W)``: :func:`interpolate` (GANimation) or generated images
            (SliderGAN Eq. 6). If they require a gradient it flows (``"explicit"`` refuses).
        center: The wanted norm, at least 0.
        method: ``"autograd"`` differentiates twice and works for any critic; ``"explicit"`` writes the
            gradient of a piecewise-linear critic as a forward computation (same numbers, faster, can be
            compiled; see :func:`explicit_gradient`) and raises for other critics, naming the layer;
            ``"auto"`` takes ``"explicit"`` where it can and ``"autograd"`` elsewhere.
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The penalty, unweighted; half-precision gradients are summed in float32.

    Raises:
        ValueError: A critic that ``"explicit"`` does not understand, scores that do not depend on the
            image, ...

    >>> critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1, bias=False))
    >>> _ = torch.nn.init.constant_(critic[1].weight, 12**-0.5)
    >>> gradient_penalty(critic, torch.randn(4, 3, 2, 2)).item() < 1e-12
    True
    """
    check_number("center", center, low=0)
    norms = safe_norm(_input_gradient(critic, points, method, "points"))
    return reduce_samples((norms - center).square(), reduction)


def _squared_norm(
    critic: Critic, images: Any, method: PenaltyMethod, reduction: Reduction, name: str
) -> Tensor:
    gradient = _input_gradient(critic, images, method, name)
    return reduce_samples(in_float(gradient).flatten(1).square().sum(1), reduction)


def r1_penalty(
    critic: Critic, real: Tensor, *, method: PenaltyMethod = "auto", reduction: Reduction = "mean"
) -> Tensor:
    """Zero-centred penalty on real images, ``E[||grad_x D(x)||_2^2]`` (R1, Mescheder et al. 2018; R3GAN).

    Convention:
        The squared norm itself, one per image. Contrast with the papers' ``gamma / 2 * E[...]``: the
        weight here is their ``gamma / 2``.

    Args:
        critic: Images to a CriticOutput or a tensor of scores.
        real: Real images, ``(B, C, H, W)``.
        method: As in :func:`gradient_penalty`.
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The penalty, unweighted.

    >>> critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 1, bias=False))
    >>> _ = torch.nn.init.constant_(critic[1].weight, 2.0)
    >>> r1_penalty(critic, torch.randn(4, 1, 1, 2))
    tensor(8., grad_fn=<MeanBackward0>)
    """
    return _squared_norm(critic, real, method, reduction, "real")


def r2_penalty(
    critic: Critic, fake: Tensor, *, method: PenaltyMethod = "auto", reduction: Reduction = "mean"
) -> Tensor:
    """Zero-centred penalty on generated images, ``E[||grad_x D(x)||_2^2]`` (R2, R3GAN).

    The same as :func:`r1_penalty` at other points; pass ``fake.detach()`` when training the critic.

    >>> critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 1, bias=False))
    >>> _ = torch.nn.init.constant_(critic[1].weight, 2.0)
    >>> r2_penalty(critic, torch.randn(4, 1, 1, 2), reduction="none")
    tensor([8., 8., 8., 8.], grad_fn=<SumBackward1>)
    """
    return _squared_norm(critic, fake, method, reduction, "fake")
